//! Janus: prompts in, text or pictures out.
//!
//! Use this crate to put a Janus model into a program. To reuse one part of it there are
//! `janus-vision` (photo to embeddings), `janus-vq` (picture to tokens and back), `janus-flow` (the
//! parts of JanusFlow) and `janus-llm` (the transformer); for HTTP or the command line there is the `janus` program.
//!
//! # Both faces of one model
//!
//! ```
//! use janus_pipeline::{Janus, Prompt, SessionOptions, TextParams};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::demo_model();
//! // An ONNX Runtime library has to be loaded first: `load_library(path, &options)`.
//! let mut janus = Janus::open(path, &SessionOptions::default())?;
//!
//! // Generation: a sentence in, pictures out.
//! let params = janus.image_params(7);
//! let pictures = janus.generate_images("a red circle", &params)?;
//!
//! // Understanding: pictures and a question in, text out as it comes.
//! let prompt = Prompt::new().user_with(pictures, "what colour is the circle?");
//! for piece in janus.generate_text(&prompt, &TextParams::default())? {
//!     print!("{}", piece?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Token by token
//!
//! Both tasks are iterators. Progress, limits, previews and cancellation are what the caller does
//! around them; dropping the iterator stops the generation.
//!
//! ```
//! # use janus_pipeline::{Janus, SessionOptions};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::demo_model();
//! let mut janus = Janus::open(path, &SessionOptions::default())?;
//! let params = janus.image_params(7);
//! let mut stream = janus.generate_image_tokens("three blue squares", &params)?;
//! while let Some(tokens) = stream.next() {
//!     tokens?;
//!     if stream.len() == 4 {
//!         let so_far = stream.pictures()?;
//!         assert_eq!(so_far.len(), 1);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod admission;
mod batch;
mod error;
mod flow;
mod image;
mod janus;
mod prompt;
mod scheduler;
mod sequence;
mod slots;
mod text;
mod tokenizer;
mod window;

pub use self::image::{ImageParams, ImageTokenStream, MAX_IMAGES};
pub use admission::Limits;
pub use batch::WideSteps;
pub use error::{Error, Result};
pub use flow::{FlowDrawing, FlowParams, FlowStream, MAX_STEPS};
pub use janus::{Drawing, Flow, Janus};
pub use janus_flow::{Guidance, Solver, Trajectory};
pub use janus_llm::{LanguageModel, Sampling};
pub use janus_runtime::{
    ExecutionProvider, ImageToken, Manifest, ModelDir, SessionOptions, TokenId,
};
pub use janus_vision::{Convention, ImageEmbeds, PixelValues, VisionEncoder};
pub use janus_vq::{ImageTokens, VqDecoder, VqEncoder};
pub use prompt::{Message, Prompt, Role};
pub use scheduler::{Load, Scheduler};
pub use sequence::{Event, FinishReason, Request, SequenceId};
pub use text::{AnswerText, TextParams, TextStream};
pub use tokenizer::{Encoded, Tokenizer};
pub use window::MAX_WINDOW;
