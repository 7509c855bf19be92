//! Pictures from formulas: smooth grounds, sharp edges and fine texture, as photos have them.

use std::f64::consts::TAU;

use image::{Rgb, RgbImage};

/// Side in pixels.
const SIZE: u32 = 384;

/// A landscape by day, and its negative turned by a quarter.
pub(super) fn pictures() -> Vec<RgbImage> {
    let day = RgbImage::from_fn(SIZE, SIZE, |x, y| {
        let scale = f64::from(SIZE);
        Rgb(landscape(f64::from(x) / scale, f64::from(y) / scale))
    });
    let mut night = image::imageops::rotate90(&day);
    image::imageops::invert(&mut night);
    vec![day, night]
}

/// The colour at a point, both coordinates from 0 to 1: a sky with a sun over two ridges and grass.
fn landscape(x: f64, y: f64) -> [u8; 3] {
    let far = 0.55 + 0.06 * (TAU * 1.3 * x).sin() + 0.03 * (TAU * 4.1 * x).cos();
    let near = 0.72 + 0.05 * (TAU * 0.8 * x + 1.0).cos();
    let sun = (x - 0.7).hypot(y - 0.22) < 0.09;
    let colour = if y > near {
        let blade = 0.5 + 0.5 * (TAU * (31.0 * x + 9.0 * (7.0 * y).sin())).sin();
        [40.0 + 30.0 * blade, 110.0 + 60.0 * blade, 35.0]
    } else if y > far {
        let shade = (y - far) / (near - far);
        [
            90.0 - 40.0 * shade,
            100.0 - 20.0 * shade,
            120.0 - 60.0 * shade,
        ]
    } else if sun {
        [250.0, 220.0, 120.0]
    } else {
        let cloud = (TAU * (2.0 * x + 0.7 * (TAU * 3.0 * y).sin()))
            .sin()
            .max(0.0);
        let height = y / far;
        [
            90.0 + 90.0 * height + 60.0 * cloud,
            150.0 + 50.0 * height + 40.0 * cloud,
            220.0 + 20.0 * cloud,
        ]
    };
    colour.map(|level| level.clamp(0.0, 255.0) as u8)
}
