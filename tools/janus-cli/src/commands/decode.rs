//! `janus decode`

use std::path::Path;

use janus_runtime::tensors;
use janus_validate::TensorFile;
use janus_vq::{ImageTokens, VqDecoder};
use ndarray::{Array2, ArrayD, Ix2};
use serde_json::json;

use super::operands::Operands;
use crate::context::Context;
use crate::failure::Failure;
use crate::files::Pattern;
use crate::model::Model;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  janus decode tokens.safetensors --out picture-{i}.png           with the embedded demo model
  janus decode models/janus-pro-1b tokens.safetensors --out picture-{i}.png

Reads `image_tokens`, i64 or i32 [pictures, tokens], as `janus encode` writes them, and draws each
row. Model and tokens are written into the picture's file, as JSON in the text `janus`.";

/// Turn image tokens into pictures
///
/// Prints the name of each file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "janus decode [OPTIONS] --out <PATTERN> [MODEL] <FILE>")]
pub(crate) struct Args {
    #[command(flatten)]
    operands: Operands,
    /// Files to write: {i} is the number of the picture from 0, {n} from 1
    #[arg(long, short, value_name = "PATTERN")]
    out: String,
    /// Replace files that are there already
    #[arg(long, short)]
    force: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let file = Path::new(args.operands.what("FILE")?);
    let indices = TensorFile::read(file)?.i64(tensors::IMAGE_TOKENS)?;
    let indices = rows(indices, file)?;
    let files = Pattern::named(&args.out, indices.nrows(), args.force)?;
    let model = Model::open(args.operands.model(), context)?;
    let tokens = ImageTokens::from_indices(indices, model.dir.manifest().vq()?)?;

    let mut decoder = VqDecoder::open(&model.dir, &context.session_options()?)?;
    for (i, picture) in decoder.decode(&tokens)?.iter().enumerate() {
        let row: Vec<_> = tokens.row(i).map(|token| token.0).collect();
        let history = json!({ "model": &model.name, "tokens": row });
        output::line(files.write(i, picture, &history)?.display())?;
    }
    Ok(())
}

/// One row for each picture.
fn rows(indices: ArrayD<i64>, file: &Path) -> Result<Array2<i64>, Failure> {
    let found = indices.shape().to_vec();
    match indices.into_dimensionality::<Ix2>() {
        Ok(rows) if !rows.is_empty() => Ok(rows),
        _ => {
            let (file, tensor) = (file.display(), tensors::IMAGE_TOKENS);
            Err(Failure::Input(format!(
                "`{file}`: tensor `{tensor}` has shape {found:?}; expected [pictures, tokens]"
            )))
        }
    }
}
