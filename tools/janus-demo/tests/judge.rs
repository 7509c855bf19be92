//! The judge reads what was drawn, and rejects what was not asked for.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod notation;

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use janus_demo::{Category, Dice, DrawingTask, Fault, Reading, Scene, Split, Word, render};
use notation::{scene, wanted};

fn scenes(count: u64) -> impl Iterator<Item = Scene> {
    let splits = Split::ALL.iter().cycle();
    (0..count)
        .zip(splits)
        .map(|(stream, &split)| Scene::sample(&mut Dice::new(11, stream), split))
}

/// How many of so many scenes are read as they were drawn, after `spoil` has been at the pictures.
fn read_right(count: u64, spoil: impl Fn(u64, RgbImage) -> RgbImage) -> u64 {
    let right = |(i, scene): (u64, Scene)| {
        let picture = spoil(i, render(&scene));
        u64::from(Reading::of(&picture).scene() == Some(scene))
    };
    (0..).zip(scenes(count)).map(right).sum()
}

/// Adds up to `most` grey levels to, or takes them from, every channel.
fn noisy(seed: u64, mut picture: RgbImage, most: i16) -> RgbImage {
    let mut dice = Dice::new(seed, 0);
    for level in picture.iter_mut() {
        let change = dice.below(2 * most as usize + 1) as i16 - most;
        *level = (i16::from(*level) + change).clamp(0, 255) as u8;
    }
    picture
}

#[test]
fn rendered_scenes_are_read_as_they_were_drawn() {
    assert_eq!(read_right(2000, |_, picture| picture), 2000);
}

#[test]
fn blur_noise_and_scaling_do_not_mislead() {
    let count = 300;
    let least = count * 99 / 100;
    let right = read_right(count, |_, picture| imageops::blur(&picture, 0.9));
    assert!(right >= least, "blur: {right} of {count}");
    let right = read_right(count, |i, picture| noisy(i, picture, 25));
    assert!(right >= least, "noise: {right} of {count}");
    let right = read_right(count, |i, picture| {
        noisy(i, imageops::blur(&picture, 0.5), 12)
    });
    assert!(right >= least, "both: {right} of {count}");
    let right = read_right(count, |_, picture| {
        imageops::resize(&picture, 384, 384, FilterType::CatmullRom)
    });
    assert!(right >= least, "scaling: {right} of {count}");
}

#[test]
fn shapes_are_found_off_the_board_too() {
    let drawn = render(&scene("white: 4 red diamond"));
    for (dx, dy) in [(0, 0), (-7, 3), (9, -10), (15, 15), (-15, 0)] {
        let mut moved = RgbImage::from_pixel(48, 48, *drawn.get_pixel(0, 0));
        imageops::replace(&mut moved, &drawn, dx, dy);
        let reading = Reading::of(&moved);
        assert_eq!(
            wanted("red diamond").check(&reading),
            Ok(()),
            "{dx} {dy}: {reading:?}"
        );
        let centre = reading.shapes[0].centre;
        assert!((centre.x - 24.0 - dx as f64).abs() < 0.5, "{centre:?}");
        assert!((centre.y - 24.0 - dy as f64).abs() < 0.5, "{centre:?}");
    }
}

#[test]
fn the_scene_of_every_task_is_right() {
    for &category in Category::ALL {
        for stream in 0..200 {
            let task = DrawingTask::sample(&mut Dice::new(12, stream), category, Split::Trained);
            let reading = Reading::of(&render(&task.scene));
            assert_eq!(
                task.wanted.check(&reading),
                Ok(()),
                "{}: {reading:?}",
                task.prompt
            );
        }
    }
}

