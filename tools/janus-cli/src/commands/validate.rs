//! `janus validate`

use std::path::PathBuf;

use janus_runtime::manifest::DType;
use janus_validate::{Report, validate};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::model::Model;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  janus validate models/janus-pro-1b --golden golden.safetensors
  janus validate models/janus-pro-1b-fp16 --golden golden.safetensors --tolerance 1e-3 --json

The file has inputs, and outputs that a reference implementation computed from them:
  pixel_values                          image_embeds
  text_input_ids (with pixel_values)    text_inputs_embeds, text_logits
  text_forced_ids (after those)         text_forced_logits
  image_prompt_ids, image_forced_tokens image_forced_logits_cond, …_uncond, …_cfg5
  image_forced_tokens                   decoded_pixels
  vq_pixels                             vq_tokens
What it lacks is not checked. Told is ‖found − expected‖ / ‖expected‖ of each output, and the element
that is farthest off; integers have to be equal. Exit status 6: an output is beyond the tolerance.";

/// Compare an export with a reference's numbers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An exported directory or a checkpoint [default: the embedded demo model]
    model: Option<PathBuf>,
    /// The safetensors file with inputs and expected outputs
    #[arg(long, value_name = "FILE")]
    golden: PathBuf,
    /// Relative error that passes [default: 1e-5 for fp32, 5e-3 for fp16]
    #[arg(long, value_name = "T", value_parser = tolerance)]
    tolerance: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A report, for machines.
#[derive(Serialize)]
struct Verdict<'a> {
    passed: bool,
    dtype: DType,
    #[serde(flatten)]
    report: &'a Report,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(tolerance) if tolerance >= 0.0 => Ok(tolerance),
        _ => Err("a number from 0 on, such as 1e-4".to_owned()),
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let model = Model::open(args.model.as_deref(), context)?;
    let options = context.session_options()?;
    let report = validate(&model.dir, &options, &args.golden, args.tolerance)?;
    let dtype = model.dir.manifest().converter.dtype;
    match args.json {
        true => output::json(&Verdict {
            passed: report.passed(),
            dtype,
            report: &report,
        })?,
        false => output::line(&report)?,
    }
    let beyond: Vec<_> = report.rows.iter().filter(|row| !row.passed).collect();
    if !beyond.is_empty() {
        let names: Vec<_> = beyond.iter().map(|row| row.name.as_str()).collect();
        let message = format!("beyond tolerance: {}", names.join(", "));
        return Err(Failure::Check(message).into());
    }
    Ok(())
}
