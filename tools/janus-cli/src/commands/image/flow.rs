//! `janus image` with a model that draws by rectified flow.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use image::RgbImage;
use janus_pipeline::{FlowParams, FlowStream, Guidance, Janus, MAX_STEPS, Result, Solver};
use serde::Serialize;
use serde_json::json;

use super::{Args, sampling};
use crate::context::Context;
use crate::drawing::printed;
use crate::failure::Failure;
use crate::files::Pattern;
use crate::model::Model;
use crate::progress::Progress;
use crate::{interrupt, output, picture};

/// How the steps of a rectified flow are made.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Rectified flow (JanusFlow)")]
pub(crate) struct Flags {
    /// Steps from noise to picture [default: 12; with --solver euler those of the official code, 30]
    #[arg(long, value_name = "N", value_parser = steps)]
    steps: Option<usize>,
    /// How they are made: euler (as the official code does), heun (two evaluations a step), ab2 or
    /// dpm++2m [default: ab2]
    #[arg(long, value_name = "SOLVER")]
    solver: Option<Solver>,
    /// Guide from this time on: 0 is noise, 1 the picture [default: 0]
    #[arg(long, value_name = "T")]
    guidance_from: Option<f64>,
    /// Guide before this time; steps without guidance take half as long [default: 1]
    #[arg(long, value_name = "T")]
    guidance_until: Option<f64>,
}

impl Flags {
    /// Fails if there are any: the model draws by image tokens.
    pub(crate) fn refuse(&self, model: &Model) -> Result<(), Failure> {
        let given = [
            ("--steps", self.steps.is_some()),
            ("--solver", self.solver.is_some()),
            ("--guidance-from", self.guidance_from.is_some()),
            ("--guidance-until", self.guidance_until.is_some()),
        ];
        refuse(&given, model)
    }

    /// The model's own settings where none were given.
    pub(crate) fn params(
        &self,
        janus: &Janus,
        seed: u64,
        guidance: Option<f32>,
    ) -> Result<FlowParams> {
        let own = match self.solver {
            Some(solver) => FlowParams::of(janus.manifest(), solver, seed)?,
            None => janus.flow_params(seed)?,
        };
        let scale = guidance.unwrap_or(own.guidance.scale);
        let (from, until) = (self.guidance_from, self.guidance_until);
        Ok(FlowParams {
            steps: self.steps.unwrap_or(own.steps),
            guidance: Guidance::new(scale).between(from.unwrap_or(0.0), until.unwrap_or(1.0)),
            ..own
        })
    }
}

/// Fails if a setting was given that is of no use to a model.
fn refuse(given: &[(&str, bool)], model: &Model) -> Result<(), Failure> {
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => {
            let (name, drawing) = (&model.name, &model.dir.manifest().drawing);
            let message = format!("`{name}` draws by {drawing}, which has no {flag}");
            Err(Failure::usage(message))
        }
        None => Ok(()),
    }
}

fn steps(text: &str) -> Result<usize, String> {
    let steps = text.parse().ok();
    steps
        .filter(|steps| (1..=MAX_STEPS).contains(steps))
        .ok_or_else(|| format!("it should be 1 to {MAX_STEPS}"))
}

/// Draws, and writes the pictures to `files`.
pub(super) fn run(
    args: &Args,
    model: &Model,
    files: &Pattern,
    context: &Context,
    begun: Instant,
) -> anyhow::Result<()> {
    refuse_sampling(&args.sampling, args.window, model)?;
    let prompt = args.operands.text("PROMPT")?;
    let mut janus = model.janus(context)?;
    let drawing = FlowDrawing {
        prompt: prompt.trim(),
        params: params(args, &janus)?,
        model,
        files,
        preview_every: args.preview_every,
    };
    let (pictures, prompt_tokens) = drawing.draw(&mut janus, context)?;
    let mut told = Vec::with_capacity(pictures.len());
    for (i, picture) in pictures.iter().enumerate() {
        let history = drawing.history(i);
        let file = files.write(i, picture, &history)?;
        if !args.json {
            output::line(file.display())?;
        }
        told.push(Told { file, history });
    }
    match args.json {
        true => output::json(&json!({
            "pictures": told,
            "prompt_tokens": prompt_tokens,
            "seconds": begun.elapsed().as_secs_f64(),
        })),
        false => Ok(()),
    }
}

