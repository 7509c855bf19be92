//! Runs an exported Janus on the inputs of a golden file and compares with the outputs in it.
//!
//! Use this crate to know whether an export computes what the reference implementation does. A
//! golden file is a safetensors file of inputs and of outputs that the reference computed from
//! them; [`validate`] computes the same outputs with the components that people use, the language
//! model step by step with its cache, and reports how far each tensor is off. [`TensorFile`] reads
//! and writes such files.
//!
//! ```
//! use janus_runtime::{ModelDir, SessionOptions};
//! use janus_validate::validate;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::tiny_model("released", janus_runtime::manifest::DType::Fp32);
//! # let golden = janus_tests::data("janus-tiny/golden.safetensors");
//! let model = ModelDir::open(path)?;
//! let report = validate(&model, &SessionOptions::default(), &golden, None)?;
//! println!("{report}");
//! assert!(report.passed());
//! # Ok(())
//! # }
//! ```
//!
//! # Names in a golden file
//!
//! The inputs are `pixel_values`, `text_input_ids`, `text_forced_ids`, `image_prompt_ids`,
//! `image_forced_tokens` and `vq_pixels`. `E` is the token embedding, `LM` the decoder after its
//! last norm, `head_t` and `head_i` are the two heads, `G` is the generation embedding with its
//! aligner.
//!
//! | output | formula |
//! |---|---|
//! | `image_embeds` | vision encoder and aligner of `pixel_values` |
//! | `text_inputs_embeds` | `E(text_input_ids)`, rows of the picture overwritten by `image_embeds[0]` |
//! | `text_logits` | `head_t(LM(text_inputs_embeds))`, all positions in one pass |
//! | `text_forced_logits` | `head_t` at the last position of that prompt and at each of `text_forced_ids` after it, with the cache |
//! | `image_forced_logits_cond` | `head_i(LM(E(image_prompt_ids), G(image_forced_tokens)))` where each image token is predicted, with the cache |
//! | `image_forced_logits_uncond` | the same with pads, attended to, from position 1 of the prompt to the last but one |
//! | `image_forced_logits_cfg5` | `uncond + 5 (cond − uncond)` |
//! | `decoded_pixels` | VQ decoder of `image_forced_tokens` |
//! | `vq_tokens` | VQ encoder of `vq_pixels` |
//!
//! A file may lack any of them: what cannot be compared is listed as [not
//! checked](Report::not_checked).

mod compare;
mod error;
mod formula;
mod report;
mod run;
mod tensor_file;

use std::path::Path;

use janus_runtime::manifest::DType;
use janus_runtime::{ModelDir, SessionOptions};

pub use error::{Error, Result};
pub use report::{MaxAbs, NotChecked, Reason, Report, Row};
pub use tensor_file::{MAX_FILE_BYTES, TensorFile};

use crate::compare::compare;
use crate::formula::{Formula, JANUS_FLOW, inputs};
use crate::run::Run;

/// Runs the graphs of `model` on the inputs in `golden` and compares with the outputs in it.
///
/// Floats may be off by the relative error `tolerance`, by default what [`default_tolerance`] says
/// of the export's precision; integers have to be equal.
///
/// # Errors
///
/// [`Error::NothingToCompare`] where the file has none of the outputs, or for none of them all the
/// inputs. A tensor that is off is not an error: see [`Report::passed`].
pub fn validate(
    model: &ModelDir,
    options: &SessionOptions,
    golden: &Path,
    tolerance: Option<f64>,
) -> Result<Report> {
    let golden = TensorFile::read(golden)?;
    let tolerance =
        tolerance.unwrap_or_else(|| default_tolerance(model.manifest().converter.dtype));
    let mut run = Run::new(model, options, &golden);
    let (mut rows, mut not_checked) = (Vec::new(), Vec::new());
    for formula in Formula::ALL {
        let name = formula.name();
        let mut skip = |reason| {
            not_checked.push(NotChecked {
                name: name.to_owned(),
                reason,
            })
        };
        if !golden.contains(name) {
            skip(Reason::Absent);
            continue;
        }
        match run.output(formula) {
            Ok(found) => rows.push(compare(&golden, name, formula.graphs(), &found, tolerance)?),
            Err(Error::MissingTensor { tensor, .. }) => skip(Reason::Needs(tensor)),
            Err(error) => return Err(error),
        }
    }
    if rows.is_empty() {
        return Err(Error::NothingToCompare {
            path: golden.path().to_owned(),
            known: Formula::ALL.map(Formula::name).join(", "),
            found: golden.listed_names(),
        });
    }
    not_checked.extend(without_formula(&golden));
    Ok(Report { rows, not_checked })
}

/// The relative error that an export of a precision may have on the CPU: 1e-5 in 32 bits, 5e-3 in
/// 16.
pub fn default_tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::Fp32 => 1e-5,
        DType::Fp16 => 5e-3,
    }
}

/// Tensors of the file that no formula reads or gives.
fn without_formula(golden: &TensorFile) -> Vec<NotChecked> {
    let is_known = |name: &str| {
        inputs::ALL.contains(&name) || Formula::ALL.iter().any(|formula| formula.name() == name)
    };
    let mut names = golden.names();
    names.retain(|name| !is_known(name));
    names
        .into_iter()
        .map(|name| {
            let reason = match JANUS_FLOW.contains(&name.as_str()) {
                true => Reason::NotSupportedYet,
                false => Reason::Unknown,
            };
            NotChecked { name, reason }
        })
        .collect()
}
