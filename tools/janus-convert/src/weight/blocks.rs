//! Integers in blocks: a scale for every few weights of a row, as `MatMulNBits` takes them.
//!
//! A weight becomes `scale · (code − middle)`, the middle being 8 for 4 bits and 128 for 8. Codes
//! of a row lie block by block, the last block filled up with the middle; of two 4-bit codes in a
//! byte the first is the lower half.

use std::sync::{Arc, Mutex};

use half::f16;
use rayon::prelude::*;

use super::{Part, Weight, little_endian};
use crate::error::{Error, Result};
use crate::onnx::{DType, GraphBuilder, Sink, TensorData, Value};
use crate::recipe::{Bits, Blocks};

/// Values of the checkpoint that are read and quantised at a time.
const PIECE: usize = 1 << 22;

/// The integers of a weight, and their scales.
#[derive(Clone, Copy)]
pub(crate) struct Quantised<'g> {
    /// `[rows, blocks, bytes of a block]`
    pub(crate) codes: Value<'g>,
    /// `[rows, blocks]`
    pub(crate) scales: Value<'g>,
}

impl Weight {
    /// Adds matrices `[out, in]` to a graph as integers in blocks along `in`. `scales` is the type
    /// of the scales.
    pub(crate) fn store_blocks<'g>(
        self,
        graph: &'g GraphBuilder,
        name: &str,
        blocks: Blocks,
        scales: DType,
    ) -> Quantised<'g> {
        let columns = self.columns();
        let rows = self.rows();
        let per_row = columns.div_ceil(blocks.size);
        let bytes = blocks.size * blocks.bits.count() / 8;
        let quantiser = Arc::new(Quantiser {
            weight: self,
            blocks,
            found: Mutex::new(None),
        });
        let codes = Codes(Arc::clone(&quantiser));
        Quantised {
            codes: graph.weight(
                format!("{name}.weight_codes"),
                DType::U8,
                &[rows, per_row, bytes],
                codes,
            ),
            scales: graph.weight(
                format!("{name}.weight_scales"),
                scales,
                &[rows, per_row],
                Scales {
                    quantiser,
                    dtype: scales,
                },
            ),
        }
    }
}

/// Quantises a weight once, though its codes and its scales are written one after the other.
struct Quantiser {
    weight: Weight,
    blocks: Blocks,
    /// Scales that were found with the codes, until they are written.
    found: Mutex<Option<Vec<f32>>>,
}

struct Codes(Arc<Quantiser>);

impl TensorData for Codes {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        let scales = self.0.quantise(sink)?;
        *self.0.found.lock().unwrap_or_else(|e| e.into_inner()) = Some(scales);
        Ok(())
    }
}

struct Scales {
    quantiser: Arc<Quantiser>,
    dtype: DType,
}

impl TensorData for Scales {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        let found = self
            .quantiser
            .found
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .take();
        let scales = match found {
            Some(scales) => scales,
            None => self.quantiser.quantise(&mut |_| Ok(()))?,
        };
        match self.dtype {
            DType::F16 => {
                let halves: Vec<_> = scales.iter().map(|&scale| f16::from_f32(scale)).collect();
                sink(&little_endian(&halves))
            }
            _ => sink(&little_endian(&scales)),
        }
    }
}

impl Quantiser {
    /// Gives the codes, row by row, and returns the scales.
    fn quantise(&self, sink: &mut Sink<'_>) -> Result<Vec<f32>> {
        let columns = self.weight.columns();
        let Blocks { bits, size } = self.blocks;
        let per_row = columns.div_ceil(size);
        let row_bytes = per_row * size * bits.count() / 8;
        let mut scales = Vec::with_capacity(self.weight.rows() * per_row);
        let (mut codes, mut found) = (Vec::new(), Vec::new());
        self.weight
            .for_each_rows((PIECE / columns).max(1), |part, values| {
                expect_finite(part, values)?;
                let rows = values.len() / columns;
                codes.resize(rows * row_bytes, 0);
                found.resize(rows * per_row, 0.0);
                let row = values.par_chunks(columns);
                let row = row.zip(
                    codes
                        .par_chunks_mut(row_bytes)
                        .zip(found.par_chunks_mut(per_row)),
                );
                row.for_each(|(values, (codes, scales))| {
                    quantise_row(values, self.blocks, codes, scales)
                });
                scales.extend_from_slice(&found);
                sink(&codes)
            })?;
        Ok(scales)
    }
}

fn quantise_row(values: &[f32], blocks: Blocks, codes: &mut [u8], scales: &mut [f32]) {
    let Blocks { bits, size } = blocks;
    let bytes = size * bits.count() / 8;
    let mut block = [0.0; 256];
    for ((values, codes), scale) in values.chunks(size).zip(codes.chunks_mut(bytes)).zip(scales) {
        let block = &mut block[..size];
        block[..values.len()].copy_from_slice(values);
        block[values.len()..].fill(0.0);
        *scale = match bits {
            Bits::Four => four_bits(block, codes),
            Bits::Eight => eight_bits(block, codes),
        };
    }
}

/// Rounds to the nearest, the largest magnitude taking the outermost level. Returns the scale.
fn eight_bits(block: &[f32], codes: &mut [u8]) -> f32 {
    let largest = block
        .iter()
        .fold(0.0_f32, |largest, v| largest.max(v.abs()));
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (code, value) in codes.iter_mut().zip(block) {
        *code = (round(value * inverse) + 128.0) as u8;
    }
    scale
}

