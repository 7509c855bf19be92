//! Suites over the whole workspace. One binary, so that it links once.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

mod company;
mod contract;
mod demo;
mod flow;
mod foreign;
mod llm;
mod near;
mod pipeline;
mod placement;
mod precision;
mod sixteen;
mod standard;
mod structure;
mod tidy;
mod tokenizer;
mod validate;
mod vision;
mod vq;
mod window;
