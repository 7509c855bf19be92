//! The examination: GenEval's six categories of drawing, questions, and the image tokenizer alone.

use std::fmt;
use std::num::NonZeroUsize;

use image::RgbImage;

use crate::dice::Dice;
use crate::error::{Error, Result};
use crate::examinee::{DrawRequest, Examinee};
use crate::judge::Reading;
use crate::prompt::DrawingTask;
use crate::question::Question;
use crate::rate::Rate;
use crate::render::render;
use crate::report::{Line, Part, Report};
use crate::scene::Scene;
use crate::words::{Category, Split, Topic, Word};

/// What to examine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExamOptions {
    /// How many tasks each category, topic and the image tokenizer get, trained and held out each.
    pub per_category: NonZeroUsize,
    /// The same seed gives the same tasks; more of them begin with the same ones.
    pub seed: u64,
    /// How many right and how many wrong samples are kept of each category and topic, trained and
    /// held out each.
    pub samples: usize,
}

/// A part of the examination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Drawing what prompts ask for.
    Drawing(Category),
    /// Answering questions about drawn scenes.
    Answering(Topic),
    /// Pictures encoded to tokens and decoded again.
    RoundTrip,
}

/// How far an examination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What was just done.
    pub section: Section,
    /// How many tasks are done.
    pub done: usize,
    /// How many there are in all.
    pub total: usize,
}

/// One task with its outcome, kept to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The part of the examination.
    pub section: Section,
    /// Whether it shows held-out pairs.
    pub split: Split,
    /// The picture that was drawn, asked about or decoded.
    pub picture: RgbImage,
    /// The prompt, or the question and the answer, and what is wrong.
    pub caption: String,
    /// Whether it was right.
    pub right: bool,
}

/// An examination under way.
pub struct Examination<'a> {
    examinee: &'a mut dyn Examinee,
    options: &'a ExamOptions,
    progress: &'a mut dyn FnMut(Progress),
    done: usize,
    samples: Vec<Sample>,
}

