//! `janus run`

use std::collections::BTreeMap;
use std::path::PathBuf;

use janus_runtime::manifest::TensorSpec;
use janus_runtime::{Error, GraphKind, Input, Output};
use janus_validate::TensorFile;

use super::operands::Operands;
use crate::context::Context;
use crate::failure::Failure;
use crate::model::Model;
use crate::{interrupt, output};

const EXAMPLES: &str = "\
Examples:
  janus run embed_tokens --inputs ids.safetensors --outputs embeds.safetensors
  janus run models/janus-pro-1b vision_encoder --inputs pixels.safetensors --outputs embeds.safetensors
  janus run models/janus-pro-1b language_model --inputs step.safetensors --outputs step-out.safetensors

`janus inspect` tells the inputs and outputs of each graph. Every input has to be in the file under
its name, those of the cache too; f16 and bf16 are widened to f32.";

/// Inputs that a message lists.
const MISSING_LISTED: usize = 8;

/// Run one graph on given tensors
///
/// Writes every output of the graph, and prints name, type and shape of each.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "janus run [OPTIONS] --inputs <FILE> --outputs <FILE> [MODEL] <GRAPH>")]
pub(crate) struct Args {
    #[command(flatten)]
    operands: Operands,
    /// The safetensors file with its inputs
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    #[command(flatten)]
    outputs: Outputs,
}

/// Where tensors are written.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Outputs {
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
    /// Replace the file if it is there already
    #[arg(long, short)]
    force: bool,
}

fn graph(name: &str) -> Result<GraphKind, Failure> {
    name.parse().map_err(|error: Error| Failure::Usage {
        message: error.to_string(),
        hint: Some(format!(
            "there are {}",
            GraphKind::ALL.map(|kind| kind.to_string()).join(", ")
        )),
    })
}

impl Outputs {
    /// Fails where the file is there already and may not be replaced: asked before the work.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match !self.force && self.outputs.exists() {
            true => Err(Failure::Exists {
                path: self.outputs.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Writes the tensors and tells what they are.
    pub(crate) fn write(&self, tensors: &BTreeMap<String, Output>) -> anyhow::Result<()> {
        let steps = interrupt::steps();
        TensorFile::write(&self.outputs, tensors)?;
        drop(steps);
        for (name, tensor) in tensors {
            let (dtype, shape) = match tensor {
                Output::F32(a) => ("f32", a.shape()),
                Output::I64(a) => ("i64", a.shape()),
                Output::I32(a) => ("i32", a.shape()),
            };
            output::line(format!("{name} {dtype} {shape:?}"))?;
        }
        Ok(())
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let kind = graph(args.operands.what("GRAPH")?)?;
    args.outputs.check()?;
    let file = TensorFile::read(&args.inputs)?;
    let model = Model::open(args.operands.model(), context)?;
    let mut graph = model.dir.graph(kind, &context.session_options()?)?;
    let entry = graph.entry().clone();
    let inputs = inputs(kind, &entry.inputs, &file)?;
    let unused = unused(&entry.inputs, &file);
    if !unused.is_empty() {
        let names = unused.join(", ");
        context.note(format!("`{kind}` has no input {names}"));
    }
    let outputs = graph.run(&inputs)?;
    args.outputs.write(&outputs.into_values())
}

/// Every input of a graph, from the file.
fn inputs<'s>(
    graph: GraphKind,
    specs: &'s [TensorSpec],
    file: &TensorFile,
) -> anyhow::Result<Vec<(&'s str, Input<'static>)>> {
    let is_missing = |spec: &&TensorSpec| !file.contains(&spec.name);
    let missing: Vec<_> = specs.iter().filter(is_missing).collect();
    if !missing.is_empty() {
        let (path, list) = (file.path().display(), listed(&missing));
        let message = format!("`{path}` lacks inputs of graph `{graph}`: {list}");
        return Err(Failure::Input(message).into());
    }
    let input = |spec: &'s TensorSpec| {
        let input = file.input(&spec.name, spec.dtype)?;
        Ok((spec.name.as_str(), input))
    };
    specs.iter().map(input).collect()
}

fn listed(missing: &[&TensorSpec]) -> String {
    let shown = missing.iter().take(MISSING_LISTED);
    let mut list: Vec<_> = shown
        .map(|spec| format!("`{}` {spec}", spec.name))
        .collect();
    if missing.len() > MISSING_LISTED {
        let (count, last) = (missing.len() - MISSING_LISTED, missing[missing.len() - 1]);
        list.push(format!("{count} more up to `{}` {last}", last.name));
    }
    list.join(", ")
}

/// Tensors of the file that a graph does not read.
fn unused(specs: &[TensorSpec], file: &TensorFile) -> Vec<String> {
    let mut names = file.names();
    names.retain(|name| specs.iter().all(|spec| spec.name != *name));
    names
        .iter()
        .map(|name| name.escape_debug().to_string())
        .collect()
}
