//! `janus validate`

mod foreign;
mod verdict;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use janus_demo::{Category, Checkpoint, Dice, DrawingTask, Question, Split, Topic, Word, render};
use janus_runtime::{ExecutionProvider, ModelDir, SessionOptions};
use janus_validate::{
    BisectReport, Error, ForeignDir, Material, PrecisionOptions, PrecisionReport, Report, Shown,
    StructureReport, bisect, check_placement, check_structure, compare_precision, validate,
};
use sha2::{Digest, Sha256};

use self::verdict::Verdict;
use crate::args::Global;
use crate::context::Context;
use crate::export::Dtype;
use crate::failure::Failure;
use crate::model::Model;
use crate::progress::Progress;
use crate::{interrupt, output};

const EXAMPLES: &str = "\
Examples:
  janus validate models/janus-pro-1b                   the files alone, without running it
  janus validate models/janus-pro-1b --golden golden.safetensors
  janus validate models/janus-pro-1b-fp16 --golden golden.safetensors --tolerance 1e-3 --json
  janus validate models/janus-pro-1b-fp16 --compare-with models/janus-pro-1b
  janus validate --dtype fp16 --compare-with           the demo model against its own fp32
  janus validate models/mine-coreml --provider coreml
  janus validate models/mine --compare-with models/janus-pro-1b --bisect
  janus validate Janus-Pro-1B-ONNX --compare-with models/janus-pro-1b --dtype q4f16

Every file is read and hashed; every graph is checked: operators, values, types, shapes, inputs and
outputs against the manifest, and the place and checksum of each weight. A fault is told with the name
of what has it, and ends the validation.

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

With --bisect each graph runs alone on both sides, and the values between its nodes are compared in
order: told is the first node whose output departs by more than the limit, and which of its weights
differ.

MODEL may also be a directory of graphs that another exporter wrote for Janus or Janus-Pro: the six of
transformers.js, in it or in its folder onnx, in each precision that is there or in --dtype, or a
decoder of onnxruntime-genai or Optimum (model.onnx). Inputs and outputs are mapped by their names.
What needs no manifest is checked; with --compare-with, which names an export of the same weights, both
are given the same prompt with a picture, and steps after it with the cache: told is the largest
relative error of any position. Graphs that are not there are listed.

With --on, or --provider, it is told which nodes that provider has kernels for, by tables that need
neither it nor its device; every matrix product, convolution and attention should be among them.
`janus doctor MODEL --on PROVIDER` opens the graphs and tells the library's own record.

Exit status 6: something is wrong, or beyond the tolerance or the limits of the model's precision.";

/// How often each kind of drawing and of question is among what the demo model is given.
const DEMO_ROUNDS: u64 = 8;

/// Check an export, and compare it with a reference's numbers, another precision or another exporter's
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    group(clap::ArgGroup::new("reference").args(["golden", "compare_with"]))
)]
pub(crate) struct Args {
    /// An exported directory, a checkpoint, or graphs of another exporter [default: the embedded demo model]
    model: Option<PathBuf>,
    /// The safetensors file with inputs and expected outputs
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Relative error that passes [default: 1e-5 for fp32, 5e-3 for fp16, 5e-2 for q8, 1e-1 for q4]
    #[arg(long, value_name = "T", value_parser = tolerance)]
    tolerance: Option<f64>,
    /// Another export of the same weights [default: in fp32, of the checkpoint that MODEL is]
    #[arg(long, value_name = "REFERENCE", num_args = 0..=1)]
    compare_with: Option<Option<PathBuf>>,
    /// Where the reference runs
    #[arg(
        long,
        value_name = "PROVIDER",
        default_value = "cpu",
        conflicts_with = "golden"
    )]
    compare_provider: ExecutionProvider,
    /// Find the first node of each graph that departs from the reference
    #[arg(long, requires = "compare_with")]
    bisect: bool,
    /// Keep what was found as parity.json in the export
    #[arg(long)]
    record: bool,
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

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(tolerance) if tolerance >= 0.0 => Ok(tolerance),
        _ => Err("a number from 0 on, such as 1e-4".to_owned()),
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    if let Some(path) = args
        .model
        .as_deref()
        .filter(|path| ForeignDir::is_one(path))
    {
        return foreign::run(path, args, context);
    }
    if args.compare_with.is_some() && args.tolerance.is_some() {
        return Err(Failure::Usage {
            message: "--tolerance cannot be used with --compare-with, unless MODEL is of another \
                      exporter: precisions have limits of their own"
                .to_owned(),
            hint: None,
        }
        .into());
    }
    let model = Model::open(args.model.as_deref(), context)?;
    let mut verdict = Verdict::new(&model.dir, structure(&model, context)?);
    verdict.placement = Some(check_placement(&model.dir, context.global.on)?);
    // Numbers of an export that is damaged tell nothing.
    if verdict.structure.passed() {
        match &args.golden {
            Some(golden) => verdict.golden = Some(check_golden(&model, golden, args, context)?),
            None if args.compare_with.is_some() => {
                compare(&model, args, context, &mut verdict)?;
            }
            None => {}
        }
    }
    verdict.decide();
    if args.record {
        verdict.record(&model.dir)?;
    }
    told(&verdict, args)
}

