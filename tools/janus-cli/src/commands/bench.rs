//! `janus bench`

mod other;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use janus_bench::{
    Budget, Comparison, Head, LocalModel, Machine, MemoryReader, Plan, Progress as Step, Report,
    Setting, Settings, Stage, Subject, compare, measure,
};
use janus_install::Library;
use janus_runtime::ExecutionProvider;
use serde::Serialize;

use self::other::OtherProcess;
use crate::args::Global;
use crate::context::Context;
use crate::model::Model;
use crate::output;
use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  janus bench models/janus-pro-1b-q4
  janus bench models/janus-pro-1b-q4 --stage decode,image --seconds 30 --json > q4.json
  janus bench models/janus-pro-1b-q4 --compare models/janus-pro-1b-q8 --stage prefill,decode
  janus bench models/janus-pro-1b-q4 --compare-threads 1 --stage decode

Times are medians of a run, with the tenth and the ninetieth percentile. Each case is run once before
its runs count, so files are in memory by then. Bytes are those of the weights, and of the keys and
values, that a step has to read; `of reads` is their rate by the rate at which as many threads read a
buffer that no cache holds, right before and after: a small model's weights stay in the caches, and
exceed it. A whole picture is reckoned from its prompt, a step of its own and the decoder to pixels,
unless --full draws one. What does not belong to how the model draws is left out.

A comparison measures MODEL and the other side in turns, pair by pair, in changing order; ratios are
the other side's time by that of MODEL. The other side has a process of its own, so that threads and
library may differ; both have their graphs open at once.";

/// Measure how long the parts of a model take, and what they move
///
/// Opening, vision encoder, prompts, decode steps, heads, embeddings, sampling, drawing, decoding to
/// pixels and peak memory, stage by stage; each opens only what it needs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An exported directory or a checkpoint [default: the embedded demo model]
    model: Option<PathBuf>,
    /// Only these: load, vision, prefill, decode, heads, embeddings, sampling, image, vq, vae
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    stage: Vec<Stage>,
    /// Time for the runs of each stage; each case gets three runs however long they take
    #[arg(long, value_name = "S", default_value_t = Budget::default().seconds, value_parser = seconds)]
    seconds: f64,
    /// So many runs of each case instead
    #[arg(long, value_name = "N")]
    repeats: Option<NonZeroUsize>,
    /// The head of a decode step: image, or text as other programs for language models have it
    /// [default: image, where the model has it]
    #[arg(long, value_name = "HEAD")]
    head: Option<Head>,
    /// Draw a whole picture
    #[arg(long)]
    full: bool,
    /// Run decode steps by the transformer's form for many rows, which exports in q8 and q4 have
    #[arg(long)]
    wide_steps: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run what standard input asks for: the other side of a comparison
    #[arg(long, hide = true)]
    serve: bool,
    #[command(flatten)]
    versus: Versus,
}

/// The other side of a comparison: what is not named is as for MODEL.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Comparison")]
struct Versus {
    /// Compare with another model
    #[arg(long, value_name = "OTHER")]
    compare: Option<PathBuf>,
    /// Compare with another number of threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    compare_threads: Option<u16>,
    /// Compare with another execution provider
    #[arg(long, value_name = "PROVIDER")]
    compare_on: Option<ExecutionProvider>,
    /// Compare with another ONNX Runtime library
    #[arg(long, value_name = "PATH")]
    compare_runtime_library: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "it should be a number above 0".to_owned())
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    if args.serve {
        return other::serve(args.model.as_deref(), context);
    }
    match args.versus.is_wanted() {
        false => tell(&report(args, context)?, args.json),
        true => tell(&comparison(args, context)?, args.json),
    }
}

fn tell(report: &(impl Serialize + std::fmt::Display), json: bool) -> anyhow::Result<()> {
    match json {
        true => output::json(report),
        false => Ok(output::line(report.to_string().trim_end())?),
    }
}

