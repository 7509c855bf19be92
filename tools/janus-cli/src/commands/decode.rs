//! `janus decode`

use std::path::{Path, PathBuf};

use janus_runtime::tensors;
use janus_validate::TensorFile;
use janus_vq::{ImageTokens, VqDecoder};
use ndarray::{ArrayD, Ix2};
use serde::Serialize;

use crate::context::Context;
use crate::failure::BadInput;
use crate::output::Pattern;
use crate::{interrupt, model, output};

const EXAMPLES: &str = "\
Examples:
  janus decode tokens.safetensors --out picture-{i}.png           with the embedded demo model
  janus decode models/janus-pro-1b tokens.safetensors --out picture-{i}.png

Reads `image_tokens`, i64 or i32 [pictures, tokens], as `janus encode` writes them, and draws each
row. The tokens are written into the PNG (text chunk `janus`).";

/// Arguments of `janus decode`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file with the tokens, after the model if there is one
    #[arg(required = true, num_args = 1..=2, value_names = ["MODEL", "FILE"])]
    paths: Vec<PathBuf>,
    /// Files to write; {i} is the number of the picture
    #[arg(long, short, value_name = "PATTERN")]
    out: String,
    /// Replace files that are there already
    #[arg(long, short)]
    force: bool,
}

/// How a picture came about.
#[derive(Serialize)]
struct History<'a> {
    model: &'a str,
    tokens: Vec<u32>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (path, file) = match args.paths.as_slice() {
        [model, file] => (Some(model.as_path()), file.as_path()),
        [file] => (None, file.as_path()),
        _ => (None, Path::new("")),
    };
    let indices = TensorFile::read(file)?.i64(tensors::IMAGE_TOKENS)?;
    let model = model::open(path, context)?;
    let indices = rows(indices, file)?;
    let tokens = ImageTokens::from_indices(indices, &model.manifest().vq)?;
    let files = Pattern::new(&args.out, tokens.len(), args.force)?;

    let mut decoder = VqDecoder::open(&model, &context.session_options()?)?;
    let pictures = decoder.decode(&tokens)?;
    let name = path.map_or("demo".to_owned(), |path| path.display().to_string());
    for (i, picture) in pictures.iter().enumerate() {
        interrupt::check()?;
        let history = History {
            model: &name,
            tokens: tokens.row(i).map(|token| token.0).collect(),
        };
        output::line(files.write(i, picture, &history)?.display())?;
    }
    Ok(())
}

/// One row for each picture.
fn rows(indices: ArrayD<i64>, file: &Path) -> Result<ndarray::Array2<i64>, BadInput> {
    let found = indices.shape().to_vec();
    indices.into_dimensionality::<Ix2>().map_err(|_| {
        BadInput(format!(
            "`{}`: tensor `{}` has shape {found:?}; expected [pictures, tokens]",
            file.display(),
            tensors::IMAGE_TOKENS,
        ))
    })
}
