//! Released Janus weights to ONNX graphs and a manifest.
//!
//! Use this crate to make a model directory that `janus-runtime` and the crates above it open. It
//! reads Janus-1.3B, Janus-Pro-1B and Janus-Pro-7B, as DeepSeek released them or as the
//! `transformers` library stores them, and JanusFlow-1.3B with the SDXL VAE; in safetensors or
//! PyTorch files. It needs neither Python nor PyTorch nor ONNX Runtime.
//!
//! ```no_run
//! use janus_convert::{ConvertOptions, convert};
//!
//! # fn main() -> Result<(), janus_convert::Error> {
//! let released = "Janus-Pro-1B".as_ref();
//! let manifest = convert(released, "models/janus-pro-1b".as_ref(), &ConvertOptions::default())?;
//! println!("{} with {} layers", manifest.family, manifest.language.num_layers);
//! # Ok(())
//! # }
//! ```
//!
//! The same files, options and version give the same bytes. An export that has a manifest is
//! complete; one that could not be completed does not exist.

mod beside;
pub mod checkpoint;
mod config;
mod convert;
mod error;
mod export;
mod module;
mod networks;
mod nn;
mod notice;
mod onnx;
mod product;
mod progress;
mod recipe;
mod sources;
pub mod synth;
mod target;
mod weight;

pub use convert::{CACHE_SIZES, ConvertOptions, convert, convert_with_progress};
pub use error::{Error, Result};
pub use onnx::listing;
pub use progress::{Progress, Stage};
pub use recipe::Recipe;
pub use target::Target;

/// Version and a hash of the converter's sources: exports are reused only by the same converter.
pub const FINGERPRINT: &str = env!("JANUS_CONVERT_FINGERPRINT");
