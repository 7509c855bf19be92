//! From stored bytes to `f32`, and what is noticed on the way.

use super::tensor::Dtype;

/// Converts little-endian `bytes` of `dtype`, one of the weight types, to `values`.
pub(super) fn decode(dtype: Dtype, bytes: &[u8], values: &mut [f32]) {
    match dtype {
        Dtype::F32 => convert(bytes, values, f32::from_le_bytes),
        Dtype::F16 => convert(bytes, values, |b| half::f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => convert(bytes, values, |b| half::bf16::from_le_bytes(b).to_f32()),
        other => unreachable!("{other} is not a weight type; `Weights::tensor` has checked it"),
    }
}

fn convert<const N: usize>(bytes: &[u8], values: &mut [f32], to_f32: impl Fn([u8; N]) -> f32) {
    let (stored, rest) = bytes.as_chunks::<N>();
    debug_assert!(rest.is_empty() && stored.len() == values.len());
    for (value, bytes) in values.iter_mut().zip(stored) {
        *value = to_f32(*bytes);
    }
}

/// Values from the first to the last of a tensor, both included; `None` if no machine can count them.
pub(super) fn extent(shape: &[usize], strides: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .zip(strides)
        .try_fold(1usize, |extent, (size, stride)| {
            extent.checked_add((size - 1).checked_mul(*stride)?)
        })
}

/// A tensor whose values do not lie one after the other, with all that lies between its first and its last value.
pub(super) struct Strided<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: &'a [usize],
    pub(super) strides: &'a [usize],
    /// Little-endian bytes.
    pub(super) span: Vec<u8>,
}

impl Strided<'_> {
    /// Copies the values from `start` on in row-major order.
    pub(super) fn gather(&self, start: usize, values: &mut [f32]) {
        let size = self.dtype.size();
        let mut index = self.index_of(start);
        for value in values {
            let at = index
                .iter()
                .zip(self.strides)
                .map(|(i, stride)| i * stride)
                .sum::<usize>();
            let bytes = &self.span[at * size..][..size];
            decode(self.dtype, bytes, std::slice::from_mut(value));
            self.advance(&mut index);
        }
    }

    /// The index per dimension of the `nth` value in row-major order.
    fn index_of(&self, mut nth: usize) -> Vec<usize> {
        let mut index = vec![0; self.shape.len()];
        for (i, size) in index.iter_mut().zip(self.shape).rev() {
            *i = nth % size;
            nth /= size;
        }
        index
    }

    fn advance(&self, index: &mut [usize]) {
        for (i, size) in index.iter_mut().zip(self.shape).rev() {
            *i += 1;
            if *i < *size {
                return;
            }
            *i = 0;
        }
    }
}

/// What is noticed about a tensor's values while they are converted. Values that are read twice count twice.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ValueSummary {
    /// How many are NaN or infinite.
    pub(super) non_finite: u64,
    /// The first value, and whether all others equal it.
    constant: Option<(f32, bool)>,
}

impl ValueSummary {
    pub(super) fn add(&mut self, values: &[f32]) {
        let Some(first) = values.first() else { return };
        self.non_finite += values
            .iter()
            .map(|v| u64::from(!v.is_finite()))
            .sum::<u64>();
        let (value, so_far) = self.constant.unwrap_or((*first, true));
        self.constant = Some((value, so_far && values.iter().all(|v| *v == value)));
    }

    /// The value that all are, if all are one.
    pub(super) fn constant(&self) -> Option<f32> {
        self.constant.and_then(|(value, all)| all.then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_every_weight_type() {
        let mut values = [0.0; 2];
        decode(
            Dtype::F32,
            &[0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0],
            &mut values,
        );
        assert_eq!(values, [1.0, -2.5]);
        decode(Dtype::F16, &[0, 0x3c, 0, 0xc1], &mut values);
        assert_eq!(values, [1.0, -2.5]);
        decode(Dtype::BF16, &[0x80, 0x3f, 0x20, 0xc0], &mut values);
        assert_eq!(values, [1.0, -2.5]);
    }

    #[test]
    fn gathers_a_transposed_matrix_from_any_start() {
        let span = (0..6).flat_map(|v| (v as f32).to_le_bytes()).collect();
        let transposed = Strided {
            dtype: Dtype::F32,
            shape: &[3, 2],
            strides: &[1, 3],
            span,
        };
        let mut values = [0.0; 6];
        transposed.gather(0, &mut values);
        assert_eq!(values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        transposed.gather(3, &mut values[..2]);
        assert_eq!(values[..2], [4.0, 2.0]);
    }

    #[test]
    fn a_summary_counts_and_compares_over_several_reads() {
        let mut summary = ValueSummary::default();
        summary.add(&[1.0, 1.0]);
        summary.add(&[1.0]);
        assert_eq!((summary.non_finite, summary.constant()), (0, Some(1.0)));
        summary.add(&[f32::NAN, f32::INFINITY, 1.0]);
        assert_eq!((summary.non_finite, summary.constant()), (2, None));
    }
}
