//! Reads a pickle without executing it.
//!
//! A pickle is a program. Python runs it with every function it can import; the machine here knows a closed list of
//! opcodes and of globals, all of which only build values, and fails at the first opcode that is on neither list. There is
//! no way round it and no setting that widens it.
//!
//! Memory and time are bounded by the length of the pickle: one value per opcode, nothing is copied more than once, no
//! walk is recursive.

mod error;
mod machine;
mod objects;
mod opcode;
mod reader;
mod stack;
mod value;

pub use self::error::{PickleError, PickleProblem};
pub(super) use self::machine::Pickled;
pub(super) use self::value::{Object, PickledTensor};
