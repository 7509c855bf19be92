//! Scenes as pictures: every shape from its signed distance, antialiased, exact to the byte.

use image::{Rgb, RgbImage};

use crate::scene::{Point, Scene};
use crate::words::{Kind, Style};
use crate::world::World;

/// Draws a scene at the world's size.
///
/// The formulas are those of `tools/demo-model/WORLD.md`, in binary64.
pub fn render(scene: &Scene) -> RgbImage {
    let world = World::get();
    let ground = world.background_rgb(scene.background);
    let mut picture = RgbImage::from_pixel(world.image_size, world.image_size, Rgb(ground));
    for shape in &scene.shapes {
        let outline = Outline {
            kind: shape.kind,
            centre: shape.cell.centre(),
            radius: world.radius,
        };
        let ink = world.rgb(shape.colour);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let coverage = outline.coverage(x, y);
            if coverage > 0.0 {
                *pixel = blend(ground, ink, coverage);
            }
        }
    }
    picture
}

/// Where the ink of one shape is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    pub(crate) kind: Kind,
    pub(crate) centre: Point,
    /// How far it reaches from the centre, in pixels.
    pub(crate) radius: f64,
}

impl Outline {
    /// How much of a pixel the shape covers, 0 to 1.
    pub(crate) fn coverage(&self, x: u32, y: u32) -> f64 {
        let x = f64::from(x) + 0.5 - self.centre.x;
        let y = f64::from(y) + 0.5 - self.centre.y;
        (0.5 - signed_distance(self.kind, self.radius, x, y)).clamp(0.0, 1.0)
    }
}

/// How far a point is outside of a shape around the origin; negative inside.
///
/// Above the origin the shape is its upper half, below it its lower half.
fn signed_distance(kind: Kind, r: f64, x: f64, y: f64) -> f64 {
    let [upper, lower] = World::get().halves(kind);
    match if y < 0.0 { upper } else { lower } {
        Style::Round => x.hypot(y) - r,
        Style::Square => x.abs().max(y.abs()) - r,
        Style::Slant => (x.abs() + y.abs() - r) / std::f64::consts::SQRT_2,
    }
}

fn blend(ground: [u8; 3], ink: [u8; 3], coverage: f64) -> Rgb<u8> {
    Rgb([0, 1, 2].map(|channel| {
        let (from, to) = (f64::from(ground[channel]), f64::from(ink[channel]));
        (from + coverage * (to - from) + 0.5).floor() as u8
    }))
}
