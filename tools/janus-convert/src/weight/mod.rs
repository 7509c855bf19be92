//! Tensors of the checkpoint on their way into a graph: stacked, transposed, narrowed and quantised,
//! in pieces.

mod blocks;
mod channels;
mod phases;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

pub(crate) use self::blocks::Quantised;
use self::phases::Phase;
use crate::checkpoint::{CHUNK, Checkpoint, TensorRef};
use crate::error::{Error, Result};
use crate::onnx::{DType, GraphBuilder, Sink, TensorData, Value};

/// Bytes of a transposed weight that are held at a time. A larger one is read once per such panel.
const PANEL_BYTES: usize = 256 << 20;
/// Rows that are transposed together, so that they fill the cache lines they are written to.
const TILE: usize = 16;

/// Tensors of the checkpoint, stacked along their first axis.
///
/// Their shapes are known to be right, their values are still in the file.
#[derive(Clone)]
pub(crate) struct Weight {
    checkpoint: Arc<Checkpoint>,
    tensors: Vec<Part>,
}

#[derive(Clone)]
struct Part {
    name: String,
    shape: Vec<usize>,
}

impl Weight {
    /// One tensor.
    pub(crate) fn new(checkpoint: &Arc<Checkpoint>, tensor: TensorRef<'_>) -> Self {
        let part = Part {
            name: tensor.name().to_owned(),
            shape: tensor.shape().to_vec(),
        };
        Self {
            checkpoint: Arc::clone(checkpoint),
            tensors: vec![part],
        }
    }

    /// These below those.
    pub(crate) fn stack(mut self, below: Self) -> Self {
        self.tensors.extend(below.tensors);
        self
    }

    /// All values, row by row.
    pub(crate) fn read(&self) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        for part in &self.tensors {
            values.extend(self.open(part)?.read_f32()?);
        }
        Ok(values)
    }

    /// Adds the values to a graph as a tensor of `dims`, as they are.
    pub(crate) fn store<'g>(
        self,
        graph: &'g GraphBuilder,
        name: String,
        dtype: DType,
        dims: &[usize],
    ) -> Value<'g> {
        let data = RowMajor {
            weight: self,
            dtype,
        };
        graph.weight(name, dtype, dims, data)
    }

    /// Adds matrices `[out, in]` to a graph as one matrix `[in, out]`.
    pub(crate) fn store_transposed(
        self,
        graph: &GraphBuilder,
        name: String,
        dtype: DType,
    ) -> Value<'_> {
        let (rows, columns) = (self.rows(), self.columns());
        let data = Transposed {
            weight: self,
            dtype,
            rows,
            columns,
            panel_bytes: PANEL_BYTES,
        };
        graph.weight(name, dtype, &[columns, rows], data)
    }

    /// Adds what kernels `[out, in, 3, 3]` are to a pixel, row and column, of blocks of 2 × 2 equal ones:
    /// kernels `[out, in, 2, 2]` over the blocks.
    pub(crate) fn store_phase(
        self,
        graph: &GraphBuilder,
        name: String,
        dtype: DType,
        pixel: [usize; 2],
    ) -> Value<'_> {
        let [out, channels] = [self.rows(), self.columns()];
        let data = Phase {
            weight: self,
            dtype,
            pixel,
        };
        graph.weight(name, dtype, &[out, channels, 2, 2], data)
    }

    /// Rows of the matrices together.
    fn rows(&self) -> usize {
        self.tensors.iter().map(|part| part.shape[0]).sum()
    }

    /// Columns that each of the matrices has.
    fn columns(&self) -> usize {
        self.tensors[0].shape[1]
    }

    /// Hands whole rows of the matrices to `visit`, at most `count` at a time, in order.
    fn for_each_rows(
        &self,
        count: usize,
        mut visit: impl FnMut(&Part, &[f32]) -> Result<()>,
    ) -> Result<()> {
        let columns = self.columns();
        let mut buffer = vec![0.0; count.min(self.rows()) * columns];
        for part in &self.tensors {
            let tensor = self.open(part)?;
            for start in (0..part.shape[0]).step_by(count) {
                let values = &mut buffer[..count.min(part.shape[0] - start) * columns];
                tensor.read_f32_range(start * columns, values)?;
                visit(part, values)?;
            }
        }
        Ok(())
    }

    fn open<'a>(&'a self, part: &Part) -> Result<TensorRef<'a>> {
        Ok(self.checkpoint.root().tensor(&part.name, &part.shape)?)
    }
}

