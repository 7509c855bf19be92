//! The examination gives examinees of known ability the rates that they deserve.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod examinees;
mod notation;

use std::num::NonZeroUsize;

use examinees::{Guesser, Nonsense, Truthful};
use image::RgbImage;
use janus_demo::{
    AnyError, Category, ContactSheet, Dice, DrawRequest, Error, ExamOptions, Examination, Examinee,
    Rate, Report, Split, Topic, Word,
};

fn examine(examinee: &mut dyn Examinee, per_category: usize, seed: u64) -> Report {
    let per_category = NonZeroUsize::new(per_category).unwrap();
    let options = ExamOptions {
        per_category,
        seed,
        samples: 2,
    };
    let mut done = 0;
    let mut total = 0;
    let report = Examination::run(examinee, &options, &mut |progress| {
        assert!(progress.done > done && progress.done <= progress.total);
        (done, total) = (progress.done, progress.total);
    });
    assert_eq!(done, total);
    report.unwrap()
}

fn rates(report: &Report) -> impl Iterator<Item = Rate> {
    let lines = report.drawing.lines.iter().chain(&report.answering.lines);
    lines
        .chain(&report.round_trip)
        .flat_map(|line| [Some(line.trained), line.held_out])
        .flatten()
}

#[test]
fn the_truth_is_always_right() {
    let report = examine(&mut Truthful, 60, 1);
    assert!(
        rates(&report).all(|rate| rate == Rate::new(60, 60)),
        "{report}"
    );
    assert_eq!(report.drawing.overall.trained.asked(), 6 * 60);
    assert_eq!(report.drawing.overall.held_out.unwrap().asked(), 2 * 60);
    assert_eq!(report.answering.overall.held_out.unwrap().asked(), 8 * 60);
    for (line, category) in report.drawing.lines.iter().zip(Category::ALL) {
        assert_eq!(line.name, category.name());
        assert_eq!(line.held_out.is_some(), category.names_pairs());
    }
}

/// Draws and answers as truthfully, but has no image tokenizer.
struct WithoutTokenizer;

impl Examinee for WithoutTokenizer {
    fn draw(&mut self, prompt: &str, seed: u64) -> Result<RgbImage, AnyError> {
        Truthful.draw(prompt, seed)
    }

    fn answer(&mut self, picture: &RgbImage, question: &str) -> Result<String, AnyError> {
        Truthful.answer(picture, question)
    }

    fn has_image_tokenizer(&self) -> bool {
        false
    }

    fn round_trip(&mut self, _picture: &RgbImage) -> Result<RgbImage, AnyError> {
        Err("there is no image tokenizer".into())
    }
}

#[test]
fn without_an_image_tokenizer_the_rest_is_examined() {
    let report = examine(&mut WithoutTokenizer, 4, 1);
    assert!(report.round_trip.is_none());
    assert!(
        rates(&report).all(|rate| rate == Rate::new(4, 4)),
        "{report}"
    );
}

#[test]
fn nonsense_is_always_wrong() {
    let report = examine(&mut Nonsense, 20, 1);
    assert!(rates(&report).all(|rate| rate.right() == 0), "{report}");
}

#[test]
fn guessing_is_right_by_chance() {
    let report = examine(&mut Guesser(Dice::new(1, 1)), 200, 1);
    let chances = [
        (Topic::Colour, 1.0 / 6.0),
        (Topic::Kind, 1.0 / 6.0),
        (Topic::Count, 1.0 / 5.0),
        (Topic::Position, 1.0 / 9.0),
        (Topic::YesNo, 1.0 / 2.0),
        (Topic::Relation, 1.0 / 2.0),
        (Topic::Background, 1.0 / 2.0),
        (Topic::Caption, 0.0),
    ];
    for (line, (topic, chance)) in report.answering.lines.iter().zip(chances) {
        assert_eq!(line.name, topic.name());
        for rate in [line.trained, line.held_out.unwrap()] {
            // Four standard deviations: one test in 16 000 would fail by chance.
            let slack = 4.0 * f64::sqrt(chance * (1.0 - chance) / 200.0);
            assert!((rate.share() - chance).abs() <= slack, "{topic}: {rate}");
        }
    }
    assert!(report.drawing.overall.trained.share() < 0.1, "{report}");
    assert!(
        report.round_trip.unwrap().trained.share() < 0.02,
        "{report}"
    );
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let report = |seed| examine(&mut Guesser(Dice::new(1, 1)), 10, seed);
    assert_eq!(report(5), report(5));
    assert_ne!(report(5).samples, report(6).samples);
}

#[test]
fn samples_show_right_and_wrong() {
    let report = examine(&mut Guesser(Dice::new(1, 1)), 30, 2);
    let of = |right| {
        report
            .samples
            .iter()
            .filter(move |sample| sample.right == right)
            .count()
    };
    assert!(
        of(true) >= 2 * 7 * 2 && of(false) >= 2 * 8 * 2,
        "{} {}",
        of(true),
        of(false)
    );
    assert!(
        report
            .samples
            .iter()
            .any(|sample| sample.split == Split::HeldOut)
    );
    let mut sheet = ContactSheet::new();
    for sample in &report.samples {
        assert!(!sample.caption.is_empty());
        sheet.add_sample(sample);
    }
    assert!(sheet.draw(8).height() > 1000);
}

/// Draws in batches, as few as it is told to.
struct Batches {
    most: usize,
    sizes: Vec<usize>,
}

impl Examinee for Batches {
    fn draw(&mut self, _prompt: &str, _seed: u64) -> Result<RgbImage, AnyError> {
        Err("draws in batches only".into())
    }

    fn draw_batch(&mut self, requests: &[DrawRequest<'_>]) -> Result<Vec<RgbImage>, AnyError> {
        self.sizes.push(requests.len());
        requests
            .iter()
            .take(self.most)
            .map(|r| Truthful.draw(r.prompt, r.seed))
            .collect()
    }

    fn batch_size(&self) -> usize {
        8
    }

    fn answer(&mut self, _picture: &RgbImage, question: &str) -> Result<String, AnyError> {
        Err(format!("what is meant by {question:?}").into())
    }

    fn round_trip(&mut self, picture: &RgbImage) -> Result<RgbImage, AnyError> {
        Ok(picture.clone())
    }
}

#[test]
fn pictures_are_drawn_in_batches_and_failures_end_the_examination() {
    let per_category = NonZeroUsize::new(20).unwrap();
    let options = ExamOptions {
        per_category,
        seed: 1,
        samples: 0,
    };
    let run = |most| {
        let mut examinee = Batches {
            most,
            sizes: Vec::new(),
        };
        let error = Examination::run(&mut examinee, &options, &mut |_| ()).unwrap_err();
        (error, examinee.sizes)
    };
    let (error, sizes) = run(8);
    assert!(matches!(error, Error::Answer { .. }), "{error}");
    assert_eq!(sizes, [8, 8, 4].repeat(6 + 2));
    let (error, _) = run(5);
    assert!(
        matches!(
            error,
            Error::DrawCount {
                expected: 8,
                found: 5
            }
        ),
        "{error}"
    );
}
