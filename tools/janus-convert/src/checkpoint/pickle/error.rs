//! Why a pickle could not be read.

use super::super::error::{Fault, Quoted};
use super::super::limits;
use super::value::Global;

/// Why a pickle could not be read, and at which byte.
#[derive(Debug, thiserror::Error)]
#[error("at byte {offset}: {problem}")]
pub struct PickleError {
    /// The byte of the opcode that could not be carried out.
    pub offset: usize,
    /// Why.
    pub problem: PickleProblem,
}

/// Why an opcode could not be carried out.
#[non_exhaustive]
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleProblem {
    /// The bytes end before the pickle does.
    #[error("the pickle ends in the middle of something")]
    Truncated,
    /// The bytes go on after the pickle.
    #[error("{count} bytes follow the end of the pickle")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A protocol that this reader does not know.
    #[error("protocol {version} is not one of 0 to 5")]
    Protocol {
        /// Which.
        version: u8,
    },
    /// A byte that is no opcode.
    #[error("0x{opcode:02x} is not an opcode")]
    UnknownOpcode {
        /// The byte.
        opcode: u8,
    },
    /// An opcode that no dictionary of tensors needs.
    #[error("opcode {opcode} has no place in a dictionary of tensors")]
    ForeignOpcode {
        /// Its name.
        opcode: &'static str,
    },
    /// An opcode that makes an object of any class.
    #[error(
        "opcode {opcode} makes an object of a class of the pickle's choice, which is never done"
    )]
    RunsCode {
        /// Its name.
        opcode: &'static str,
    },
    /// A global that is not on the list of those that are allowed.
    #[error(
        "the pickle asks for global {}; allowed are {}",
        Quoted(global),
        allowed()
    )]
    ForbiddenGlobal {
        /// Module and name.
        global: String,
    },
    /// A global that makes something harmless that is not read.
    #[error("{} stands for {what}, which are not supported", Quoted(global))]
    UnsupportedGlobal {
        /// Module and name.
        global: String,
        /// What it stands for.
        what: &'static str,
    },
    /// Fewer values on the stack than the opcode takes.
    #[error("there are too few values on the stack")]
    Underflow,
    /// No mark on the stack for the opcode to go back to.
    #[error("there is no mark on the stack")]
    NoMark,
    /// A memo entry that was never made.
    #[error("memo entry {index} was never made")]
    NoMemo {
        /// Which.
        index: u32,
    },
    /// A value of another kind than the opcode works on.
    #[error("{found} stands where {expected} should be")]
    Kind {
        /// The kind that the opcode works on.
        expected: &'static str,
        /// The kind on the stack.
        found: &'static str,
    },
    /// A function got other arguments than it takes.
    #[error("`{function}` takes {expected} arguments, not {found}")]
    Arguments {
        /// Which function.
        function: &'static str,
        /// How many it takes.
        expected: &'static str,
        /// How many it got.
        found: usize,
    },
    /// A number that cannot be read.
    #[error("the number is out of range")]
    Number,
    /// A text that cannot be read.
    #[error("the text is not UTF-8, or has escapes in it")]
    Text,
    /// The pickle asks for more of something than any model needs.
    #[error("more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
}

impl PickleError {
    pub(in crate::checkpoint) fn fault(&self) -> Fault {
        match self.problem {
            PickleProblem::RunsCode { .. }
            | PickleProblem::ForbiddenGlobal { .. }
            | PickleProblem::Limit { .. } => Fault::Refused,
            _ => Fault::Malformed,
        }
    }
}

impl PickleProblem {
    pub(super) const LINE: Self = Self::Limit {
        what: "bytes in a line",
        limit: limits::LINE,
    };
    pub(super) const VALUES: Self = Self::Limit {
        what: "values",
        limit: limits::VALUES,
    };
    pub(super) const OBJECTS: Self = Self::Limit {
        what: "objects",
        limit: limits::OBJECTS,
    };
    pub(super) const MEMO: Self = Self::Limit {
        what: "memo entries",
        limit: limits::MEMO,
    };
    pub(super) const RANK: Self = Self::Limit {
        what: "dimensions",
        limit: limits::RANK,
    };
}

fn allowed() -> String {
    Global::ALLOWED
        .map(|(module, name, _)| format!("{module}.{name}"))
        .join(", ")
}
