//! One module per command: what it takes, and what it does.
//!
//! Each has `Args`, which clap fills and whose texts are the help page, and
//! `run(&Args, &Context)`.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod convert;
pub(crate) mod decode;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod encode;
pub(crate) mod eval;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod operands;
pub(crate) mod preprocess;
pub(crate) mod run;
pub(crate) mod runtime;
pub(crate) mod sampling;
pub(crate) mod serve;
pub(crate) mod synth;
pub(crate) mod text;
pub(crate) mod tokenize;
pub(crate) mod validate;