fn refuse_sampling(flags: &sampling::Flags, window: u8, model: &Model) -> Result<(), Failure> {
    let given = [
        ("--window", window > 1),
        ("--temperature", flags.temperature.is_some()),
        ("--top-k", flags.top_k.is_some()),
        ("--top-p", flags.top_p.is_some()),
    ];
    refuse(&given, model)
}

fn params(args: &Args, janus: &Janus) -> anyhow::Result<FlowParams> {
    let seed = args.sampling.seed;
    Ok(FlowParams {
        images: args.images,
        ..args.flow.params(janus, seed, args.guidance)?
    })
}

/// What is to be drawn, how, and where it goes.
struct FlowDrawing<'a> {
    prompt: &'a str,
    params: FlowParams,
    model: &'a Model,
    files: &'a Pattern,
    preview_every: Option<u32>,
}

impl FlowDrawing<'_> {
    /// Draws all steps, and shows how far it is. Ctrl-C stops between two of them. Gives the
    /// pictures and the positions of the prompt.
    fn draw(&self, janus: &mut Janus, context: &Context) -> anyhow::Result<(Vec<RgbImage>, usize)> {
        let _steps = interrupt::steps();
        let mut stream = janus.generate_flow(self.prompt, &self.params)?;
        let total = stream.len();
        let mut bar = Progress::steps("drawing", context);
        while let Some(done) = stream.next() {
            let done = done?;
            interrupt::check()?;
            bar.set(done as u64, total as u64);
            self.preview(&mut stream, done, &bar)?;
        }
        Ok((stream.pictures()?, stream.prompt_tokens()))
    }

    /// Writes the pictures as they are, if it is time to.
    fn preview(
        &self,
        stream: &mut FlowStream<'_>,
        done: usize,
        bar: &Progress,
    ) -> anyhow::Result<()> {
        let due = |every: u32| done.is_multiple_of(every as usize);
        if !self.preview_every.is_some_and(due) || stream.len() == 0 {
            return Ok(());
        }
        let width = self.params.steps.to_string().len();
        for (i, picture) in stream.pictures()?.iter().enumerate() {
            let path = self.files.path(i);
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let path = path.with_file_name(format!("{stem}-step-{done:0width$}.png"));
            picture::write(&path, picture, &self.history(i), true)?;
            bar.aside(|| output::note(path.display()));
        }
        Ok(())
    }

    /// How picture `image` comes about.
    fn history(&self, image: usize) -> History<'_> {
        let manifest = self.model.dir.manifest();
        let FlowParams {
            steps,
            solver,
            guidance,
            seed,
            ..
        } = self.params;
        let files = manifest.source.files.iter();
        History {
            model: &self.model.name,
            prompt: self.prompt,
            seed,
            image,
            steps,
            solver: solver.name(),
            guidance_scale: printed(guidance.scale),
            guidance_from: guidance.from,
            guidance_until: guidance.until,
            family: manifest.family.to_string(),
            dtype: manifest.converter.dtype.to_string(),
            weights: files
                .map(|(name, file)| (name.as_str(), file.sha256.as_str()))
                .collect(),
        }
    }
}

/// How a picture came about: everything that is needed to draw it again.
#[derive(Serialize)]
struct History<'a> {
    model: &'a str,
    prompt: &'a str,
    seed: u64,
    /// Which picture of those that were drawn together, from 0; its stream of noise.
    image: usize,
    steps: usize,
    solver: &'static str,
    guidance_scale: f64,
    guidance_from: f64,
    guidance_until: f64,
    family: String,
    dtype: String,
    /// SHA-256 of every file of the weights that were converted.
    weights: BTreeMap<&'a str, &'a str>,
}

/// A picture as JSON tells it.
#[derive(Serialize)]
struct Told<'a> {
    file: PathBuf,
    #[serde(flatten)]
    history: History<'a>,
}
