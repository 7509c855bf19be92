//! `janus validate`

use std::fmt::Display;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use janus_demo::{Category, Dice, DrawingTask, Question, Split, Topic, Word, render};
use janus_runtime::ModelDir;
use janus_runtime::manifest::DType;
use janus_validate::{
    Error, Material, PrecisionOptions, PrecisionReport, Report, Shown, compare_precision, validate,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::args::Global;
use crate::context::Context;
use crate::export::Dtype;
use crate::failure::Failure;
use crate::model::Model;
use crate::progress::Progress;
use crate::{interrupt, output};

const EXAMPLES: &str = "\
Examples:
  janus validate models/janus-pro-1b --golden golden.safetensors
  janus validate models/janus-pro-1b-fp16 --golden golden.safetensors --tolerance 1e-3 --json
  janus validate models/janus-pro-1b-fp16 --compare-with models/janus-pro-1b
  janus validate --dtype fp16 --compare-with           the demo model against its own fp32

The golden file has inputs, and outputs that a reference implementation computed from them:
  pixel_values                          image_embeds
  text_input_ids (with pixel_values)    text_inputs_embeds, text_logits
  text_forced_ids (after those)         text_forced_logits
  image_prompt_ids, image_forced_tokens image_forced_logits_cond, …_uncond, …_cfg5
  image_forced_tokens                   decoded_pixels
  vq_pixels                             vq_tokens
What it lacks is not checked. Told is ‖found − expected‖ / ‖expected‖ of each output, and the element
that is farthest off; integers have to be equal.

With --compare-with the reference answers and draws, sampling with --seed; then the model reads the
same tokens, and its prediction of each is compared. P are the reference's probabilities, Q the
model's, t is the token that the reference drew:
  mean KL      mean of Σ P (ln P − ln Q), in nats per token
  99 % KL      what 99 % of the positions do not exceed
  |Δ log p|    mean of |ln Q(t) − ln P(t)|
  top-1        share of positions where both find the same token most probable
  clear top-1  the same where P of that token is at least twice that of any other
Image tokens are predicted by the row that has the prompt (conditional), and after guidance. Each graph
is also run alone on what the reference's graphs hand on: told is the relative error, as above, or
the share of image tokens that are equal.

Exit status 6: something is beyond the tolerance, or the limits of the model's precision.";

/// How often each kind of drawing and of question is among what the demo model is given.
const DEMO_ROUNDS: u64 = 8;

/// Compare an export with a reference's numbers, or with another precision
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    group(clap::ArgGroup::new("reference").required(true).args(["golden", "compare_with"]))
)]
pub(crate) struct Args {
    /// An exported directory or a checkpoint [default: the embedded demo model]
    model: Option<PathBuf>,
    /// The safetensors file with inputs and expected outputs
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Relative error that passes [default: 1e-5 for fp32, 5e-3 for fp16, 5e-2 for q8, 1e-1 for q4]
    #[arg(long, value_name = "T", value_parser = tolerance, conflicts_with = "compare_with")]
    tolerance: Option<f64>,
    /// Another export of the same weights [default: in fp32, of the checkpoint that MODEL is]
    #[arg(long, value_name = "REFERENCE", num_args = 0..=1)]
    compare_with: Option<Option<PathBuf>>,
    /// Tokens to compare of answers, of answers about pictures, and of pictures
    #[arg(
        long, value_name = "N", default_value_t = 64, conflicts_with = "golden",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    positions: u32,
    /// Which tokens the reference draws
    #[arg(long, value_name = "S", default_value_t = 0, conflicts_with = "golden")]
    seed: u64,
    /// A text file with a prompt in each line, to draw and to answer [default: built-in ones]
    #[arg(long, value_name = "FILE", conflicts_with = "golden")]
    prompts: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A report, for machines.
#[derive(Serialize)]
struct Verdict<'a, R> {
    passed: bool,
    dtype: DType,
    #[serde(flatten)]
    report: &'a R,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(tolerance) if tolerance >= 0.0 => Ok(tolerance),
        _ => Err("a number from 0 on, such as 1e-4".to_owned()),
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let model = Model::open(args.model.as_deref(), context)?;
    match &args.golden {
        Some(golden) => check_golden(&model, golden, args, context),
        None => check_precision(&model, args, context),
    }
}

fn check_golden(
    model: &Model,
    golden: &Path,
    args: &Args,
    context: &Context,
) -> anyhow::Result<()> {
    let options = context.session_options()?;
    let report: Report = validate(&model.dir, &options, golden, args.tolerance)?;
    tell(&report, report.passed(), &model.dir, args.json)?;
    let beyond = report.rows.iter().filter(|row| !row.passed);
    let names: Vec<_> = beyond.map(|row| row.name.as_str()).collect();
    expect_none("beyond tolerance", &names)
}

