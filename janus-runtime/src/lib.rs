//! An exported Janus model directory, opened: its manifest, its graphs, and where they run.
//!
//! Use this crate to run single graphs of an export. For pictures, tokens and text there are
//! `janus-vision`, `janus-vq`, `janus-llm` and, above them, `janus-pipeline`.
//!
//! ```
//! use janus_runtime::{GraphKind, Input, ModelDir, SessionOptions, tensors};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::demo_model();
//! // An ONNX Runtime library has to be loaded first: `load_library(path, &options)`.
//! let model = ModelDir::open(path)?;
//! let mut embed = model.graph(GraphKind::EmbedTokens, &SessionOptions::default())?;
//! let ids = ndarray::arr2(&[[0_i64, 5, 7]]);
//! let mut outputs = embed.run(&[(tensors::INPUT_IDS, Input::from(ids.view()))])?;
//! let embeds = outputs.take_f32(tensors::INPUTS_EMBEDS)?;
//! assert_eq!(embeds.shape(), [1, 3, model.manifest().language.hidden_size]);
//! # Ok(())
//! # }
//! ```

mod binding;
mod contract;
mod error;
mod graph;
mod lazy;
mod library;
pub mod manifest;
mod model_dir;
mod placement;
mod provider;
mod registration;
mod residents;
mod session;
mod tensor;
mod time;
mod token;

pub use binding::Binding;
pub use contract::{GraphKind, tensors};
pub use error::{Error, Result};
pub use graph::Graph;
pub use lazy::LazyGraph;
pub use library::{LibraryOptions, library_info, library_path, library_providers, load_library};
pub use manifest::Manifest;
pub use model_dir::ModelDir;
pub use placement::{PlacedNode, Placement};
pub use provider::ExecutionProvider;
pub use residents::{Resident, Residents, Span};
pub use session::SessionOptions;
pub use tensor::{Input, Output, Outputs};
pub use time::{time_frequencies, time_waves};
pub use token::{ImageToken, Token, TokenId};
