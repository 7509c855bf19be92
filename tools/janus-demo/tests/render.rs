//! Pictures are those of the program that trained the demo model.
//!
//! `data/scenes.png` holds the nine scenes of `data/scenes.json` side by side, as `assemble` of
//! `tools/demo-model/world.py` draws them: every pair of kind and colour, every cell and both backgrounds.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use image::GenericImageView;
use janus_demo::{Background, Cell, Colour, Kind, Scene, Shape, World, render};
use serde::Deserialize;

#[derive(Deserialize)]
struct DrawnScene {
    background: Background,
    shapes: Vec<DrawnShape>,
}

#[derive(Deserialize)]
struct DrawnShape {
    cell: usize,
    kind: Kind,
    colour: Colour,
}

fn drawn_scenes() -> Vec<Scene> {
    let drawn: Vec<DrawnScene> = serde_json::from_str(include_str!("data/scenes.json")).unwrap();
    let shape = |drawn: DrawnShape| Shape {
        cell: Cell::new(drawn.cell).unwrap(),
        kind: drawn.kind,
        colour: drawn.colour,
    };
    let scene = |drawn: DrawnScene| {
        Scene::new(
            drawn.background,
            drawn.shapes.into_iter().map(shape).collect(),
        )
    };
    drawn.into_iter().map(scene).collect()
}

#[test]
fn pictures_are_those_of_the_training_program() {
    let sheet = image::load_from_memory(include_bytes!("data/scenes.png"))
        .unwrap()
        .to_rgb8();
    let side = World::get().image_size;
    let scenes = drawn_scenes();
    assert_eq!(sheet.dimensions(), (side * scenes.len() as u32, side));
    for (i, scene) in scenes.iter().enumerate() {
        let expected = sheet.view(i as u32 * side, 0, side, side).to_image();
        let drawn = render(scene);
        let furthest = drawn
            .iter()
            .zip(expected.iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(furthest <= Some(1), "scene {i} differs by {furthest:?}");
    }
}
