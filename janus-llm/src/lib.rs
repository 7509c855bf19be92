//! The language model of Janus: embeddings to hidden states to the logits of either vocabulary.
//!
//! Use this crate to drive the transformer yourself: your own batches, your own sampling, a
//! speculative loop. To turn prompts into text or pictures use `janus-pipeline`.
//!
//! [`LanguageModel`] offers the batched verbs: embed, forward, score. [`KvCache`] holds what the
//! transformer has seen; [`Sampler`] chooses what comes next. One step of either loop of Janus is
//! *forward → head → sample → embed*:
//!
//! ```
//! use janus_llm::{LanguageModel, Sampler, Sampling};
//! use janus_runtime::{ModelDir, SessionOptions, TokenId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::demo_model();
//! let model = ModelDir::open(path)?;
//! let mut llm = LanguageModel::open(&model, &SessionOptions::default())?;
//! let mut sampler = Sampler::new(Sampling::random(1.0, 7), 0)?;
//! let mut cache = llm.new_cache(1, 64)?;
//!
//! let tokens = &model.manifest().tokens;
//! let prompt = [TokenId(tokens.bos), TokenId(tokens.begin_of_image)];
//! let mut embeds = llm.embed_text(&prompt)?;
//! for _ in 0..model.manifest().vq()?.num_tokens() {
//!     let hidden = llm.forward(&embeds, &mut cache)?;
//!     let logits = llm.image_logits(&hidden.last())?;
//!     let token = sampler.sample(logits.row(0));
//!     embeds = llm.embed_image_tokens(&[token])?;
//! }
//! # Ok(())
//! # }
//! ```

mod captures;
mod embeddings;
mod error;
mod fixed;
mod kv_cache;
mod logits;
mod model;
mod prefill;
mod prefix;
mod sampling;
mod transformer;

pub use embeddings::{Embeddings, HiddenStates};
pub use error::{Error, Result};
pub use kv_cache::KvCache;
pub use logits::Logits;
pub use model::LanguageModel;
pub use prefill::Prefill;
pub use sampling::{Sampler, Sampling};
