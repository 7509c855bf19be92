//! Compares an exported Janus with the numbers of a reference implementation, or with another export
//! of the same weights.
//!
//! Use this crate to know whether an export computes what the reference implementation does
//! ([`validate`]), and what its precision costs ([`compare_precision`]).
//!
//! # Against a reference implementation
//!
//! A golden file is a safetensors file of inputs and of outputs that the reference computed from
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
//! ## Names in a golden file
//!
//! The inputs are `pixel_values`, `text_input_ids`, `text_forced_ids`, `image_prompt_ids`,
//! `image_forced_tokens` and `vq_pixels`; of JanusFlow also `prompt_ids`, `z0`, `num_steps`,
//! `guidance` and `vae_latent`. `E` is the token embedding, `LM` the decoder after its
//! last norm, `head_t` and `head_i` are the two heads, `G` is the generation embedding with its
//! aligner.
//!
//! | output | formula |
//! |---|---|
//! | `image_embeds` | vision encoder and aligner of `pixel_values` |
//! | `text_inputs_embeds` | `E(text_input_ids)`, rows of the picture overwritten by `image_embeds[0]`; in JanusFlow from the begin-of-image token on |
//! | `text_logits` | `head_t(LM(text_inputs_embeds))`, all positions in one pass |
//! | `text_forced_logits` | `head_t` at the last position of that prompt and at each of `text_forced_ids` after it, with the cache |
//! | `image_forced_logits_cond` | `head_i(LM(E(image_prompt_ids), G(image_forced_tokens)))` where each image token is predicted, with the cache |
//! | `image_forced_logits_uncond` | the same with pads, attended to, from position 1 of the prompt to the last but one |
//! | `image_forced_logits_cfg5` | `uncond + 5 (cond − uncond)` |
//! | `decoded_pixels` | VQ decoder of `image_forced_tokens` |
//! | `vq_tokens` | VQ encoder of `vq_pixels` |
//! | `velocities` | `w · v_cond − (w − 1) · v_uncond` at each of `num_steps` steps of Euler's rule from `z0`, with the cache; the time takes the place of the last of `prompt_ids` |
//! | `z1` | where they lead |
//! | `enc_tokens_step1`, `t_emb_step1` | of the flow encoder at the second step, once for the rows with the prompt and once for those without |
//! | `vae_pixels`, `vae_latent_pixels` | VAE decoder of `z1` and of `vae_latent` |
//!
//! A file may lack any of them: what cannot be compared is listed as [not
//! checked](Report::not_checked).
//!
//! # Against another precision
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use janus_runtime::{ModelDir, SessionOptions};
//! use janus_validate::{Material, PrecisionOptions, compare_precision};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # use janus_runtime::manifest::DType;
//! # let path = janus_tests::tiny_model("released", DType::Fp16);
//! # let reference = janus_tests::tiny_model("released", DType::Fp32);
//! let (model, reference) = (ModelDir::open(path)?, ModelDir::open(reference)?);
//! let report = compare_precision(
//!     &model,
//!     &reference,
//!     [&SessionOptions::default(); 2],
//!     &Material::generic(),
//!     &PrecisionOptions { positions: 16, seed: 0 },
//!     &mut |_| ControlFlow::Continue(()),
//! )?;
//! println!("{report}");
//! assert!(report.passed());
//! # Ok(())
//! # }
//! ```
//!
//! # Graphs of other exporters
//!
//! [`ForeignDir`] maps the names of graphs that other exporters wrote of Janus and Janus-Pro;
//! [`check_foreign_structure`], [`check_foreign_placement`] and [`compare_foreign`] do with them what is
//! done with exports. docs/export-format.md has the layouts.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use janus_runtime::{ModelDir, SessionOptions};
//! use janus_validate::{ForeignDir, compare_foreign};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let reference = janus_tests::tiny_model("transformers", janus_runtime::manifest::DType::Fp32);
//! # let folder = tempfile::tempdir()?;
//! # janus_tests::foreign_export("split/onnx", folder.path(), &mut |_, _| {});
//! # let path = folder.path();
//! let foreign = ForeignDir::open(path, None)?;
//! println!("{}", foreign.summary());
//! let report = compare_foreign(
//!     &foreign,
//!     &ModelDir::open(reference)?,
//!     [&SessionOptions::default(); 2],
//!     None,
//!     &mut |_| ControlFlow::Continue(()),
//! )?;
//! println!("{report}");
//! assert!(report.passed());
//! # Ok(())
//! # }
//! ```

mod bisect;
mod compare;
mod error;
mod flow;
mod foreign;
mod formula;
mod golden;
mod placement;
mod precision;
mod probe;
mod report;
mod run;
mod structure;
mod tensor_file;

pub use bisect::{BisectReport, BisectRow, Departure, WeightDifference, bisect};
pub use error::{Error, Result};
pub use foreign::{
    ForeignDir, ForeignSummary, check_foreign_placement, check_foreign_structure, compare_foreign,
};
pub use golden::{default_tolerance, validate};
pub use placement::{GraphPlacement, Leaving, PlacementReport, check_placement};
pub use precision::{
    DistributionRow, Divergence, GraphDifference, GraphRow, Head, Limits, Material,
    PrecisionOptions, PrecisionProgress, PrecisionReport, Shown, Stage, compare_precision,
};
pub use report::{MaxAbs, NotChecked, Reason, Report, Row};
pub use structure::{Fault, Finding, StructureReport, check_structure};
pub use tensor_file::{MAX_FILE_BYTES, TensorFile};
