//! What a checkpoint may ask of this process at most. Far above what any released model needs, and low enough that a
//! hostile file costs a second and some hundred megabytes.

/// Bytes of a safetensors header; the format's own limit.
pub(super) const SAFETENSORS_HEADER: u64 = 100_000_000;

/// Headers above this size may take no more than a quarter of their file.
pub(super) const SMALL_HEADER: u64 = 250_000;

/// Tensors of one file.
pub(super) const TENSORS: usize = 100_000;

/// Bytes of a tensor's name.
pub(super) const NAME: usize = 1024;

/// Dimensions of a tensor.
pub(super) const RANK: usize = 8;

/// Bytes of a list of shards.
pub(super) const INDEX: u64 = 16 << 20;

/// Shards of a checkpoint.
pub(super) const SHARDS: usize = 1000;

/// Bytes of an archive's central directory.
pub(super) const DIRECTORY: u64 = 64 << 20;

/// Entries of an archive.
pub(super) const ENTRIES: u64 = 200_000;

/// Bytes of a pickle.
pub(super) const PICKLE: u64 = 64 << 20;

/// Values and marks that a pickle puts on its stack in all; what is in a container was there before.
pub(super) const VALUES: usize = 1 << 22;

/// Containers, texts and tensors that a pickle makes.
pub(super) const OBJECTS: usize = 1 << 20;

/// Memo entries of a pickle.
pub(super) const MEMO: usize = 1 << 20;

/// Bytes of a line of a text pickle.
pub(super) const LINE: usize = 4096;

/// Bytes of an integer in a pickle.
pub(super) const INTEGER: usize = 8;
