//! `janus eval`

use std::num::NonZeroUsize;
use std::path::PathBuf;

use image::RgbImage;
use janus_demo::{AnyError, ContactSheet, ExamOptions, Examination, Examinee};
use janus_pipeline::{ImageParams, Janus, VqEncoder};

use super::demo::answer;
use crate::context::Context;
use crate::progress::Progress;
use crate::{interrupt, model, output};

/// Pictures of a row of the contact sheet.
const COLUMNS: usize = 8;

/// Arguments of `janus eval`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Draw and answer in the demo model's world, judged by pixel analysis
    ///
    /// Drawing has the six categories of GenEval; answers are compared with what the scene shows;
    /// pictures go through the image tokenizer and back. Combinations that were never trained on
    /// are told apart. Rates have 95 % intervals (Wilson).
    Scenes(Scenes),
}

#[derive(Debug, clap::Args)]
struct Scenes {
    /// The model [default: the embedded demo model]
    model: Option<PathBuf>,
    /// Tasks of each category, trained and held out each
    #[arg(long, value_name = "N", default_value = "100")]
    per_category: NonZeroUsize,
    /// Which tasks
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Weight of classifier-free guidance [default: the model's]
    #[arg(long, short, value_name = "G")]
    guidance: Option<f32>,
    /// Write a contact sheet of right and wrong ones
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A model, as the examination sees it.
struct Candidate {
    janus: Janus,
    encoder: VqEncoder,
    guidance: Option<f32>,
}

impl Examinee for Candidate {
    fn draw(&mut self, prompt: &str, seed: u64) -> Result<RgbImage, AnyError> {
        interrupt::check()?;
        let defaults = self.janus.image_params(seed);
        let guidance_scale = self.guidance.unwrap_or(defaults.guidance_scale);
        let params = ImageParams {
            guidance_scale,
            ..defaults
        };
        Ok(self.janus.generate_images(prompt, &params)?.swap_remove(0))
    }

    fn answer(&mut self, picture: &RgbImage, question: &str) -> Result<String, AnyError> {
        Ok(answer(&mut self.janus, picture, question)?)
    }

    fn round_trip(&mut self, picture: &RgbImage) -> Result<RgbImage, AnyError> {
        interrupt::check()?;
        let tokens = self.encoder.encode(std::slice::from_ref(picture))?;
        Ok(self.janus.vq.decode(&tokens)?.swap_remove(0))
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let What::Scenes(args) = &args.what;
    let model = model::open(args.model.as_deref(), context)?;
    let options = context.session_options()?;
    let mut candidate = Candidate {
        janus: Janus::from_dir(&model, &options)?,
        encoder: VqEncoder::open(&model, &options)?,
        guidance: args.guidance,
    };
    let exam = ExamOptions {
        per_category: args.per_category,
        seed: args.seed,
        samples: if args.sheet.is_some() { 2 } else { 0 },
    };
    let mut bar = Progress::steps("examining", 0, context.global.quiet);
    let report = Examination::run(&mut candidate, &exam, &mut |progress| {
        bar.set_total(progress.total as u64);
        bar.describe(progress.section.name());
        bar.set(progress.done as u64);
    });
    drop(bar);
    let report = report?;
    if let Some(path) = &args.sheet {
        let mut sheet = ContactSheet::new();
        report
            .samples
            .iter()
            .for_each(|sample| sheet.add_sample(sample));
        output::write_png(path, &sheet.draw(COLUMNS), None, true)?;
    }
    match args.json {
        true => output::json(&report),
        false => Ok(output::line(&report)?),
    }
}