fn check_precision(model: &Model, args: &Args, context: &Context) -> anyhow::Result<()> {
    let reference = open_reference(args, context)?;
    let material = match &args.prompts {
        Some(file) => Material::of_prompts(prompts(file)?)?,
        None if is_demo(&model.dir) => demo_material(),
        None => Material::generic(),
    };
    let wanted = PrecisionOptions {
        positions: args.positions as usize,
        seed: args.seed,
    };
    let report = compare(model, &reference, &material, &wanted, context)?;
    tell(&report, report.passed(), &model.dir, args.json)?;
    expect_none("beyond the limits", &report.failed())
}

/// Compares with a progress bar. Ctrl-C stops it between two steps.
fn compare(
    model: &Model,
    reference: &Model,
    material: &Material,
    wanted: &PrecisionOptions,
    context: &Context,
) -> anyhow::Result<PrecisionReport> {
    let options = context.session_options()?;
    let _steps = interrupt::steps();
    let mut bar = Progress::steps("opening", context);
    let mut progress = |progress: janus_validate::PrecisionProgress| {
        let whose = if progress.reference {
            "reference"
        } else {
            "model"
        };
        bar.describe(&format!("{whose}: {}", progress.stage));
        bar.set(progress.done as u64, progress.total as u64);
        match interrupt::asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let (model, reference) = (&model.dir, &reference.dir);
    let report = compare_precision(model, reference, &options, material, wanted, &mut progress);
    match report {
        Err(Error::Cancelled) => Err(Failure::Interrupted.into()),
        report => Ok(report?),
    }
}

/// What --compare-with names, or the 32-bit export of the checkpoint that MODEL names. --dtype is
/// the model's.
fn open_reference(args: &Args, context: &Context) -> anyhow::Result<Model> {
    let (path, dtype) = match &args.compare_with {
        Some(Some(path)) => (Some(path), None),
        _ => (args.model.as_ref(), Some(Dtype::Fp32)),
    };
    let global = Global {
        dtype,
        // What is told in detail is told by the first context.
        verbose: false,
        ..context.global.clone()
    };
    Model::open(path.map(PathBuf::as_path), &Context::new(global))
}

fn tell(
    report: &(impl Serialize + Display),
    passed: bool,
    model: &ModelDir,
    json: bool,
) -> anyhow::Result<()> {
    let dtype = model.manifest().converter.dtype;
    match json {
        true => output::json(&Verdict {
            passed,
            dtype,
            report,
        }),
        false => Ok(output::line(report)?),
    }
}

fn expect_none(what: &str, names: &[impl AsRef<str>]) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    Err(Failure::Check(format!("{what}: {}", names.join("; "))).into())
}

/// The prompts of a file, one in each line that is not blank.
fn prompts(file: &Path) -> Result<Vec<String>, Failure> {
    let text = fs::read_to_string(file).map_err(|source| Failure::Read {
        path: file.to_owned(),
        source,
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let prompts: Vec<_> = lines.map(str::to_owned).collect();
    match prompts.is_empty() {
        true => Err(Failure::Input(format!(
            "`{}` has no prompt",
            file.display()
        ))),
        false => Ok(prompts),
    }
}

/// Whether a model was made from the checkpoint that is part of this program.
fn is_demo(model: &ModelDir) -> bool {
    let files = &model.manifest().source.files;
    !files.is_empty()
        && files.iter().all(|(name, entry)| {
            let embedded = janus_demo::CHECKPOINT.iter().find(|(own, _)| own == name);
            embedded.is_some_and(|(_, content)| hexadecimal(content) == entry.sha256)
        })
}

fn hexadecimal(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Drawings, scenes and questions of the demo model's world.
fn demo_material() -> Material {
    let mut material = Material {
        drawings: Vec::new(),
        questions: Vec::new(),
        shown: Vec::new(),
    };
    for round in 0..DEMO_ROUNDS {
        for &category in Category::ALL {
            let mut dice = Dice::new(round, category.index() as u64);
            let task = DrawingTask::sample(&mut dice, category, Split::Trained);
            material.drawings.push(task.prompt);
        }
        for &topic in Topic::ALL {
            let mut dice = Dice::new(round, (Category::ALL.len() + topic.index()) as u64);
            let question = Question::sample(&mut dice, topic, Split::Trained);
            material.questions.push(question.text.clone());
            material.shown.push(Shown {
                picture: render(&question.scene),
                question: question.text,
            });
        }
    }
    material
}