impl Examination<'_> {
    /// Examines, and tells `progress` after every task or batch.
    ///
    /// # Errors
    ///
    /// [`Error::Draw`], [`Error::DrawCount`], [`Error::Answer`] or [`Error::RoundTrip`] as soon as
    /// the examinee fails.
    pub fn run(
        examinee: &mut dyn Examinee,
        options: &ExamOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Report> {
        let mut exam = Examination {
            examinee,
            options,
            progress,
            done: 0,
            samples: Vec::new(),
        };
        let drawing = exam.take(Category::ALL.iter().copied().map(Section::Drawing))?;
        let answering = exam.take(Topic::ALL.iter().copied().map(Section::Answering))?;
        let round_trip = match exam.examinee.has_image_tokenizer() {
            true => Some(exam.take_section(Section::RoundTrip)?),
            false => None,
        };
        Ok(Report {
            seed: options.seed,
            per_category: options.per_category,
            drawing,
            answering,
            round_trip,
            samples: exam.samples,
        })
    }

    fn take(&mut self, sections: impl Iterator<Item = Section>) -> Result<Part> {
        let lines = sections
            .map(|section| self.take_section(section))
            .collect::<Result<_>>()?;
        Ok(Part::new(lines))
    }

    fn take_section(&mut self, section: Section) -> Result<Line> {
        let trained = self.take_split(section, Split::Trained)?;
        let held_out = match section.has_held_out() {
            true => Some(self.take_split(section, Split::HeldOut)?),
            false => None,
        };
        Ok(Line {
            name: section.name(),
            trained,
            held_out,
        })
    }

    fn take_split(&mut self, section: Section, split: Split) -> Result<Rate> {
        match section {
            Section::Drawing(category) => self.draw(category, split),
            Section::Answering(topic) => self.answer(topic, split),
            Section::RoundTrip => self.round_trip(split),
        }
    }

    fn draw(&mut self, category: Category, split: Split) -> Result<Rate> {
        let section = Section::Drawing(category);
        let tasks: Vec<_> = self
            .dice(section, split)
            .map(|mut dice| (DrawingTask::sample(&mut dice, category, split), dice.bits()))
            .collect();
        let mut rate = Rate::default();
        for batch in tasks.chunks(self.examinee.batch_size().max(1)) {
            let pictures = self.draw_batch(batch)?;
            for ((task, _), picture) in batch.iter().zip(pictures) {
                let verdict = task.wanted.check(&Reading::of(&picture));
                let caption = match verdict {
                    Ok(()) => task.prompt.clone(),
                    Err(fault) => format!("{} ({fault})", task.prompt),
                };
                let right = verdict.is_ok();
                rate.record(right);
                self.keep(Sample {
                    section,
                    split,
                    picture,
                    caption,
                    right,
                });
            }
            self.advance(section, batch.len());
        }
        Ok(rate)
    }

    fn draw_batch(&mut self, batch: &[(DrawingTask, u64)]) -> Result<Vec<RgbImage>> {
        let requests: Vec<_> = batch
            .iter()
            .map(|(task, seed)| DrawRequest {
                prompt: &task.prompt,
                seed: *seed,
            })
            .collect();
        let pictures = self.examinee.draw_batch(&requests).map_err(|source| {
            let prompt = requests
                .first()
                .map_or("", |request| request.prompt)
                .to_owned();
            Error::Draw { prompt, source }
        })?;
        if pictures.len() == requests.len() {
            Ok(pictures)
        } else {
            Err(Error::DrawCount {
                expected: requests.len(),
                found: pictures.len(),
            })
        }
    }

    fn answer(&mut self, topic: Topic, split: Split) -> Result<Rate> {
        let section = Section::Answering(topic);
        let mut rate = Rate::default();
        for mut dice in self.dice(section, split) {
            let question = Question::sample(&mut dice, topic, split);
            let picture = render(&question.scene);
            let answer = self
                .examinee
                .answer(&picture, &question.text)
                .map_err(|source| {
                    let question = question.text.clone();
                    Error::Answer { question, source }
                })?;
            let right = question.accepts(&answer);
            let mut caption = format!("{} {}", question.text, answer.trim());
            if !right {
                caption += &format!(" ({})", question.answer);
            }
            rate.record(right);
            self.keep(Sample {
                section,
                split,
                picture,
                caption,
                right,
            });
            self.advance(section, 1);
        }
        Ok(rate)
    }

    fn round_trip(&mut self, split: Split) -> Result<Rate> {
        let section = Section::RoundTrip;
        let mut rate = Rate::default();
        for mut dice in self.dice(section, split) {
            let scene = Scene::sample(&mut dice, split);
            let round_trip = self.examinee.round_trip(&render(&scene));
            let picture = round_trip.map_err(|source| Error::RoundTrip { source })?;
            let right = Reading::of(&picture).scene().as_ref() == Some(&scene);
            let caption = if right { "as it was" } else { "not as it was" }.to_owned();
            rate.record(right);
            self.keep(Sample {
                section,
                split,
                picture,
                caption,
                right,
            });
            self.advance(section, 1);
        }
        Ok(rate)
    }

    /// The random choices of each task of a section.
    fn dice(&self, section: Section, split: Split) -> impl Iterator<Item = Dice> + use<> {
        let seed = self.options.seed;
        let first = (section.index() as u64) << 33 | (split.index() as u64) << 32;
        (0..self.options.per_category.get()).map(move |i| Dice::new(seed, first + i as u64))
    }

    fn advance(&mut self, section: Section, tasks: usize) {
        self.done += tasks;
        let tokenizer = self.examinee.has_image_tokenizer();
        let sections = Section::all().filter(|s| tokenizer || *s != Section::RoundTrip);
        let splits = sections.map(|section| 1 + usize::from(section.has_held_out()));
        let total = splits.sum::<usize>() * self.options.per_category.get();
        (self.progress)(Progress {
            section,
            done: self.done,
            total,
        });
    }

    fn keep(&mut self, sample: Sample) {
        let alike = |kept: &&Sample| {
            (kept.section, kept.split, kept.right) == (sample.section, sample.split, sample.right)
        };
        if self.samples.iter().filter(alike).count() < self.options.samples {
            self.samples.push(sample);
        }
    }
}

impl Section {
    /// Every section, in the order of the examination.
    pub fn all() -> impl Iterator<Item = Self> {
        let drawing = Category::ALL.iter().copied().map(Self::Drawing);
        let answering = Topic::ALL.iter().copied().map(Self::Answering);
        drawing.chain(answering).chain([Self::RoundTrip])
    }

    /// The name in JSON: that of the category or topic.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drawing(category) => category.name(),
            Self::Answering(topic) => topic.name(),
            Self::RoundTrip => "round_trip",
        }
    }

    /// Whether held-out pairs are examined too: not where prompts leave the colour or kind open.
    pub fn has_held_out(self) -> bool {
        match self {
            Self::Drawing(category) => category.names_pairs(),
            Self::Answering(_) | Self::RoundTrip => true,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Drawing(category) => category.index(),
            Self::Answering(topic) => Category::ALL.len() + topic.index(),
            Self::RoundTrip => Category::ALL.len() + Topic::ALL.len(),
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name().replace('_', " ");
        match self {
            Self::Drawing(_) => write!(f, "drawing: {name}"),
            Self::Answering(_) => write!(f, "answering: {name}"),
            Self::RoundTrip => f.write_str(&name),
        }
    }
}