#[test]
fn wrong_pictures_are_rejected_for_what_is_wrong() {
    let count = |wanted, found| Err(Fault::Count { wanted, found });
    let cases = [
        ("circle", "white: 0 red circle", Ok(())),
        ("circle", "black: 8 blue circle", Ok(())),
        ("circle", "white: 0 red square", Err(Fault::Kind)),
        ("circle", "white: 0 red drop", Err(Fault::Kind)),
        ("circle", "white:", count(1, 0)),
        ("circle", "white: 0 red circle, 1 red circle", count(1, 2)),
        ("red circle", "white: 0 orange circle", Err(Fault::Colour)),
        ("red circle", "white: 0 red shield", Err(Fault::Kind)),
        ("yellow square", "white: 4 yellow square", Ok(())),
        ("circle", "white: 0 red arch", Err(Fault::Kind)),
        ("square", "white: 0 red arch", Err(Fault::Kind)),
        ("square", "black: 0 red shield", Err(Fault::Kind)),
        ("diamond", "white: 0 red drop", Err(Fault::Kind)),
        ("shield", "black: 0 red diamond", Err(Fault::Kind)),
        (
            "shield, shield, shield",
            "black: 0 red shield, 1 blue shield, 5 red shield",
            Ok(()),
        ),
        (
            "shield, shield, shield",
            "black: 0 red shield, 1 blue shield",
            count(3, 2),
        ),
        (
            "shield, shield",
            "black: 0 red shield, 1 red shield, 2 red shield",
            count(2, 3),
        ),
        (
            "shield, shield",
            "black: 0 red shield, 1 red circle",
            Err(Fault::Kind),
        ),
        ("circle, drop", "black: 0 red drop, 1 red circle", Ok(())),
        ("circle, drop", "black: 0 red drop", count(2, 1)),
        (
            "red circle, blue drop",
            "white: 3 blue drop, 7 red circle",
            Ok(()),
        ),
        (
            "red circle, blue drop",
            "white: 3 red drop, 7 blue circle",
            Err(Fault::Colour),
        ),
        (
            "red circle, blue drop",
            "white: 3 blue drop, 7 blue circle",
            Err(Fault::Colour),
        ),
        (
            "red circle, blue circle",
            "white: 3 blue circle, 7 red circle",
            Ok(()),
        ),
        (
            "circle, drop left",
            "white: 3 blue circle, 4 red drop",
            Ok(()),
        ),
        (
            "circle, drop left",
            "white: 0 blue circle, 5 red drop",
            Ok(()),
        ),
        (
            "circle, drop left",
            "white: 0 blue circle, 4 red drop",
            Ok(()),
        ),
        (
            "circle, drop left",
            "white: 4 blue circle, 3 red drop",
            Err(Fault::Relation),
        ),
        (
            "circle, drop left",
            "white: 1 blue circle, 6 red drop",
            Err(Fault::Relation),
        ),
        (
            "circle, drop left",
            "white: 1 blue circle, 7 red drop",
            Err(Fault::Relation),
        ),
        (
            "circle, drop right",
            "white: 5 blue circle, 3 red drop",
            Ok(()),
        ),
        (
            "circle, drop above",
            "white: 1 blue circle, 7 red drop",
            Ok(()),
        ),
        (
            "circle, drop above",
            "white: 7 blue circle, 1 red drop",
            Err(Fault::Relation),
        ),
        (
            "circle, drop below",
            "white: 7 blue circle, 1 red drop",
            Ok(()),
        ),
        (
            "circle, drop below",
            "white: 3 blue circle, 5 red drop",
            Err(Fault::Relation),
        ),
        (
            "circle, circle left",
            "white: 3 blue circle, 5 red circle",
            Ok(()),
        ),
        ("black: circle", "black: 0 red circle", Ok(())),
    ];
    for (asked, shown, expected) in cases {
        let reading = Reading::of(&render(&scene(shown)));
        assert_eq!(
            wanted(asked).check(&reading),
            expected,
            "{asked:?} of {shown:?}: {reading:?}"
        );
    }
    let reading = Reading::of(&render(&scene("white: 0 red circle")));
    assert!(matches!(
        wanted("black: circle").check(&reading),
        Err(Fault::Background { .. })
    ));
}

