//! `janus preprocess`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use janus_runtime::{Output, tensors};
use janus_vision::{Convention, PixelValues};

use super::run::Outputs;
use crate::context::Context;
use crate::failure::Failure;
use crate::model::{self, Model};
use crate::picture;

const EXAMPLES: &str = "\
Examples:
  janus preprocess photo.jpg --outputs pixels.safetensors         for the embedded demo model
  janus preprocess models/janus-pro-1b a.png b.png --outputs pixels.safetensors
  janus run models/janus-pro-1b vision_encoder --inputs pixels.safetensors --outputs embeds.safetensors

Writes `pixel_values`, f32 [pictures, 3, size, size]: resized and padded to a square as the official
code does, bit by bit, then normalised.";

/// Prepare pictures as the understanding encoder sees them
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The pictures (PNG, JPEG, WebP), after the model if there is one
    #[arg(required = true, value_names = ["MODEL", "IMAGE"])]
    paths: Vec<PathBuf>,
    /// Whose arithmetic decides how long the short side of a picture becomes
    #[arg(long, value_enum, default_value = "official")]
    convention: ConventionName,
    #[command(flatten)]
    outputs: Outputs,
}

/// Whose arithmetic decides how long the short side of a picture becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConventionName {
    /// DeepSeek's code: the fraction is cut off
    Official,
    /// The transformers library: rounded to the nearest
    Transformers,
}

impl From<ConventionName> for Convention {
    fn from(name: ConventionName) -> Self {
        match name {
            ConventionName::Official => Self::Official,
            ConventionName::Transformers => Self::Transformers,
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    args.outputs.check()?;
    let (model, paths) = model_and_pictures(&args.paths)?;
    let pictures = picture::open_all(paths)?;
    let model = Model::open(model, context)?;
    let config = &model.dir.manifest().vision;
    let pixel_values = PixelValues::from_images(&pictures, config, args.convention.into());
    let tensor = Output::F32(pixel_values.view().to_owned().into_dyn());
    let name = tensors::PIXEL_VALUES.to_owned();
    args.outputs.write(&BTreeMap::from([(name, tensor)]))
}

/// The model, if the first path could be one, and the pictures after it.
pub(crate) fn model_and_pictures(
    paths: &[PathBuf],
) -> Result<(Option<&Path>, &[PathBuf]), Failure> {
    match paths {
        [model] if model::is_one(model) => {
            let message = format!("`{}` is a directory; IMAGE is missing", model.display());
            Err(Failure::usage(message))
        }
        [model, pictures @ ..] if model::is_one(model) => Ok((Some(model), pictures)),
        pictures => Ok((None, pictures)),
    }
}
