//! The demo model and its world.
//!
//! A small Janus of our own draws and understands pictures of a few coloured shapes. Its checkpoint
//! is part of the program ([`Checkpoint`]). Its world is so small that what a picture should
//! show, and what the answer to a question is, can be decided exactly: so a model can be examined,
//! this one or any other.
//!
//! ```text
//! Dice ─► DrawingTask ── prompt ──► examinee ─ picture ─► Reading ─► Wanted::check ─► Rate
//!    └──► Scene ─► Question ─ picture, question ─► examinee ─ answer ─► accepts ────► Rate
//! ```
//!
//! This crate knows neither the converter nor the pipeline: who calls it brings an [`Examinee`], and
//! a function that converts.
//!
//! ```
//! use std::num::NonZeroUsize;
//!
//! use image::RgbImage;
//! use janus_demo::{AnyError, ExamOptions, Examination, Examinee};
//!
//! /// Leaves every page blank and always says yes.
//! struct Blank;
//!
//! impl Examinee for Blank {
//!     fn draw(&mut self, _prompt: &str, _seed: u64) -> Result<RgbImage, AnyError> {
//!         Ok(RgbImage::new(48, 48))
//!     }
//!     fn answer(&mut self, _picture: &RgbImage, _question: &str) -> Result<String, AnyError> {
//!         Ok("yes".to_owned())
//!     }
//!     fn round_trip(&mut self, picture: &RgbImage) -> Result<RgbImage, AnyError> {
//!         Ok(picture.clone())
//!     }
//! }
//!
//! # fn main() -> Result<(), janus_demo::Error> {
//! let options = ExamOptions { per_category: NonZeroUsize::MIN, seed: 0, samples: 0 };
//! let report = Examination::run(&mut Blank, &options, &mut |_| ())?;
//! assert_eq!(report.drawing.overall.trained.share(), 0.0);
//! assert_eq!(report.round_trip.map(|line| line.trained.share()), Some(1.0));
//! # Ok(())
//! # }
//! ```

mod contact_sheet;
mod dice;
mod embedded;
mod error;
mod exam;
mod examinee;
mod judge;
mod prompt;
mod question;
mod rate;
mod render;
mod report;
mod scene;
mod verdict;
mod words;
mod world;

pub use contact_sheet::{ContactSheet, Frame};
pub use dice::Dice;
pub use embedded::Checkpoint;
pub use error::{AnyError, Error, Result};
pub use exam::{ExamOptions, Examination, Progress, Sample, Section};
pub use examinee::{DrawRequest, Examinee};
pub use judge::{Found, Reading};
pub use prompt::{Description, DrawingTask, Wanted};
pub use question::Question;
pub use rate::Rate;
pub use render::render;
pub use report::{Line, Part, Report};
pub use scene::{Cell, Point, Scene, Shape};
pub use verdict::Fault;
pub use words::{Background, Category, Colour, Kind, Relation, Split, Style, Topic, Word};
pub use world::{Rgb, World};