fn report(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let model = Model::open(args.model.as_deref(), context)?;
    let options = context.session_options()?;
    let manifest = model.dir.manifest();
    let plan = Plan::new(&args.settings(), &[manifest])?;
    let mut subject = LocalModel::new(model.dir.clone(), options, plan.clone());
    let mut machine = Machine::here();
    let setting = setting(&model, context, context.load_library()?, &machine);
    let mut bar = Progress::steps("measuring", context);

    let reads_memory = reads_memory(&subject, &plan.stages, context);
    let reader = reads_memory.then(|| MemoryReader::new(setting.threads));
    let mut reader = reader.transpose()?;
    let budget = args.budget();
    let stages = measure(
        &mut subject,
        &plan.stages,
        &budget,
        reader.as_mut(),
        &mut |step| show(&mut bar, step),
    )?;
    machine.read_bandwidth = reader.and_then(|reader| reader.bandwidth());
    let drawing = &manifest.drawing;
    let report = Report::new(setting, machine, &plan, drawing, stages);
    Ok(report.with_placements(&model.dir.placements()))
}

/// Whether anything is measured whose bytes come from this machine's memory.
fn reads_memory(subject: &impl Subject, stages: &[Stage], context: &Context) -> bool {
    let mut cases = stages.iter().flat_map(|&stage| subject.cases(stage));
    context.global.on == ExecutionProvider::Cpu && cases.any(|case| case.reads_memory())
}

fn comparison(args: &Args, context: &Context) -> anyhow::Result<Comparison> {
    let model = Model::open(args.model.as_deref(), context)?;
    let path = args.versus.compare.as_deref().or(args.model.as_deref());
    let other = Model::open(path, context)?;
    let plan = Plan::new(
        &args.settings(),
        &[model.dir.manifest(), other.dir.manifest()],
    )?;
    let other_context = Context::new(args.versus.global(&context.global));
    let other_library = other_context.find_library()?;

    let options = context.session_options()?;
    let mut subject = LocalModel::new(model.dir.clone(), options, plan.clone());
    let mut process = OtherProcess::start(&other, &other_context.global, &plan)?;
    let mut bar = Progress::steps("comparing", context);
    let stages = compare(
        &mut subject,
        &mut process,
        &plan.stages,
        &args.budget(),
        &mut |step| show(&mut bar, step),
    )?;

    let machine = Machine::here();
    Ok(Comparison {
        model: setting(&model, context, context.load_library()?, &machine),
        other: setting(&other, &other_context, &other_library, &machine),
        machine,
        stages,
        limits: plan.limits,
    })
}

fn show(bar: &mut Progress, step: Step<'_>) {
    bar.describe(step.what);
    bar.set(step.done as u64, step.total as u64);
}

fn setting(model: &Model, context: &Context, library: &Library, machine: &Machine) -> Setting {
    let manifest = model.dir.manifest();
    let threads = context.global.threads;
    Setting {
        model: model.name.clone(),
        path: model.dir.path().to_owned(),
        family: manifest.family.to_string(),
        dtype: manifest.converter.dtype.to_string(),
        provider: context.global.on.to_string(),
        threads: threads.map_or(machine.processors, usize::from),
        onnxruntime: library.version.as_ref().map(ToString::to_string),
        library: library.path.clone(),
    }
}

impl Args {
    fn settings(&self) -> Settings {
        Settings {
            stages: self.stage.clone(),
            head: self.head,
            full: self.full,
            wide_steps: self.wide_steps,
        }
    }

    fn budget(&self) -> Budget {
        Budget {
            seconds: self.seconds,
            repeats: self.repeats.map(NonZeroUsize::get),
        }
    }
}

impl Versus {
    fn is_wanted(&self) -> bool {
        self.compare.is_some()
            || self.compare_threads.is_some()
            || self.compare_on.is_some()
            || self.compare_runtime_library.is_some()
    }

    /// The settings of the other side, where those of this one are `global`.
    fn global(&self, global: &Global) -> Global {
        let library = self.compare_runtime_library.clone();
        Global {
            on: self.compare_on.unwrap_or(global.on),
            threads: self.compare_threads.or(global.threads),
            runtime_library: library.or_else(|| global.runtime_library.clone()),
            // What is told in detail is told by the first side.
            verbose: false,
            ..global.clone()
        }
    }
}
