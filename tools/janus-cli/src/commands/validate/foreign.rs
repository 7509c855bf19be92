//! Directories of graphs that other exporters wrote.

use std::ops::ControlFlow;
use std::path::Path;

use janus_runtime::manifest::DType;
use janus_runtime::{ExecutionProvider, SessionOptions};
use janus_validate::{
    ForeignDir, Report, StructureReport, check_foreign_placement, check_foreign_structure,
    compare_foreign,
};

use super::{Args, open_reference, told, uninterrupted, verdict::Verdict};
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt;
use crate::progress::Progress;

pub(super) fn run(path: &Path, args: &Args, context: &Context) -> anyhow::Result<()> {
    expect_applicable(args)?;
    let foreign = ForeignDir::open(path, context.global.dtype.map(DType::from))?;
    let mut verdict = Verdict::of_foreign(foreign.summary(), structure(&foreign, context)?);
    // The CPU is everybody's fallback: ONNX Runtime widens there what it has no kernels for.
    if context.global.on != ExecutionProvider::Cpu {
        verdict.placement = Some(check_foreign_placement(&foreign, context.global.on)?);
    }
    if args.compare_with.is_some() && verdict.structure.passed() {
        verdict.golden = Some(compare(&foreign, args, context)?);
    }
    verdict.decide();
    told(&verdict, args)
}

/// Fails where an option needs a manifest, or names no export to compare with.
fn expect_applicable(args: &Args) -> Result<(), Failure> {
    let options = [
        ("--golden", args.golden.is_some()),
        ("--bisect", args.bisect),
        ("--record", args.record),
        ("--prompts", args.prompts.is_some()),
    ];
    if let Some((option, _)) = options.iter().find(|(_, given)| *given) {
        return Err(Failure::Usage {
            message: format!("{option} needs an export of janus; MODEL is of another exporter"),
            hint: None,
        });
    }
    match &args.compare_with {
        Some(None) => Err(Failure::Usage {
            message: "--compare-with needs an export of the same weights: MODEL is of another \
                      exporter, and has no checkpoint"
                .to_owned(),
            hint: Some("`janus convert CHECKPOINT OUT` makes one".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// Reads the graphs and their weights with a progress bar.
fn structure(foreign: &ForeignDir, context: &Context) -> anyhow::Result<StructureReport> {
    let _steps = interrupt::steps();
    let mut bar = Progress::bytes("checking", context);
    let total = foreign.bytes();
    let mut done = 0;
    uninterrupted(check_foreign_structure(foreign, &mut |bytes| {
        done += bytes;
        // Of weights that lie apart the length is not known before.
        bar.set(done, total.max(done));
        asked()
    }))
}

/// Runs the graphs beside the export with a progress bar. Ctrl-C stops it between two graphs.
fn compare(foreign: &ForeignDir, args: &Args, context: &Context) -> anyhow::Result<Report> {
    let reference = open_reference(args, context)?;
    let options = context.session_options()?;
    let expected = SessionOptions::on(args.compare_provider);
    let _steps = interrupt::steps();
    let mut bar = Progress::steps("opening", context);
    let total = foreign.summary().graphs.len() as u64;
    let mut done = 0;
    uninterrupted(compare_foreign(
        foreign,
        &reference.dir,
        [&options, &expected],
        args.tolerance,
        &mut |graph| {
            bar.describe(graph);
            bar.set(done, total);
            done += 1;
            asked()
        },
    ))
}

fn asked() -> ControlFlow<()> {
    match interrupt::asked() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
