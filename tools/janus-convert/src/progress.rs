//! How far a conversion has come, and whether it should go on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use janus_runtime::GraphKind;
use janus_runtime::manifest::FileEntry;

use crate::error::{Error, Result};
use crate::sources::Sources;

/// How far a conversion has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes of this stage and those before that are done.
    pub done: u64,
    /// Bytes of all stages.
    pub total: u64,
}

/// What a conversion is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the released weights for their hashes.
    Hashing,
    /// Writing a graph.
    Writing(GraphKind),
}

/// Asked several times a second: whether to go on.
pub(crate) type Report<'p> = dyn FnMut(Progress) -> ControlFlow<()> + 'p;

/// Adds up what has been done, and asks whether to go on.
pub(crate) struct Meter<'p> {
    report: &'p mut Report<'p>,
    hashed: u64,
    written: u64,
    total: u64,
    cancelled: bool,
}

impl<'p> Meter<'p> {
    /// Nothing is done yet of hashing checkpoints and writing so many bytes of weights.
    pub(crate) fn new(sources: &Sources<'_>, weights: u64, report: &'p mut Report<'p>) -> Self {
        Self {
            report,
            hashed: 0,
            written: 0,
            total: sources.bytes() + weights,
            cancelled: false,
        }
    }

    /// Hashes the files of the checkpoints.
    pub(crate) fn hash(&mut self, sources: &Sources<'_>) -> Result<BTreeMap<String, FileEntry>> {
        let entries = sources.hash(&mut |read| {
            self.hashed = read;
            // A read goes on to its end; `cancelled` tells afterwards.
            let _ = self.tell(Stage::Hashing);
        })?;
        match self.cancelled {
            true => Err(Error::Cancelled),
            false => Ok(entries),
        }
    }

    /// So many bytes more of a graph's weights are written.
    pub(crate) fn wrote(&mut self, kind: GraphKind, bytes: u64) -> ControlFlow<()> {
        self.written += bytes;
        self.tell(Stage::Writing(kind))
    }

    fn tell(&mut self, stage: Stage) -> ControlFlow<()> {
        let done = self.hashed + self.written;
        self.cancelled |= (self.report)(Progress {
            stage,
            done,
            total: self.total,
        })
        .is_break();
        if self.cancelled {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
