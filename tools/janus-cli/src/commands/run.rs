//! `janus run`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use janus_runtime::manifest::TensorSpec;
use janus_runtime::{Graph, GraphKind, Input, Output};
use janus_validate::TensorFile;

use super::text::model_and_text;
use crate::context::Context;
use crate::failure::BadInput;
use crate::{model, output};

const EXAMPLES: &str = "\
Examples:
  janus run embed_tokens --inputs ids.safetensors --outputs embeds.safetensors
  janus run models/janus-pro-1b vision_encoder --inputs pixels.safetensors --outputs embeds.safetensors
  janus run models/janus-pro-1b language_model --inputs step.safetensors --outputs step-out.safetensors

GRAPH is one of vision_encoder, embed_tokens, language_model, lm_head, gen_head, gen_embed,
vq_decoder, vq_encoder; `janus inspect` tells the inputs and outputs of each. Every input has to be
in the file under its name, those of the cache too. f16 and bf16 are widened to f32.";

/// Inputs that a message lists.
const MISSING_LISTED: usize = 8;

/// Arguments of `janus run`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The graph to run, after the model if there is one
    #[arg(required = true, num_args = 1..=2, value_names = ["MODEL", "GRAPH"])]
    words: Vec<String>,
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

impl Outputs {
    /// Fails where the file is there already and may not be replaced: asked before the work.
    pub(crate) fn check(&self) -> Result<(), BadInput> {
        if !self.force && self.outputs.exists() {
            let path = self.outputs.display();
            let message = format!("`{path}` is there already; --force replaces it");
            return Err(BadInput(message));
        }
        Ok(())
    }

    /// Writes the tensors and tells what they are.
    pub(crate) fn write(&self, tensors: &BTreeMap<String, Output>) -> anyhow::Result<()> {
        TensorFile::write(&self.outputs, tensors)?;
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
    args.outputs.check()?;
    let (model, graph) = model_and_text(&args.words);
    let kind: GraphKind = graph.parse()?;
    let file = TensorFile::read(&args.inputs)?;
    let model = model::open(model, context)?;
    let mut graph = model.graph(kind, &context.session_options()?)?;
    let inputs = inputs(&graph, &file, &args.inputs)?;
    let unused = unused(&graph, &file);
    if !unused.is_empty() {
        context.note(&format!("`{kind}` has no input {}", unused.join(", ")));
    }
    let outputs = graph.run(&inputs)?;
    args.outputs.write(&outputs.into_values())
}

/// Every input of the graph, from the file.
fn inputs<'g>(
    graph: &'g Graph,
    file: &TensorFile,
    path: &Path,
) -> anyhow::Result<Vec<(&'g str, Input<'static>)>> {
    let specs = &graph.entry().inputs;
    let is_missing = |spec: &&TensorSpec| !file.contains(&spec.name);
    let missing: Vec<_> = specs.iter().filter(is_missing).collect();
    if !missing.is_empty() {
        let (path, kind) = (path.display(), graph.kind());
        let list = listed(&missing);
        return Err(BadInput(format!("`{path}` lacks inputs of graph `{kind}`: {list}")).into());
    }
    let input = |spec: &'g TensorSpec| {
        let input = file.input(&spec.name, spec.dtype)?;
        Ok((spec.name.as_str(), input))
    };
    specs.iter().map(input).collect()
}

fn listed(missing: &[&TensorSpec]) -> String {
    let shown = missing.iter().take(MISSING_LISTED);
    let mut list: Vec<_> = shown.map(|spec| format!("`{}` {spec}", spec.name)).collect();
    if missing.len() > MISSING_LISTED {
        let (count, last) = (missing.len() - MISSING_LISTED, missing[missing.len() - 1]);
        list.push(format!("{count} more up to `{}` {last}", last.name));
    }
    list.join(", ")
}

/// Tensors of the file that the graph does not read.
fn unused(graph: &Graph, file: &TensorFile) -> Vec<String> {
    let mut names = file.names();
    names.retain(|name| graph.entry().inputs.iter().all(|spec| spec.name != *name));
    names.iter().map(|name| name.escape_debug().to_string()).collect()
}
