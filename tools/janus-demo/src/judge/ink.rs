//! Coverage and colour: a pixel as the ground with a share of one ink over it.

use crate::words::{Colour, Word};
use crate::world::World;

/// Red, green and blue, 0 to 255, or a difference of two such colours.
pub(super) type Vector = [f64; 3];

/// The least and the most that blur and noise leave of an ink in the middle of a shape.
const STRENGTH: (f64, f64) = (0.6, 1.15);
/// How far, in grey levels over all channels, a colour may be from one of the world's.
const TOLERANCE: f64 = 45.0;
/// Pixels of more coverage than this tell the colour of a shape.
const PLAIN: f64 = 0.75;
/// The least share of those pixels that agree on the colour.
const UNIFORM: f64 = 0.8;

/// One pixel: the ink that explains it best, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stroke {
    pub(super) colour: Colour,
    /// 0 for the ground, 1 for the ink.
    pub(super) coverage: f64,
}

/// The world's colours as seen from the ground of a picture.
#[derive(Clone, Debug)]
pub(super) struct Inks {
    ground: Vector,
}

impl Inks {
    /// Inks on a ground of this colour.
    pub(super) fn on(ground: Vector) -> Self {
        Self { ground }
    }

    /// What a pixel most likely is.
    pub(super) fn stroke(&self, pixel: [u8; 3]) -> Stroke {
        let offset = difference(pixel.map(f64::from), self.ground);
        let (colour, coverage, _) = self.nearest(offset, (0.0, 1.0));
        Stroke { colour, coverage }
    }

    /// How much of a pixel a known ink covers; with no known ink, as [`Inks::stroke`] says.
    pub(super) fn coverage(&self, pixel: [u8; 3], colour: Option<Colour>) -> f64 {
        match colour {
            Some(colour) => {
                let offset = difference(pixel.map(f64::from), self.ground);
                share(offset, self.direction(colour)).clamp(0.0, 1.0)
            }
            None => self.stroke(pixel).coverage,
        }
    }

    /// The colour of a shape from its pixels; `None` if they disagree or are of no known colour.
    pub(super) fn colour_of(
        &self,
        pixels: impl Iterator<Item = ([u8; 3], Stroke)> + Clone,
    ) -> Option<Colour> {
        let plain = pixels.filter(|(_, stroke)| stroke.coverage >= PLAIN);
        let count = plain.clone().count() as f64;
        let mean = plain.clone().fold([0.0; 3], |sum, (pixel, _)| {
            [0, 1, 2].map(|channel| sum[channel] + f64::from(pixel[channel]) / count)
        });
        let (colour, _, residual) = self.nearest(difference(mean, self.ground), STRENGTH);
        let agreeing = plain.filter(|(_, stroke)| stroke.colour == colour).count() as f64;
        (agreeing > 0.0 && agreeing >= UNIFORM * count && residual <= TOLERANCE).then_some(colour)
    }

    /// The ink of which some strength comes nearest to an offset from the ground: its colour, that
    /// strength and how far off it is.
    fn nearest(&self, offset: Vector, (least, most): (f64, f64)) -> (Colour, f64, f64) {
        let explanations = Colour::ALL.iter().map(|&colour| {
            let direction = self.direction(colour);
            let strength = share(offset, direction).clamp(least, most);
            let explained = direction.map(|level| strength * level);
            (colour, strength, length(difference(offset, explained)))
        });
        let first = (Colour::ALL[0], least, f64::INFINITY);
        explanations.fold(
            first,
            |best, next| if next.2 < best.2 { next } else { best },
        )
    }

    fn direction(&self, colour: Colour) -> Vector {
        difference(World::get().rgb(colour).map(f64::from), self.ground)
    }
}

/// How many times `direction` fits into `offset`.
fn share(offset: Vector, direction: Vector) -> f64 {
    dot(offset, direction) / dot(direction, direction)
}

pub(super) fn difference(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(super) fn length(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