/// Prints what was found, and fails where something is wrong.
fn told(verdict: &Verdict, args: &Args) -> anyhow::Result<()> {
    match args.json {
        true => output::json(verdict)?,
        false => output::line(verdict)?,
    }
    verdict.expect_passed()
}

/// Reads the whole export with a progress bar.
fn structure(model: &Model, context: &Context) -> anyhow::Result<StructureReport> {
    let _steps = interrupt::steps();
    let files = model.dir.manifest().files.values();
    // Weights are read twice: for the hash of their file, and each for its own checksum.
    let total = 2 * files.map(|file| file.bytes).sum::<u64>();
    let mut bar = Progress::bytes("checking", context);
    let mut done = 0;
    let report = check_structure(&model.dir, &mut |bytes| {
        done += bytes;
        bar.set(done.min(total), total);
        match interrupt::asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    uninterrupted(report)
}

fn check_golden(
    model: &Model,
    golden: &Path,
    args: &Args,
    context: &Context,
) -> anyhow::Result<Report> {
    let options = context.session_options()?;
    Ok(validate(&model.dir, &options, golden, args.tolerance)?)
}

/// Compares with another export: what the whole models say and draw, or value by value.
fn compare(
    model: &Model,
    args: &Args,
    context: &Context,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let reference = open_reference(args, context)?;
    match args.bisect {
        true => verdict.bisect = Some(departures(model, &reference, args, context)?),
        false => verdict.precision = Some(check_precision(model, &reference, args, context)?),
    }
    Ok(())
}

fn check_precision(
    model: &Model,
    reference: &Model,
    args: &Args,
    context: &Context,
) -> anyhow::Result<PrecisionReport> {
    let material = match &args.prompts {
        Some(file) => Material::of_prompts(prompts(file)?)?,
        None if is_demo(&model.dir) => demo_material(),
        None => Material::generic(),
    };
    let wanted = PrecisionOptions {
        positions: args.positions as usize,
        seed: args.seed,
    };
    let expected = SessionOptions::on(args.compare_provider);
    compare_predictions((model, reference), &expected, &material, &wanted, context)
}

/// Follows both exports node by node. Ctrl-C stops it between two graphs.
fn departures(
    model: &Model,
    reference: &Model,
    args: &Args,
    context: &Context,
) -> anyhow::Result<BisectReport> {
    let options = context.session_options()?;
    let expected = SessionOptions::on(args.compare_provider);
    let _steps = interrupt::steps();
    let mut bar = Progress::steps("opening", context);
    let total = reference.dir.manifest().graphs.len() as u64;
    let mut done = 0;
    let report = bisect(
        &model.dir,
        &reference.dir,
        [&options, &expected],
        &mut |graph| {
            bar.describe(&graph.name());
            bar.set(done, total);
            done += 1;
            match interrupt::asked() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        },
    );
    uninterrupted(report)
}

fn uninterrupted<T>(result: janus_validate::Result<T>) -> anyhow::Result<T> {
    match result {
        Err(Error::Cancelled) => Err(Failure::Interrupted.into()),
        result => Ok(result?),
    }
}

/// Compares with a progress bar. Ctrl-C stops it between two steps.
fn compare_predictions(
    (model, reference): (&Model, &Model),
    expected: &SessionOptions,
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
    uninterrupted(compare_precision(
        model,
        reference,
        [&options, expected],
        material,
        wanted,
        &mut progress,
    ))
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
        // Its graphs are those of the provider that it runs on.
        on: args.compare_provider,
        // What is told in detail is told by the first context.
        verbose: false,
        ..context.global.clone()
    };
    Model::open(path.map(PathBuf::as_path), &Context::new(global))
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
            let embedded = Checkpoint::PRO.files.iter().find(|(own, _)| own == name);
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
