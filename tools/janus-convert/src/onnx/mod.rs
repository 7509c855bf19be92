//! How ONNX is written: values and operators as ordinary Rust, streamed to a file.
//!
//! This layer knows nothing of Janus. A [`GraphBuilder`] grows a graph node by node; a [`Value`]
//! is a tensor of it and carries the operators as methods. Construction order is file order, and
//! file order is topological order. Weights are named and shaped while the graph is built; their
//! bytes are made when [`GraphFile`] writes them.
//!
//! Operators check types and shapes as they are added. A mismatch is a mistake in a network file,
//! never a property of a checkpoint (weights are checked when they are taken from it), so it
//! panics with the node's name.

mod builder;
mod contrib;
mod listing;
mod model;
mod node;
mod ops;
mod shape;
mod value;
mod writer;

use janus_onnx::proto;

pub(crate) use builder::GraphBuilder;
pub(crate) use contrib::{CacheInputs, GroupedQuery, Rotary};
pub use listing::listing;
pub(crate) use ops::Conv;
pub(crate) use shape::{DType, Dim, Shape, shape};
pub(crate) use value::Value;
pub(crate) use writer::{Checksums, GraphFile, Sink, TensorData};

/// Version of the `ai.onnx` operators.
pub(crate) const OPSET: u32 = 20;
/// Version of the file format.
const IR_VERSION: i64 = 10;
/// Operators of ONNX Runtime beyond the standard.
const MICROSOFT: &str = "com.microsoft";
