//! What JanusFlow draws with, but for the language model: the generation encoder and decoder on
//! either side of it, the VAE that turns latents into pictures, and solvers of the flow.
//!
//! Use this crate to drive the flow yourself: your own guidance, your own solver, latents of your
//! own. To draw from a sentence use `janus-pipeline`.
//!
//! A picture begins as noise ([`noise`]) at time 0 and arrives at time 1. A velocity is *latents →
//! [`FlowEncoder`] → language model → [`FlowDecoder`]*; a [`Trajectory`] follows it; a
//! [`VaeDecoder`] shows where it has come to.
//!
//! ```
//! use janus_flow::{FlowDecoder, FlowEncoder, Solver, Trajectory, VaeDecoder, noise};
//! use janus_runtime::{ModelDir, SessionOptions};
//! use ndarray::s;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::tiny_flow(janus_runtime::manifest::DType::Fp32);
//! let (model, options) = (ModelDir::open(path)?, SessionOptions::default());
//! let mut encoder = FlowEncoder::open(&model, &options)?;
//! let mut decoder = FlowDecoder::open(&model, &options)?;
//!
//! let mut trajectory = Trajectory::new(noise(encoder.config(), 7, 0), Solver::Euler, 4);
//! while !trajectory.is_complete() {
//!     trajectory.advance(|latents, time| {
//!         let encoded = encoder.encode(latents.view(), time)?;
//!         // The language model belongs here; it takes `embeds` and gives as many hidden states.
//!         let hidden = encoded.embeds.slice(s![.., 1.., ..]);
//!         decoder.decode(hidden, &encoded)
//!     })?;
//! }
//! let pictures = VaeDecoder::open(&model, &options)?.decode(trajectory.latents().view())?;
//! assert_eq!(pictures.len(), 1);
//! # Ok(())
//! # }
//! ```

mod decoder;
mod encoder;
mod error;
mod guidance;
mod noise;
mod solver;
mod trajectory;
mod vae;

pub use decoder::FlowDecoder;
pub use encoder::{EncodedLatents, FlowEncoder};
pub use error::{Error, Result};
pub use guidance::Guidance;
pub use noise::noise;
pub use solver::Solver;
pub use trajectory::Trajectory;
pub use vae::VaeDecoder;
