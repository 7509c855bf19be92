//! One tensor that is to be written.

use std::io;

use super::values::{Init, Values};

/// Bytes of a value: everything is bf16, as in the released files.
pub(super) const VALUE_BYTES: usize = 2;

/// Bytes that are made at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A tensor with the recipe of its values.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Its name in the released layout, which decides its values: both layouts of one seed hold the same model.
    pub(super) source: String,
    /// The value of the released tensor that is the first of this one.
    pub(super) first: usize,
    init: Init,
}

impl Tensor {
    pub(super) fn new(name: String, shape: Vec<usize>, init: Init) -> Self {
        Self {
            source: name.clone(),
            name,
            shape,
            first: 0,
            init,
        }
    }

    /// The same values under another name, in another shape.
    pub(super) fn renamed(self, name: String, shape: Vec<usize>) -> Self {
        Self {
            name,
            shape,
            ..self
        }
    }

    /// One of three parts with the same number of rows.
    pub(super) fn third(&self, name: String, part: usize) -> Self {
        let mut shape = self.shape.clone();
        shape[0] /= 3;
        let first = self.first + part * self.len() / 3;
        Self {
            name,
            shape,
            first,
            ..self.clone()
        }
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of all values.
    pub(super) fn byte_len(&self) -> u64 {
        (self.len() * VALUE_BYTES) as u64
    }

    /// Hands the bytes of all values to `write`, a megabyte at a time.
    pub(super) fn write(
        &self,
        seed: u64,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let values = Values::new(seed, &self.source, self.init);
        let mut buffer = vec![0; CHUNK_BYTES.min(self.len() * VALUE_BYTES)];
        let mut first = self.first;
        let end = self.first + self.len();
        while first < end {
            let count = (end - first).min(CHUNK_BYTES / VALUE_BYTES);
            let bytes = &mut buffer[..count * VALUE_BYTES];
            values.fill(first, bytes);
            write(bytes)?;
            first += count;
        }
        Ok(())
    }
}
