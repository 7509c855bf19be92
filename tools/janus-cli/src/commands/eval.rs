//! `janus eval`

use std::num::NonZeroUsize;
use std::path::PathBuf;

use image::RgbImage;
use janus_demo::{AnyError, ContactSheet, ExamOptions, Examination, Examinee, Report};
use janus_pipeline::{ImageParams, Janus, VqEncoder};
use janus_runtime::manifest::DrawingConfig;

use super::demo::answer;
use super::image::{finite, flow};
use crate::context::Context;
use crate::files::Pattern;
use crate::model::Model;
use crate::progress::Progress;
use crate::{interrupt, output};

const EXAMPLES: &str = "\
Examples:
  janus eval scenes --per-category 20 --sheet scenes.png
  janus eval scenes --per-category 100 --json > scenes.json
  janus eval scenes models/janusflow --solver euler          by the official rule, in its 30 steps";

/// Pictures of a row of the contact sheet.
const COLUMNS: usize = 8;
/// Right ones, and wrong ones, that the sheet shows of each category or topic.
const SAMPLES: usize = 2;

/// Examine a model
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Draw and answer in the demo model's world, judged by the pixels
    ///
    /// Drawing has the six categories of GenEval; a judge that knows nothing of the model reads the
    /// pixels. Questions are about freshly drawn scenes, whose truth is known. Pictures go through
    /// the image tokenizer and back, if the model has one. Combinations of colour and kind that were
    /// never trained on are told apart. Every rate has a 95 % confidence interval.
    Scenes(Scenes),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Scenes {
    /// An exported directory or a checkpoint [default: the embedded demo model]
    model: Option<PathBuf>,
    /// Tasks of each category and topic, trained and held out each
    #[arg(long, value_name = "N", default_value = "100")]
    per_category: NonZeroUsize,
    /// Which tasks; more of them begin with the same ones
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Weight of classifier-free guidance [default: the model's]
    #[arg(long, short, value_name = "G", allow_negative_numbers = true, value_parser = finite)]
    guidance: Option<f32>,
    /// Write a contact sheet of right and wrong ones
    #[arg(long, value_name = "FILE")]
    sheet: Option<String>,
    /// Replace the file of --sheet if it is there already
    #[arg(long, short, requires = "sheet")]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flow: flow::Flags,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let What::Scenes(args) = &args.what;
    let sheet = args.sheet.as_ref();
    let sheet = sheet.map(|name| Pattern::named(name, 1, args.force));
    let sheet = sheet.transpose()?;
    let report = examine(args, context)?;
    if let Some(file) = sheet {
        let mut sheet = ContactSheet::new();
        report.samples.iter().for_each(|s| sheet.add_sample(s));
        file.write(0, &sheet.draw(COLUMNS), &())?;
    }
    match args.json {
        true => output::json(&report),
        false => Ok(output::line(&report)?),
    }
}

fn examine(args: &Scenes, context: &Context) -> anyhow::Result<Report> {
    let model = Model::open(args.model.as_deref(), context)?;
    let encoder = match model.dir.manifest().drawing {
        DrawingConfig::Tokens(_) => {
            args.flow.refuse(&model)?;
            Some(VqEncoder::open(&model.dir, &context.session_options()?)?)
        }
        DrawingConfig::Flow(_) => None,
    };
    let mut candidate = Candidate {
        janus: model.janus(context)?,
        encoder,
        guidance: args.guidance,
        flow: args.flow.clone(),
    };
    let options = ExamOptions {
        per_category: args.per_category,
        seed: args.seed,
        samples: if args.sheet.is_some() { SAMPLES } else { 0 },
    };
    let _steps = interrupt::steps();
    let mut bar = Progress::steps("examining", context);
    let report = Examination::run(&mut candidate, &options, &mut |progress| {
        bar.describe(&progress.section.to_string());
        bar.set(progress.done as u64, progress.total as u64);
    });
    Ok(report?)
}

/// A model, as the examination sees it.
struct Candidate {
    janus: Janus,
    /// Of the image tokenizer, where there is one.
    encoder: Option<VqEncoder>,
    guidance: Option<f32>,
    flow: flow::Flags,
}

impl Examinee for Candidate {
    fn draw(&mut self, prompt: &str, seed: u64) -> Result<RgbImage, AnyError> {
        interrupt::check()?;
        let mut pictures = match self.janus.manifest().drawing {
            DrawingConfig::Tokens(_) => {
                let own = self.janus.image_params(seed);
                let params = ImageParams {
                    guidance_scale: self.guidance.unwrap_or(own.guidance_scale),
                    ..own
                };
                self.janus.generate_images(prompt, &params)?
            }
            DrawingConfig::Flow(_) => {
                let params = self.flow.params(&self.janus, seed, self.guidance)?;
                self.janus.generate_flow_images(prompt, &params)?
            }
        };
        Ok(pictures.swap_remove(0))
    }

    fn answer(&mut self, picture: &RgbImage, question: &str) -> Result<String, AnyError> {
        interrupt::check()?;
        Ok(answer(&mut self.janus, picture, question)?)
    }

    fn has_image_tokenizer(&self) -> bool {
        self.encoder.is_some()
    }

    fn round_trip(&mut self, picture: &RgbImage) -> Result<RgbImage, AnyError> {
        interrupt::check()?;
        let encoder = self.encoder.as_mut().ok_or("no image tokenizer")?;
        let tokens = encoder.encode(std::slice::from_ref(picture))?;
        Ok(self.janus.vq()?.decode(&tokens)?.swap_remove(0))
    }
}
