//! One tensor of a checkpoint, and its values as `f32`.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::CheckpointError;
use super::source::SourceFile;
use super::values::{self, Strided, ValueSummary};

/// Values that are converted at a time: 4 MiB of `f32`.
pub const CHUNK: usize = 1 << 20;

/// How a checkpoint stores one value. Spelled as in safetensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Dtype {
    const NAMES: [(&'static str, Self); 13] = [
        ("F64", Self::F64),
        ("F32", Self::F32),
        ("F16", Self::F16),
        ("BF16", Self::BF16),
        ("I64", Self::I64),
        ("I32", Self::I32),
        ("I16", Self::I16),
        ("I8", Self::I8),
        ("U64", Self::U64),
        ("U32", Self::U32),
        ("U16", Self::U16),
        ("U8", Self::U8),
        ("BOOL", Self::Bool),
    ];

    /// The type that a safetensors header calls `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, dtype)| *dtype)
    }

    /// Every name that a safetensors header may use, for messages.
    pub(super) fn names() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }

    /// Bytes of one value.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether a weight may have this type.
    pub const fn is_weight(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES
            .iter()
            .find(|(_, dtype)| dtype == self)
            .map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// What a container says of one tensor. Made by the readers, which have checked that it lies within its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Values from one index to the next, per dimension. `None` if the values lie one after the other.
    pub(super) strides: Option<Vec<usize>>,
    /// The byte of the first value, from the start of the file.
    pub(super) offset: u64,
    /// The number of values.
    pub(super) len: usize,
}

impl Layout {
    /// Bytes of the values, without what may lie between them.
    pub(super) fn byte_len(&self) -> u64 {
        (self.len * self.dtype.size()) as u64
    }
}

/// The number of values of a shape; `None` if no machine can count them.
pub(super) fn value_count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1usize, |count, size| count.checked_mul(*size))
}

/// A tensor with what became of it.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) layout: Layout,
    /// Index of its file in the checkpoint's list.
    pub(super) file: usize,
    pub(super) used: AtomicBool,
    pub(super) summary: Mutex<ValueSummary>,
}

impl Tensor {
    pub(super) fn new(layout: Layout, file: usize) -> Self {
        Self {
            layout,
            file,
            used: AtomicBool::new(false),
            summary: Mutex::default(),
        }
    }

    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

/// A weight of the checkpoint: F32, F16 or BF16, of the shape that was asked for. Its values stay in the file until they
/// are read.
#[derive(Debug, Clone, Copy)]
pub struct TensorRef<'a> {
    name: &'a str,
    tensor: &'a Tensor,
    file: &'a SourceFile,
}

impl<'a> TensorRef<'a> {
    pub(super) fn new(name: &'a str, tensor: &'a Tensor, file: &'a SourceFile) -> Self {
        Self { name, tensor, file }
    }

    /// The full name in the checkpoint.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &'a [usize] {
        &self.tensor.layout.shape
    }

    /// The type in the checkpoint.
    pub fn dtype(&self) -> Dtype {
        self.tensor.layout.dtype
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.tensor.layout.len
    }

    /// Whether a dimension is zero.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values, in row-major order.
    ///
    /// # Errors
    ///
    /// Those of [`read_f32_range`](Self::read_f32_range).
    pub fn read_f32(&self) -> Result<Vec<f32>, CheckpointError> {
        let mut values = vec![0.0; self.len()];
        self.read_f32_range(0, &mut values)?;
        Ok(values)
    }

    /// The values from `start` on in row-major order, as many as `values` takes.
    ///
    /// # Panics
    ///
    /// If the range ends after the last value.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Read`] if the file became unreadable; [`CheckpointError::OutOfMemory`] if the values do not
    /// lie one after the other in the file, and what they are strewn over does not fit in memory.
    pub fn read_f32_range(&self, start: usize, values: &mut [f32]) -> Result<(), CheckpointError> {
        let len = self.len();
        let end = start.checked_add(values.len());
        assert!(
            end.is_some_and(|end| end <= len),
            "`{}` has no {end:?} values, but {len}",
            self.name
        );
        match &self.tensor.layout.strides {
            None => self.read_contiguous(start, values),
            Some(strides) => {
                self.read_strided(strides)?.gather(start, values);
                self.summarise(values);
                Ok(())
            }
        }
    }

    /// Hands all values to `visit` in row-major order, at most [`CHUNK`] at a time.
    ///
    /// # Errors
    ///
    /// Those of [`read_f32_range`](Self::read_f32_range), and those of `visit`.
    pub fn for_each_f32_chunk<E: From<CheckpointError>>(
        &self,
        mut visit: impl FnMut(&[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let strided = self
            .tensor
            .layout
            .strides
            .as_ref()
            .map(|s| self.read_strided(s))
            .transpose()?;
        let len = self.len();
        let mut buffer = vec![0.0; len.min(CHUNK)];
        for start in (0..len).step_by(CHUNK) {
            let values = &mut buffer[..(len - start).min(CHUNK)];
            match &strided {
                None => self.read_contiguous(start, values)?,
                Some(strided) => {
                    strided.gather(start, values);
                    self.summarise(values);
                }
            }
            visit(values)?;
        }
        Ok(())
    }

    fn read_contiguous(&self, start: usize, values: &mut [f32]) -> Result<(), CheckpointError> {
        let Layout { dtype, offset, .. } = self.tensor.layout;
        let mut offset = offset + (start * dtype.size()) as u64;
        let mut scratch = vec![0; (values.len().min(CHUNK)) * dtype.size()];
        for chunk in values.chunks_mut(CHUNK) {
            let bytes = &mut scratch[..chunk.len() * dtype.size()];
            self.file.read_exact_at(offset, bytes)?;
            values::decode(dtype, bytes, chunk);
            self.summarise(chunk);
            offset += bytes.len() as u64;
        }
        Ok(())
    }

    /// Reads what the values are strewn over: from the first to the last of them.
    fn read_strided(&self, strides: &'a [usize]) -> Result<Strided<'a>, CheckpointError> {
        let Layout {
            dtype,
            shape,
            offset,
            ..
        } = &self.tensor.layout;
        let bytes = values::extent(shape, strides)
            .unwrap_or(usize::MAX)
            .saturating_mul(dtype.size());
        let mut span = Vec::new();
        span.try_reserve_exact(bytes)
            .map_err(|_| CheckpointError::OutOfMemory {
                tensor: self.name.to_owned(),
                bytes,
            })?;
        span.resize(bytes, 0);
        self.file.read_exact_at(*offset, &mut span)?;
        Ok(Strided {
            dtype: *dtype,
            shape,
            strides,
            span,
        })
    }

    fn summarise(&self, values: &[f32]) {
        // A poisoned lock is one that a panicking reader held: what it counted is still a count.
        let mut summary = self
            .tensor
            .summary
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        summary.add(values);
    }
}
