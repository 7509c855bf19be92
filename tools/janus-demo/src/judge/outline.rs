//! The kind of a shape: the outline that overlaps it best.

use crate::judge::patch::{Covered, Patch};
use crate::render::Outline;
use crate::scene::Point;
use crate::words::{Kind, Style, Word};
use crate::world::World;

/// The least overlap, of 1, that makes a shape one of a kind.
const LIKENESS: f64 = 0.75;
/// By which factor a radius may be off the world's.
const SLACK: f64 = 1.25;
/// Radii to try, around the one that follows from the area.
const SCALES: [f64; 5] = [0.92, 0.96, 1.0, 1.04, 1.08];
/// How often a drawing is blurred at most, to look for the same in a picture.
const BLURS: usize = 2;

/// An outline and how well it fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    pub(super) outline: Outline,
    /// The common area over the area of both together, 0 to 1.
    pub(super) overlap: f64,
}

impl Fit {
    /// The outline of any kind that fits some pixels best, sharp or blurred.
    ///
    /// A kind is given the area and the centre of mass of the pixels, both of which survive blur;
    /// what remains to be compared is the form.
    pub(super) fn best(pixels: &[Covered]) -> Self {
        let patch = Patch::of(pixels);
        let middle = patch.middle();
        let none = Outline {
            kind: Kind::Circle,
            centre: middle,
            radius: 0.0,
        };
        let mut best = Self {
            outline: none,
            overlap: 0.0,
        };
        for &kind in Kind::ALL {
            for scale in SCALES {
                let radius = (patch.mass() / kind.unit_area()).sqrt() * scale;
                let centre = Point {
                    y: middle.y - kind.unit_drop() * radius,
                    ..middle
                };
                let outline = Outline {
                    kind,
                    centre,
                    radius,
                };
                let overlap = greatest_overlap(&patch, &outline);
                if overlap > best.overlap {
                    best = Self { outline, overlap };
                }
            }
        }
        best
    }

    /// The kind, if form and radius are those of one.
    pub(super) fn kind(&self) -> Option<Kind> {
        let radius = World::get().radius;
        let known = (radius / SLACK..=radius * SLACK).contains(&self.outline.radius);
        (known && self.overlap >= LIKENESS).then_some(self.outline.kind)
    }
}

/// The overlap of a patch with a drawing, or with the most similar of its blurred forms.
fn greatest_overlap(patch: &Patch, outline: &Outline) -> f64 {
    let sharp = patch.drawn(outline);
    let forms = std::iter::successors(Some(sharp), |form| Some(form.blurred()));
    forms
        .take(1 + BLURS)
        .map(|form| patch.overlap(&form))
        .fold(0.0, f64::max)
}

impl Kind {
    /// The area at radius 1.
    fn unit_area(self) -> f64 {
        World::get().halves(self).map(Style::unit_area).iter().sum()
    }

    /// How far the centre of mass is below the origin at radius 1.
    fn unit_drop(self) -> f64 {
        let [upper, lower] = World::get()
            .halves(self)
            .map(|style| style.unit_area() * style.unit_reach());
        (lower - upper) / self.unit_area()
    }
}

impl Style {
    /// The area of a half at radius 1.
    fn unit_area(self) -> f64 {
        match self {
            Self::Round => std::f64::consts::FRAC_PI_2,
            Self::Square => 2.0,
            Self::Slant => 1.0,
        }
    }

    /// How far the centre of mass of a half is from the seam at radius 1.
    fn unit_reach(self) -> f64 {
        match self {
            Self::Round => 4.0 / (3.0 * std::f64::consts::PI),
            Self::Square => 1.0 / 2.0,
            Self::Slant => 1.0 / 3.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outline on pixels, around (40, 40).
    fn pixels(kind: Kind, radius: f64) -> Vec<Covered> {
        let outline = Outline {
            kind,
            centre: Point { x: 40.0, y: 40.0 },
            radius,
        };
        let grid = (0..80).flat_map(|y| (0..80).map(move |x| (x, y)));
        grid.map(|(x, y)| (x, y, outline.coverage(x, y))).collect()
    }

    #[test]
    fn areas_and_centres_are_those_of_the_drawings() {
        for &kind in Kind::ALL {
            let radius = 30.0;
            let drawn = pixels(kind, radius);
            let mass: f64 = drawn.iter().map(|pixel| pixel.2).sum();
            let area = kind.unit_area() * radius * radius;
            assert!((mass / area - 1.0).abs() < 0.01, "{kind}: {mass} {area}");
            let moment: f64 = drawn
                .iter()
                .map(|pixel| (f64::from(pixel.1) + 0.5) * pixel.2)
                .sum();
            let drop = (moment / mass - 40.0) / radius;
            assert!((drop - kind.unit_drop()).abs() < 0.005, "{kind}: {drop}");
        }
    }

    #[test]
    fn every_kind_is_told_from_the_others() {
        for &kind in Kind::ALL {
            for radius in [6.0, 6.5, 7.0, 8.0] {
                let fit = Fit::best(&pixels(kind, radius));
                assert_eq!(fit.kind(), Some(kind), "{kind} {radius}: {fit:?}");
                assert!(fit.overlap > 0.9, "{kind} {radius}: {fit:?}");
                assert!(
                    (fit.outline.radius / radius - 1.0).abs() < 0.06,
                    "{kind} {radius}: {fit:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_no_kind() {
        assert_eq!(Fit::best(&[]).kind(), None);
        assert_eq!(Fit::best(&pixels(Kind::Circle, 20.0)).kind(), None);
        assert_eq!(Fit::best(&pixels(Kind::Circle, 2.0)).kind(), None);
    }
}
