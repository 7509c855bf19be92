//! Scenes and demands in words: `white: 0 red circle, 4 blue drop`.
#![allow(
    dead_code,
    reason = "every test is a program of its own and uses a part of this"
)]

use janus_demo::{Cell, Description, Relation, Scene, Shape, Wanted, Word};

/// The word of this name.
pub(crate) fn word<W: Word>(name: &str) -> Option<W> {
    W::ALL.iter().copied().find(|word| word.name() == name)
}

/// A scene: `background: cell colour kind, …`.
pub(crate) fn scene(text: &str) -> Scene {
    let (background, shapes) = text.split_once(':').unwrap();
    let shape = |text: &str| {
        let words: Vec<_> = text.split_whitespace().collect();
        let [cell, colour, kind] = words[..] else {
            panic!("{text:?} is not `cell colour kind`");
        };
        Shape {
            cell: Cell::new(cell.parse().unwrap()).unwrap(),
            kind: word(kind).unwrap(),
            colour: word(colour).unwrap(),
        }
    };
    let shapes = shapes
        .split(',')
        .filter(|text| !text.trim().is_empty())
        .map(shape);
    Scene::new(word(background).unwrap(), shapes.collect())
}

/// A demand: `[background:] [colour] kind, … [relation]`.
pub(crate) fn wanted(text: &str) -> Wanted {
    let (background, text) = text.split_once(':').unwrap_or(("", text));
    let objects = text.split(',').map(|text| {
        let find = |text: &str| text.split_whitespace().find_map(word);
        Description {
            kind: find(text).unwrap(),
            colour: text.split_whitespace().find_map(word),
        }
    });
    Wanted {
        objects: objects.collect(),
        relation: text.split_whitespace().find_map(word::<Relation>),
        background: word(background),
    }
}
