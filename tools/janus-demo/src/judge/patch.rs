//! A small piece of a picture as coverage alone.

use crate::render::Outline;
use crate::scene::Point;

/// A pixel's column, row and coverage.
pub(super) type Covered = (u32, u32, f64);

/// Empty pixels around what is covered, for drawings that reach further.
const MARGIN: u32 = 2;

/// How much each pixel of a rectangle is covered, 0 to 1; nothing is covered outside of it.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    left: u32,
    top: u32,
    width: usize,
    height: usize,
    coverage: Vec<f64>,
}

impl Patch {
    /// The rectangle around some pixels; what is not among them is not covered.
    pub(super) fn of(pixels: &[Covered]) -> Self {
        let range = |along: fn(&Covered) -> u32| {
            let low = pixels
                .iter()
                .map(along)
                .min()
                .unwrap_or(0)
                .saturating_sub(MARGIN);
            let high = pixels.iter().map(along).max().unwrap_or(0) + MARGIN;
            (low, (high - low + 1) as usize)
        };
        let ((left, width), (top, height)) = (range(|pixel| pixel.0), range(|pixel| pixel.1));
        let mut coverage = vec![0.0; width * height];
        for &(x, y, covered) in pixels {
            coverage[(y - top) as usize * width + (x - left) as usize] = covered;
        }
        Self {
            left,
            top,
            width,
            height,
            coverage,
        }
    }

    /// The same rectangle with an outline drawn into it.
    pub(super) fn drawn(&self, outline: &Outline) -> Self {
        let pixels = (0..self.coverage.len()).map(|i| self.pixel(i));
        let coverage = pixels.map(|(x, y)| outline.coverage(x, y)).collect();
        Self { coverage, ..*self }
    }

    /// The same a little out of focus: half of each pixel stays, a quarter goes to either side, along
    /// rows and along columns.
    pub(super) fn blurred(&self) -> Self {
        let along = |coverage: &[f64], size: usize, stride: usize| -> Vec<f64> {
            let place = |i: usize| i / stride % size;
            let neighbours = |i: usize| {
                let before = if place(i) > 0 {
                    coverage[i - stride]
                } else {
                    0.0
                };
                let after = if place(i) + 1 < size {
                    coverage[i + stride]
                } else {
                    0.0
                };
                before + after
            };
            (0..coverage.len())
                .map(|i| 0.5 * coverage[i] + 0.25 * neighbours(i))
                .collect()
        };
        let rows = along(&self.coverage, self.width, 1);
        Self {
            coverage: along(&rows, self.height, self.width),
            ..*self
        }
    }

    /// The covered area, in pixels.
    pub(super) fn mass(&self) -> f64 {
        self.coverage.iter().sum()
    }

    /// The centre of mass.
    pub(super) fn middle(&self) -> Point {
        let mass = self.mass().max(f64::MIN_POSITIVE);
        let sum = self
            .coverage
            .iter()
            .enumerate()
            .fold((0.0, 0.0), |sum, (i, coverage)| {
                let (x, y) = self.pixel(i);
                (
                    sum.0 + coverage * (f64::from(x) + 0.5),
                    sum.1 + coverage * (f64::from(y) + 0.5),
                )
            });
        Point {
            x: sum.0 / mass,
            y: sum.1 / mass,
        }
    }

    /// The area that both cover over the area that either covers; both are of the same rectangle.
    pub(super) fn overlap(&self, other: &Self) -> f64 {
        let pairs = || self.coverage.iter().zip(&other.coverage);
        let common: f64 = pairs().map(|(a, b)| a.min(*b)).sum();
        let together: f64 = pairs().map(|(a, b)| a.max(*b)).sum();
        if together > 0.0 {
            common / together
        } else {
            0.0
        }
    }

    fn pixel(&self, index: usize) -> (u32, u32) {
        let (x, y) = (index % self.width, index / self.width);
        (self.left + x as u32, self.top + y as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_knows_its_mass_and_middle() {
        let patch = Patch::of(&[(10, 20, 1.0), (11, 20, 0.5), (10, 21, 0.5)]);
        assert!((patch.mass() - 2.0).abs() < 1e-12);
        let middle = patch.middle();
        assert!(
            (middle.x - 10.75).abs() < 1e-12 && (middle.y - 20.75).abs() < 1e-12,
            "{middle:?}"
        );
    }

    #[test]
    fn blur_moves_no_mass() {
        let patch = Patch::of(&[(10, 20, 1.0), (11, 20, 0.5)]);
        let blurred = patch.blurred();
        assert!((blurred.mass() - patch.mass()).abs() < 1e-12);
        assert!(blurred.middle().distance(patch.middle()) < 1e-12);
        assert!((patch.overlap(&patch) - 1.0).abs() < 1e-12);
        assert!(patch.overlap(&blurred) < 0.6);
    }

    #[test]
    fn nothing_overlaps_nothing() {
        let patch = Patch::of(&[]);
        assert!(patch.mass().abs() < 1e-12 && patch.overlap(&patch).abs() < 1e-12);
    }
}