/// Draws a scene and then over it.
fn painted(shown: &str, ink: impl Fn(u32, u32) -> Option<[u8; 3]>) -> RgbImage {
    let mut picture = render(&scene(shown));
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        if let Some(rgb) = ink(x, y) {
            *pixel = Rgb(rgb);
        }
    }
    picture
}

#[test]
fn no_garbage_passes_for_a_circle() {
    const RED: [u8; 3] = [215, 30, 40];
    const BLUE: [u8; 3] = [40, 80, 220];
    const WHITE: [u8; 3] = [245, 245, 245];
    let inside = |x: u32, y: u32, r: u32| x.abs_diff(24).pow(2) + y.abs_diff(24).pow(2) <= r * r;
    let noise = noisy(3, RgbImage::from_pixel(48, 48, Rgb([128, 128, 128])), 128);
    let pictures = [
        ("empty", painted("white:", |_, _| None)),
        ("noise", noise),
        ("grey", painted("white:", |_, _| Some([128; 3]))),
        ("all red", painted("white:", |_, _| Some(RED))),
        (
            "red and blue halves",
            painted("white:", |x, _| Some(if x < 24 { RED } else { BLUE })),
        ),
        (
            "white and red halves",
            painted("white:", |x, _| (x >= 24).then_some(RED)),
        ),
        ("red top", painted("white:", |_, y| (y < 20).then_some(RED))),
        (
            "chessboard",
            painted("white:", |x, y| ((x / 8 + y / 8) % 2 == 0).then_some(RED)),
        ),
        (
            "stripes",
            painted("white:", |x, _| (x % 12 < 4 && x > 3).then_some(RED)),
        ),
        (
            "bar",
            painted("white:", |x, y| {
                (x > 8 && x < 40 && y > 21 && y < 26).then_some(RED)
            }),
        ),
        (
            "too large",
            painted("white:", |x, y| inside(x, y, 16).then_some(RED)),
        ),
        (
            "too small",
            painted("white:", |x, y| inside(x, y, 2).then_some(RED)),
        ),
        (
            "grey circle",
            painted("white:", |x, y| inside(x, y, 7).then_some([128; 3])),
        ),
        (
            "pink circle",
            painted("white:", |x, y| inside(x, y, 7).then_some([250, 150, 160])),
        ),
        (
            "cyan circle",
            painted("white:", |x, y| inside(x, y, 7).then_some([0, 200, 200])),
        ),
        (
            "two colours",
            painted("white:", |x, y| {
                inside(x, y, 7).then_some(if x < 24 { RED } else { BLUE })
            }),
        ),
        (
            "half a circle",
            painted("white: 4 red circle", |x, _| (x < 24).then_some(WHITE)),
        ),
        (
            "a bite",
            painted("white: 4 red circle", |x, y| {
                (x < 26 && y < 25).then_some(WHITE)
            }),
        ),
        (
            "a smear",
            painted("white: 4 red circle", |x, y| {
                (x > 4 && x < 20 && y > 38 && y < 42).then_some(BLUE)
            }),
        ),
        (
            "a ghost",
            painted("white: 4 red circle", |x, y| {
                (x > 4 && x < 12 && y > 36 && y < 44).then_some([240, 175, 175])
            }),
        ),
        (
            "joined circles",
            painted("white: 3 red circle, 4 red circle", |x, y| {
                (x > 5 && x < 27 && y > 20 && y < 28).then_some(RED)
            }),
        ),
    ];
    for (what, picture) in pictures {
        let reading = Reading::of(&picture);
        assert!(
            wanted("circle").check(&reading).is_err(),
            "{what}: {reading:?}"
        );
        assert!(
            reading.scene().is_none_or(|scene| scene.shapes.is_empty()),
            "{what}: {reading:?}"
        );
    }
}