/// Values that were computed while the graph was built.
pub(crate) struct Computed(pub(crate) Vec<f32>);

impl TensorData for Computed {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        sink(&little_endian(&self.0))
    }
}

struct RowMajor {
    weight: Weight,
    dtype: DType,
}

impl TensorData for RowMajor {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        let mut encoder = Encoder::new(self.dtype);
        for part in &self.weight.tensors {
            let tensor = self.weight.open(part)?;
            tensor.for_each_f32_chunk(|values| encoder.write(values, |_| part, sink))?;
        }
        Ok(())
    }
}

struct Transposed {
    weight: Weight,
    dtype: DType,
    /// Of the checkpoint's matrices together.
    rows: usize,
    columns: usize,
    panel_bytes: usize,
}

impl TensorData for Transposed {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        let panel_columns = (self.panel_bytes / (self.rows * 4)).clamp(1, self.columns);
        let mut panel = vec![0.0; panel_columns * self.rows];
        let mut encoder = Encoder::new(self.dtype);
        for first in (0..self.columns).step_by(panel_columns) {
            let columns = first..(first + panel_columns).min(self.columns);
            let panel = &mut panel[..columns.len() * self.rows];
            self.fill(panel, columns)?;
            for column in panel.chunks(self.rows * (CHUNK / self.rows).max(1)) {
                encoder.write(column, |i| self.part_of(i % self.rows), sink)?;
            }
        }
        Ok(())
    }
}

impl Transposed {
    /// Reads all rows and keeps some of their columns, each as a row of `panel`.
    fn fill(&self, panel: &mut [f32], columns: Range<usize>) -> Result<()> {
        let mut row = 0;
        self.weight
            .for_each_rows((CHUNK / self.columns).max(1), |_, values| {
                for (i, tile) in values.chunks(TILE * self.columns).enumerate() {
                    self.turn(tile, panel, row + i * TILE, columns.clone());
                }
                row += values.len() / self.columns;
                Ok(())
            })
    }

    /// The tensor that a row comes from.
    fn part_of(&self, row: usize) -> &Part {
        let parts = &self.weight.tensors;
        let mut end = 0;
        let found = parts.iter().find(|part| {
            end += part.shape[0];
            row < end
        });
        found.unwrap_or(&parts[0])
    }

    /// Copies a few rows into as many columns of the panel, from `at` on.
    fn turn(&self, tile: &[f32], panel: &mut [f32], at: usize, columns: Range<usize>) {
        for (column, to) in columns.zip(panel.chunks_exact_mut(self.rows)) {
            for (to, from) in to[at..].iter_mut().zip(tile.chunks_exact(self.columns)) {
                *to = from[column];
            }
        }
    }
}

/// Gives values as `dtype` to a sink.
struct Encoder {
    dtype: DType,
    halves: Vec<f16>,
}

impl Encoder {
    fn new(dtype: DType) -> Self {
        Self {
            dtype,
            halves: Vec::new(),
        }
    }

