//! What a file is by its first bytes, whatever its name says.

use super::error::CheckpointError;
use super::source::SourceFile;

/// Bytes that tell every known kind of file from the others: a tar archive's mark is the last, at 257.
const START: usize = 512;

const PYTORCH: &str = "a PyTorch archive";
const SAFETENSORS: &str = "a safetensors file";
const RENAME: &str = "give it the name that fits";
const GET: &str = "get the weights as safetensors or as a PyTorch file";
const RESAVE: &str = "load it with the library that wrote it and save its `state_dict()` again";

/// Fails if `file` is evidently not safetensors.
pub(super) fn expect_safetensors(file: &SourceFile) -> Result<(), CheckpointError> {
    expect(file, SAFETENSORS)
}

/// Fails if `file` is evidently not what `torch.save` writes.
pub(super) fn expect_pytorch(file: &SourceFile) -> Result<(), CheckpointError> {
    expect(file, PYTORCH)
}

fn expect(file: &SourceFile, expected: &'static str) -> Result<(), CheckpointError> {
    match kind_of(&file.start(START)?) {
        Some((found, remedy)) if found != expected => Err(CheckpointError::OtherFormat {
            file: file.name().to_owned(),
            found,
            expected,
            remedy,
        }),
        _ => Ok(()),
    }
}

/// What the file is, and what helps if it should have been something else.
fn kind_of(start: &[u8]) -> Option<(&'static str, &'static str)> {
    /// How `torch.save` began before version 1.6: a pickled magic number.
    const LEGACY_TORCH: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";
    const KINDS: [(&[u8], &str, &str); 10] = [
        (
            b"version https://git-lfs",
            "a Git LFS pointer",
            "run `git lfs pull` to get the file itself",
        ),
        (b"PK\x03\x04", PYTORCH, RENAME),
        (
            LEGACY_TORCH,
            "a PyTorch file from before version 1.6",
            RESAVE,
        ),
        (b"GGUF", "a GGUF file", GET),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", GET),
        (b"\x93NUMPY", "a NumPy array", GET),
        (b"\x1f\x8b", "a gzip archive", "unpack it"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
        (b"\x80\x02", "a bare pickle", RESAVE),
    ];
    if is_safetensors(start) {
        return Some((SAFETENSORS, RENAME));
    }
    if let Some((_, kind, remedy)) = KINDS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return Some((kind, remedy));
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", RESAVE));
    }
    let text = start.trim_ascii_start();
    let is_page = |tag: &[u8]| {
        text.get(..tag.len())
            .is_some_and(|t| t.eq_ignore_ascii_case(tag))
    };
    if is_page(b"<!doctype html") || is_page(b"<html") {
        return Some(("an HTML page", "download it again"));
    }
    None
}

/// A length in eight bytes, of which the last four are zero, and the header's brace. Asked first: the length may begin like
/// anything.
fn is_safetensors(start: &[u8]) -> bool {
    start.get(4..9) == Some(b"\0\0\0\0{")
}