/// Levels −8 to 7 with the scale, among several, that leaves the least squared error.
///
/// For given levels `q` the best scale is `Σ v q / Σ q²`, and the squared error is then
/// `Σ v² − (Σ v q)² / Σ q²`. The candidates put the largest magnitude, with its sign, between
/// levels −6.5 and −10: beyond −8 it is clipped, and the others are finer. Returns the scale.
fn four_bits(block: &[f32], codes: &mut [u8]) -> f32 {
    const CANDIDATES: [f32; 15] = [
        6.5, 6.75, 7.0, 7.25, 7.5, 7.75, 8.0, 8.25, 8.5, 8.75, 9.0, 9.25, 9.5, 9.75, 10.0,
    ];
    let largest = block
        .iter()
        .fold(0.0_f32, |l, &v| if v.abs() > l.abs() { v } else { l });
    if largest == 0.0 {
        codes.fill(0x88);
        return 0.0;
    }
    let mut best = (f32::NEG_INFINITY, 0.0, 0.0);
    for level in CANDIDATES {
        let inverse = -level / largest;
        let (mut vq, mut qq) = ([0.0_f32; 8], [0.0_f32; 8]);
        for values in block.chunks_exact(8) {
            for ((value, vq), qq) in values.iter().zip(&mut vq).zip(&mut qq) {
                let q = round(value * inverse).clamp(-8.0, 7.0);
                *vq += value * q;
                *qq += q * q;
            }
        }
        let (vq, qq): (f32, f32) = (vq.iter().sum(), qq.iter().sum());
        let explained = vq * vq / qq;
        if explained > best.0 {
            best = (explained, inverse, vq / qq);
        }
    }
    let (_, inverse, scale) = best;
    let code = |value: f32| (round(value * inverse).clamp(-8.0, 7.0) + 8.0) as u8;
    for (byte, pair) in codes.iter_mut().zip(block.chunks_exact(2)) {
        *byte = code(pair[0]) | code(pair[1]) << 4;
    }
    scale
}

/// To the nearest integer, halves to even, for magnitudes below 2²². Adding the number whose last
/// place is one does it in two instructions on every processor.
fn round(value: f32) -> f32 {
    const LAST_PLACE_IS_ONE: f32 = 12_582_912.0;
    (value + LAST_PLACE_IS_ONE) - LAST_PLACE_IS_ONE
}

/// Fails on a value that no scale can hold.
pub(super) fn expect_finite(part: &Part, values: &[f32]) -> Result<()> {
    // A sum of magnitudes is finite only if all of them are, unless it overflows.
    if values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let value = values
        .iter()
        .find(|value| !value.is_finite())
        .copied()
        .unwrap_or(f32::NAN);
    Err(Error::NotFinite {
        tensor: part.name.clone(),
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal values from the sum of uniform ones, the same in every run.
    fn normal(count: usize) -> Vec<f32> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        (0..count)
            .map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0)
            .collect()
    }

    fn restored(bits: Bits, size: usize, codes: &[u8], scales: &[f32]) -> Vec<f32> {
        let numbers: Vec<f32> = match bits {
            Bits::Eight => codes.iter().map(|&c| f32::from(c) - 128.0).collect(),
            Bits::Four => {
                let halves = codes.iter().flat_map(|&c| [c & 15, c >> 4]);
                halves.map(|c| f32::from(c) - 8.0).collect()
            }
        };
        numbers
            .chunks(size)
            .zip(scales)
            .flat_map(|(n, s)| n.iter().map(move |n| n * s))
            .collect()
    }

    fn error(bits: Bits, size: usize, values: &[f32]) -> f32 {
        let blocks = values.len().div_ceil(size);
        let mut codes = vec![0; blocks * size * bits.count() / 8];
        let mut scales = vec![0.0; blocks];
        quantise_row(values, Blocks { bits, size }, &mut codes, &mut scales);
        let restored = restored(bits, size, &codes, &scales);
        let square = |x: f32| x * x;
        let off: f32 = values
            .iter()
            .zip(&restored)
            .map(|(a, b)| square(a - b))
            .sum();
        (off / values.iter().map(|&v| square(v)).sum::<f32>()).sqrt()
    }

    #[test]
    fn the_error_is_that_of_the_width() {
        let values = normal(1 << 14);
        for (bits, size, limit) in [
            (Bits::Eight, 32, 0.0053),
            (Bits::Eight, 128, 0.0064),
            // Rounding without a search leaves 0.086, 0.095 and 0.103.
            (Bits::Four, 32, 0.081),
            (Bits::Four, 64, 0.089),
            (Bits::Four, 128, 0.096),
        ] {
            let error = error(bits, size, &values);
            assert!(error < limit, "{bits:?} in {size}: {error}");
        }
    }

    #[test]
    fn a_last_block_that_is_short_and_a_block_of_zeros() {
        let mut values = normal(80);
        values[..32].fill(0.0);
        for bits in [Bits::Four, Bits::Eight] {
            let mut codes = vec![0; 3 * 32 * bits.count() / 8];
            let mut scales = [f32::NAN; 3];
            quantise_row(&values, Blocks { bits, size: 32 }, &mut codes, &mut scales);
            let restored = restored(bits, 32, &codes, &scales);
            assert!(
                restored[..32]
                    .iter()
                    .chain(&restored[80..])
                    .all(|&v| v == 0.0)
            );
            let farthest = values.iter().zip(&restored).map(|(a, b)| (a - b).abs());
            assert!(farthest.fold(0.0, f32::max) < 0.5 * 3.0 / 6.5);
        }
    }

    #[test]
    fn halves_go_to_even() {
        let rounded = [0.5, 1.5, 2.5, -0.5, -1.5, 7.49, -8.51, 0.0].map(round);
        assert_eq!(rounded, [0.0, 2.0, 2.0, 0.0, -2.0, 7.0, -9.0, 0.0]);
    }
}
