//! 8-bit integers with one scale for each row of the checkpoint's matrix, turned: what products of
//! integers take.
//!
//! A weight becomes `scale · code`, codes from −127 to 127, and of two neighbours in a row the sum
//! from −128 to 128: processors without VNNI add the products of two neighbours with unsigned
//! activations in 16 bits (`vpmaddubsw`), and 255 · 128 is the most that those hold.

use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::blocks::{Quantised, expect_finite};
use super::{CHUNK, PANEL_BYTES, TILE, Weight, little_endian};
use crate::error::Result;
use crate::onnx::{DType, GraphBuilder, Sink, TensorData};

impl Weight {
    /// Adds matrices `[out, in]` to a graph as one matrix `[in, out]` of integers and scales
    /// `[out]`.
    pub(crate) fn store_channels<'g>(self, graph: &'g GraphBuilder, name: &str) -> Quantised<'g> {
        let (rows, columns) = (self.rows(), self.columns());
        let scales = Arc::new(Mutex::new(None));
        let codes = Codes {
            weight: self.clone(),
            scales: Arc::clone(&scales),
        };
        Quantised {
            codes: graph.weight(
                format!("{name}.weight_codes"),
                DType::I8,
                &[columns, rows],
                codes,
            ),
            scales: graph.weight(
                format!("{name}.weight_scales"),
                DType::F32,
                &[rows],
                Scales {
                    weight: self,
                    found: scales,
                },
            ),
        }
    }
}

struct Codes {
    weight: Weight,
    scales: Arc<Mutex<Option<Vec<f32>>>>,
}

impl TensorData for Codes {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        let (rows, columns) = (self.weight.rows(), self.weight.columns());
        let panel_columns = (PANEL_BYTES / rows).clamp(1, columns);
        let mut panel = vec![0_i8; panel_columns * rows];
        let mut scales = Vec::new();
        for first in (0..columns).step_by(panel_columns) {
            let count = panel_columns.min(columns - first);
            let panel = &mut panel[..count * rows];
            scales = self.fill(panel, first, count)?;
            for piece in panel.chunks(CHUNK) {
                sink(bytemuck::cast_slice(piece))?;
            }
        }
        *self.scales.lock().unwrap_or_else(|e| e.into_inner()) = Some(scales);
        Ok(())
    }
}

impl Codes {
    /// Quantises every row and keeps `count` columns from `first` on, each as a row of `panel`.
    /// Returns the scales.
    fn fill(&self, panel: &mut [i8], first: usize, count: usize) -> Result<Vec<f32>> {
        let (rows, columns) = (self.weight.rows(), self.weight.columns());
        let mut scales = Vec::with_capacity(rows);
        let mut codes = Vec::new();
        self.weight
            .for_each_rows((CHUNK / columns).max(TILE), |part, values| {
                expect_finite(part, values)?;
                codes.resize(values.len(), 0);
                let at = scales.len();
                scales.extend(values.chunks(columns).map(scale_of));
                let each = values
                    .par_chunks(columns)
                    .zip(codes.par_chunks_mut(columns));
                each.zip(&scales[at..])
                    .for_each(|((values, codes), &scale)| quantise(values, scale, codes));
                turn(&codes, columns, &mut panel[..count * rows], rows, at, first);
                Ok(())
            })?;
        Ok(scales)
    }
}

struct Scales {
    weight: Weight,
    found: Arc<Mutex<Option<Vec<f32>>>>,
}

impl TensorData for Scales {
    fn write(&self, sink: &mut Sink<'_>) -> Result<()> {
        let found = self.found.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(scales) = found {
            return sink(&little_endian(&scales));
        }
        let columns = self.weight.columns();
        self.weight
            .for_each_rows((CHUNK / columns).max(1), |_, values| {
                let scales: Vec<_> = values.chunks(columns).map(scale_of).collect();
                sink(&little_endian(&scales))
            })
    }
}

fn scale_of(row: &[f32]) -> f32 {
    let single = row.iter().fold(0.0_f32, |largest, v| largest.max(v.abs()));
    let pairs = row.chunks_exact(2).map(|pair| (pair[0] + pair[1]).abs());
    let pair = pairs.fold(0.0, f32::max);
    // Both codes of a pair can be rounded up by a half.
    (single / 127.0).max(pair / 127.0)
}

fn quantise(row: &[f32], scale: f32, codes: &mut [i8]) {
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (code, value) in codes.iter_mut().zip(row) {
        *code = (value * inverse).round_ties_even() as i8;
    }
}

/// Copies rows of `codes` into columns of the panel, from column `at` on.
fn turn(codes: &[i8], columns: usize, panel: &mut [i8], rows: usize, at: usize, first: usize) {
    // A tile of rows fills the cache lines that it is written to.
    panel.par_chunks_mut(rows).enumerate().for_each(|(i, to)| {
        let column = codes.iter().skip(first + i).step_by(columns);
        for (to, code) in to[at..].iter_mut().zip(column) {
            *to = *code;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_a_row_takes_the_last_level() {
        let row = [0.5, -2.0, 1.0, 0.0];
        let mut codes = [0; 4];
        quantise(&row, scale_of(&row), &mut codes);
        assert_eq!(codes, [32, -127, 64, 0]);
        quantise(&[0.0; 4], scale_of(&[0.0; 4]), &mut codes);
        assert_eq!(codes, [0; 4]);
    }

    #[test]
    fn neighbours_do_not_overflow_together() {
        for row in [
            [1.0, 1.0, 0.0, 0.3],
            [-0.9, -1.0, 1.0, 0.97],
            [0.101, 0.333, 0.999, 0.995],
        ] {
            let mut codes = [0; 4];
            quantise(&row, scale_of(&row), &mut codes);
            let sums = codes
                .chunks(2)
                .map(|c| (i32::from(c[0]) + i32::from(c[1])).abs());
            let largest = sums.max().unwrap();
            assert!((127..=128).contains(&largest), "{codes:?}");
        }
    }

    #[test]
    fn rows_become_columns() {
        let codes = [1, 2, 3, 4, 5, 6];
        let mut panel = [0; 2 * 4];
        turn(&codes, 3, &mut panel, 4, 1, 1);
        assert_eq!(panel, [0, 2, 5, 0, 0, 3, 6, 0]);
    }
}
