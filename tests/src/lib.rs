//! Fixtures of the whole workspace: the runtime library, exported models, expected numbers.
//!
//! Everything here panics with the cause: a fixture that cannot be made fails the test.

mod foreign;
mod golden;
mod models;

pub use foreign::foreign_export;
pub use golden::{Golden, assert_close, relative_error};
pub use models::{
    cuda_model, data, demo_checkpoint, demo_flow, demo_model, demo_model_in, flow_golden,
    load_library, standard_model, standard_model_with, tiny_flow, tiny_golden, tiny_model,
};
