//! `janus encode`

use std::collections::BTreeMap;
use std::path::PathBuf;

use janus_runtime::{Output, tensors};
use janus_vq::VqEncoder;

use super::preprocess::model_and_pictures;
use super::run::Outputs;
use crate::context::Context;
use crate::model::Model;
use crate::picture;

const EXAMPLES: &str = "\
Examples:
  janus encode board.png --outputs tokens.safetensors             with the embedded demo model
  janus encode models/janus-pro-1b a.png b.png --outputs tokens.safetensors
  janus decode models/janus-pro-1b tokens.safetensors --out again-{i}.png

Writes `image_tokens`, i64 [pictures, tokens], in raster order: the short side of each picture is
scaled to the tokenizer's size and the long one cropped around its middle.";

/// Turn pictures into image tokens
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The pictures (PNG, JPEG, WebP), after the model if there is one
    #[arg(required = true, value_names = ["MODEL", "IMAGE"])]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    outputs: Outputs,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    args.outputs.check()?;
    let (model, paths) = model_and_pictures(&args.paths)?;
    let pictures = picture::open_all(paths)?;
    let model = Model::open(model, context)?;
    let mut encoder = VqEncoder::open(&model.dir, &context.session_options()?)?;
    let tokens = encoder.encode(&pictures)?;
    let tensor = Output::I64(tokens.view().to_owned().into_dyn());
    let name = tensors::IMAGE_TOKENS.to_owned();
    args.outputs.write(&BTreeMap::from([(name, tensor)]))
}
