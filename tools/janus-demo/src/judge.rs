//! The judge: what a picture shows, from its pixels alone.
//!
//! 1. `ground`: the border tells the background.
//! 2. `ink`: how much of each pixel is covered, and with which colour.
//! 3. `components`: pixels covered by half or more that touch make a shape.
//! 4. `outline`: the kind whose drawing, sharp or blurred, overlaps a shape best.

mod components;
mod ground;
mod ink;
mod outline;
mod patch;

use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::judge::components::{Mask, PixelIndex};
use crate::judge::ink::Inks;
use crate::judge::outline::Fit;
use crate::scene::{Cell, Point, Scene, Shape};
use crate::words::{Background, Colour, Kind};
use crate::world::World;

/// Pixels of more coverage than this belong to a shape.
const COVERED: f64 = 0.5;
/// Pixels of more coverage than this, and away from any shape, are something that should not be.
const VISIBLE: f64 = 0.25;
/// Fewer pixels than this are a speck, not a shape. The smallest shape has 98.
const SPECK: usize = 6;
/// How far the soft edge of a shape reaches, in pixels.
const EDGE: usize = 2;

/// What a picture shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The background; `None` if the border is not plainly of one of the world's backgrounds. Then
    /// no shapes are looked for.
    pub background: Option<Background>,
    /// Everything else in the picture, from the top down.
    pub shapes: Vec<Found>,
}

/// Something in a picture that is not background.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// What it is; `None` if it looks like no kind of shape.
    pub kind: Option<Kind>,
    /// Its colour; `None` if it has none, or more than one, of the world's colours.
    pub colour: Option<Colour>,
    /// Its middle: where its halves meet, which need not be its centre of mass.
    pub centre: Point,
    /// How wide it is, in pixels.
    pub width: f64,
    /// How high it is, in pixels.
    pub height: f64,
}

impl Reading {
    /// Reads a picture. One of another size than the world's is scaled first.
    ///
    /// The judge knows the world's colours and kinds of shapes, not the model, the prompt or the
    /// board: shapes are found wherever they stand, through some blur and noise.
    pub fn of(picture: &RgbImage) -> Self {
        let side = World::get().image_size;
        if picture.dimensions() == (side, side) {
            read(picture)
        } else {
            read(&imageops::resize(picture, side, side, FilterType::Triangle))
        }
    }

    /// The scene on the board; `None` if anything is not recognised or stands more than an eighth of
    /// a cell from the middle of a cell of its own.
    pub fn scene(&self) -> Option<Scene> {
        let shapes: Vec<_> = self
            .shapes
            .iter()
            .map(Found::on_board)
            .collect::<Option<_>>()?;
        let scene = Scene::new(self.background?, shapes);
        let apart = scene
            .shapes
            .windows(2)
            .all(|pair| pair[0].cell != pair[1].cell);
        apart.then_some(scene)
    }
}

impl Found {
    /// Whether both kind and colour are known.
    pub fn is_recognised(&self) -> bool {
        self.kind.is_some() && self.colour.is_some()
    }

    fn on_board(&self) -> Option<Shape> {
        let cell = Cell::at(self.centre)?;
        let tolerance = f64::from(World::get().cell_size) / 8.0;
        (cell.centre().distance(self.centre) <= tolerance).then_some(())?;
        Some(Shape {
            cell,
            kind: self.kind?,
            colour: self.colour?,
        })
    }
}

fn read(picture: &RgbImage) -> Reading {
    let Some((background, ground)) = ground::find(picture) else {
        return Reading {
            background: None,
            shapes: Vec::new(),
        };
    };
    let inks = Inks::on(ground);
    let width = picture.width() as usize;
    let strokes: Vec<_> = picture.pixels().map(|pixel| inks.stroke(pixel.0)).collect();

    let covered: Vec<_> = strokes
        .iter()
        .map(|stroke| stroke.coverage >= COVERED)
        .collect();
    let mut cores = Mask {
        covered: &covered,
        width,
    }
    .components();
    cores.retain(|core| core.len() >= SPECK);
    let regions = components::grow(&cores, width, covered.len(), EDGE);

    let mut rest: Vec<_> = strokes
        .iter()
        .map(|stroke| stroke.coverage >= VISIBLE)
        .collect();
    for &pixel in regions.iter().flatten() {
        rest[pixel] = false;
    }
    let mut ghosts = Mask {
        covered: &rest,
        width,
    }
    .components();
    ghosts.retain(|ghost| ghost.len() >= SPECK);

    let shapes = cores.iter().zip(&regions).map(|(core, region)| {
        let colour = inks.colour_of(core.iter().map(|&i| (picture_rgb(picture, i), strokes[i])));
        found(picture, &inks, region, colour)
    });
    // A ghost is too faint to have a colour of its own, and so is never taken for a shape.
    let ghosts = ghosts
        .iter()
        .map(|ghost| found(picture, &inks, ghost, None));
    let mut shapes: Vec<_> = shapes.chain(ghosts).collect();
    shapes.sort_by(|a, b| {
        let (a, b) = (a.centre, b.centre);
        a.y.total_cmp(&b.y).then(a.x.total_cmp(&b.x))
    });
    Reading {
        background: Some(background),
        shapes,
    }
}

/// One shape from the pixels around it.
fn found(picture: &RgbImage, inks: &Inks, region: &[PixelIndex], colour: Option<Colour>) -> Found {
    let width = picture.width() as usize;
    let coverage: Vec<_> = region
        .iter()
        .map(|&i| {
            let coverage = inks.coverage(picture_rgb(picture, i), colour);
            ((i % width) as u32, (i / width) as u32, coverage)
        })
        .collect();
    let fit = Fit::best(&coverage);
    let solid = coverage
        .iter()
        .filter(|(_, _, coverage)| *coverage >= COVERED);
    let extent = |along: fn(&(u32, u32, f64)) -> u32| {
        let (low, high) = solid
            .clone()
            .map(along)
            .fold((u32::MAX, 0), |(low, high), at| (low.min(at), high.max(at)));
        f64::from((high + 1).saturating_sub(low))
    };
    Found {
        kind: fit.kind(),
        colour,
        centre: fit.outline.centre,
        width: extent(|pixel| pixel.0),
        height: extent(|pixel| pixel.1),
    }
}

fn picture_rgb(picture: &RgbImage, index: PixelIndex) -> [u8; 3] {
    let index = index as u32;
    picture
        .get_pixel(index % picture.width(), index / picture.width())
        .0
}