    /// Refuses values that 16 bits cannot hold; those that were not finite before stay so.
    /// `part_of` tells which tensor the value at an index comes from.
    fn write<'a>(
        &mut self,
        values: &[f32],
        part_of: impl Fn(usize) -> &'a Part,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        if self.dtype != DType::F16 {
            return sink(&encoded(values, self.dtype));
        }
        self.halves.resize(values.len(), f16::ZERO);
        self.halves.convert_from_f32_slice(values);
        let infinite = |half: &f16| half.to_bits() & 0x7fff == f16::INFINITY.to_bits();
        if self.halves.iter().any(infinite) {
            let mut pairs = self.halves.iter().zip(values);
            if let Some(i) = pairs.position(|(half, v)| infinite(half) && v.is_finite()) {
                let tensor = part_of(i).name.clone();
                return Err(Error::HalfRange {
                    tensor,
                    value: values[i],
                });
            }
        }
        sink(&little_endian(&self.halves))
    }
}

/// Values as floats of a type, rounded to the nearest, as ONNX stores them.
pub(crate) fn encoded(values: &[f32], dtype: DType) -> Cow<'_, [u8]> {
    match dtype {
        DType::F16 => {
            let mut halves = vec![f16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            Cow::Owned(little_endian(&halves).into_owned())
        }
        DType::BF16 => {
            let mut halves = vec![bf16::ZERO; values.len()];
            halves.convert_from_f32_slice(values);
            Cow::Owned(little_endian(&halves).into_owned())
        }
        _ => little_endian(values),
    }
}

/// The bytes of numbers, as ONNX stores them.
pub(crate) fn little_endian<T: bytemuck::NoUninit>(values: &[T]) -> Cow<'_, [u8]> {
    let bytes: &[u8] = bytemuck::cast_slice(values);
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(
        bytes
            .chunks(size_of::<T>())
            .flat_map(|number| number.iter().rev().copied())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tiny() -> Arc<Checkpoint> {
        let tiny = "../../tests/data/janus-tiny/released";
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(tiny);
        Arc::new(Checkpoint::open(&dir).unwrap())
    }

    fn bytes_of(data: &dyn TensorData) -> Vec<u8> {
        let mut written = Vec::new();
        let mut sink = |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        data.write(&mut sink).unwrap();
        written
    }

    #[test]
    fn stacked_matrices_are_transposed_in_panels_of_any_size() {
        let checkpoint = tiny();
        let mlp = checkpoint.root().at("language_model.model.layers.0.mlp");
        let weight = |name| Weight::new(&checkpoint, mlp.tensor(name, &[160, 96]).unwrap());
        let weight = weight("gate_proj.weight").stack(weight("up_proj.weight"));
        let (rows, columns) = (320, 96);
        let values = weight.read().unwrap();
        let turned = (0..columns).flat_map(|j| values.iter().skip(j).step_by(columns));
        let expected: Vec<u8> = turned.flat_map(|value| value.to_le_bytes()).collect();
        for panel_columns in [1, 7, 96, 1000] {
            let (weight, dtype) = (weight.clone(), DType::F32);
            let panel_bytes = panel_columns * rows * 4;
            let data = Transposed {
                weight,
                dtype,
                rows,
                columns,
                panel_bytes,
            };
            assert!(
                bytes_of(&data) == expected,
                "{panel_columns} columns at a time"
            );
        }
    }

    #[test]
    fn halves_are_rounded_to_the_nearest() {
        let mut written = Vec::new();
        let mut sink = |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        let part = Part {
            name: "a".to_owned(),
            shape: vec![4],
        };
        let values = [1.0, 1.0 + 0.75 / 1024.0, 65519.0, f32::INFINITY];
        Encoder::new(DType::F16)
            .write(&values, |_| &part, &mut sink)
            .unwrap();
        let halves = [0x3c00_u16, 0x3c01, 0x7bff, 0x7c00];
        assert_eq!(written, halves.map(u16::to_le_bytes).concat());

        let refused = Encoder::new(DType::F16).write(&[65520.0], |_| &part, &mut |_| Ok(()));
        assert!(matches!(
            refused,
            Err(Error::HalfRange { value: 65520.0, .. })
        ));
    }
}
