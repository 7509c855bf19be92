//! Kernels over enlarged pictures as kernels over the pictures themselves.

use super::{Encoder, Weight};
use crate::error::Result;
use crate::onnx::{DType, Sink, TensorData};

/// Taps of a kernel of 3 that fall on the same block of two pixels, by the pixel of a block that the
/// kernel is at: the first sees the block before and its own, the second its own and the next.
const TAPS: [[&[usize]; 2]; 2] = [[&[0], &[1, 2]], [&[0, 1], &[2]]];

/// Kernels `[out, in, 3, 3]` as they meet a picture of blocks of 2 × 2 equal pixels, at one of the four
/// pixels of a block: `[out, in, 2, 2]`.
pub(super) struct Phase {
    pub(super) weight: Weight,
    pub(super) dtype: DType,
    /// Row and column of the pixel.
    pub(super) pixel: [usize; 2],
}

impl TensorData for Phase {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        let kernels = self.weight.read()?;
        let kernels = kernels.chunks_exact(9);
        let summed: Vec<f32> = kernels.flat_map(|k| summed(k, self.pixel)).collect();
        let part = &self.weight.tensors[0];
        Encoder::new(self.dtype).write(&summed, |_| part, sink)
    }
}

/// Sums of the taps on each of the four blocks that a kernel sees.
fn summed(kernel: &[f32], [row, column]: [usize; 2]) -> [f32; 4] {
    std::array::from_fn(|block| {
        let rows = TAPS[row][block / 2].iter();
        let columns = TAPS[column][block % 2];
        let taps = rows.flat_map(|row| columns.iter().map(move |column| 3 * row + column));
        taps.map(|tap| f64::from(kernel[tap])).sum::<f64>() as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_on_the_same_block_are_summed() {
        let kernel: Vec<f32> = (0..9).map(|i| 2_f32.powi(i)).collect();
        for (pixel, expected) in [
            ([0, 0], [1.0, 6.0, 72.0, 432.0]),
            ([0, 1], [3.0, 4.0, 216.0, 288.0]),
            ([1, 0], [9.0, 54.0, 64.0, 384.0]),
            ([1, 1], [27.0, 36.0, 192.0, 256.0]),
        ] {
            assert_eq!(summed(&kernel, pixel), expected, "{pixel:?}");
        }
    }
}
