//! Both faces of a Janus model over HTTP, for many at once.
//!
//! Use this crate to put the server into another program; `janus serve` is the server by itself,
//! and docs/serving.md tells what it answers.
//!
//! ```text
//! listen ─► server: key, host, origin ─► chat · images ─► engine: eyes, model, painter
//!                                           ▲                 │
//!                                           └── sse, json ◄───┘ updates, step by step
//! ```
//!
//! Everything that clients ask for at a time runs in one decode batch (`janus_pipeline::Scheduler`):
//! the handlers are asynchronous, the model is one thread, and channels lie between.

mod chat;
mod embeddings;
mod engine;
mod error;
mod fields;
mod guard;
mod images;
mod json;
mod listen;
mod metrics;
mod page;
mod patience;
mod pictures;
mod server;
mod settings;
mod sse;
mod stop;

pub use error::{Error, Result};
pub use listen::{Drained, Served, Server, stop_signal};
pub use settings::Settings;
