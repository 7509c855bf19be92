//! Suites over the whole workspace. One binary, so that it links once.

mod contract;
mod llm;
mod pipeline;
mod tidy;
mod tokenizer;
mod validate;
mod vision;
mod vq;
