//! Scenes as pictures: every shape from its signed distance, antialiased, exact to the byte.

use image::{Rgb, RgbImage};

use crate::scene::{Point, Scene};
use crate::words::Kind;
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
            radius: world.radius(shape.size),
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
    /// In pixels; what it measures depends on the kind.
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
fn signed_distance(kind: Kind, r: f64, x: f64, y: f64) -> f64 {
    let (ax, ay) = (x.abs(), y.abs());
    match kind {
        Kind::Circle => x.hypot(y) - r,
        Kind::Square => ax.max(ay) - 0.85 * r,
        Kind::Triangle => {
            let side = (1.8 * ax - 0.95 * (y + r)) / 1.8_f64.hypot(0.95);
            side.max(y - 0.8 * r)
        }
        Kind::Cross => {
            let upright = (ax - 0.32 * r).max(ay - 0.95 * r);
            let level = (ax - 0.95 * r).max(ay - 0.32 * r);
            upright.min(level)
        }
        Kind::Ring => (x.hypot(y) - 0.72 * r).abs() - 0.26 * r,
    }
}

fn blend(ground: [u8; 3], ink: [u8; 3], coverage: f64) -> Rgb<u8> {
    Rgb([0, 1, 2].map(|channel| {
        let (from, to) = (f64::from(ground[channel]), f64::from(ink[channel]));
        (from + coverage * (to - from) + 0.5).floor() as u8
    }))
}
