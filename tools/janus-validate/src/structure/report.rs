//! What the reading of an export found.

use std::fmt;

use serde::Serialize;

/// What [`check_structure`](crate::check_structure) found. Prints one line for each finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StructureReport {
    /// What is wrong, and what is odd.
    pub findings: Vec<Finding>,
    /// Files that are what was written.
    pub files: usize,
    /// Length of all files.
    pub bytes: u64,
    /// Nodes of all graphs.
    pub nodes: usize,
    /// Weights of all graphs.
    pub weights: usize,
    /// Weights whose checksum was compared.
    pub checksums: usize,
}

/// Something that is wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The graph, if it is about one: that of an export, or the name of another exporter's file.
    pub graph: Option<String>,
    /// What kind of fault it is.
    pub fault: Fault,
    /// The file, weight, node or value.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
    /// Whether it is only odd: it costs bytes or a mapping, and the graph computes what it should.
    pub note: bool,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A file has another SHA-256 than the manifest says.
    Hash,
    /// A weight has other bytes than were written.
    Checksum,
    /// A graph's file cannot be parsed.
    Format,
    /// A version that is not supported, or not the manifest's.
    Version,
    /// An input or output is not the manifest's.
    Signature,
    /// A value is made twice, never, or too late.
    Value,
    /// A node or a weight that nothing reads.
    Unused,
    /// Types that do not fit.
    Type,
    /// Shapes that do not fit.
    Shape,
    /// The bytes of a weight lie where they cannot.
    Place,
    /// The bytes of a weight begin where not every system can map them.
    Alignment,
    /// Two weights have the same bytes: odd, but not wrong.
    Duplicate,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Checksum => "checksum",
            Self::Format => "format",
            Self::Version => "version",
            Self::Signature => "signature",
            Self::Value => "value",
            Self::Unused => "unused",
            Self::Type => "type",
            Self::Shape => "shape",
            Self::Place => "place",
            Self::Alignment => "alignment",
            Self::Duplicate => "duplicate",
        }
    }
}

impl StructureReport {
    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|it| it.note)
    }

    /// What is wrong, without what is only odd.
    pub fn faults(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|it| !it.note)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.note { "note" } else { "FAIL" };
        write!(f, "{verdict}  {:9}  ", self.fault.name())?;
        if let Some(graph) = &self.graph {
            write!(f, "{graph}: ")?;
        }
        write!(f, "`{}` {}", self.subject.escape_debug(), self.message)
    }
}

/// Findings of one kind that are listed; of the others their number is told.
const LISTED: usize = 20;

impl fmt::Display for StructureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<_> = self.findings.iter().map(|it| it.fault).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let of_kind: Vec<_> = self.findings.iter().filter(|it| it.fault == kind).collect();
            for finding in of_kind.iter().take(LISTED) {
                writeln!(f, "{finding}")?;
            }
            if of_kind.len() > LISTED {
                writeln!(
                    f,
                    "      {:9}  and {} more",
                    kind.name(),
                    of_kind.len() - LISTED
                )?;
            }
        }
        let Self {
            files,
            nodes,
            weights,
            checksums,
            ..
        } = self;
        let faults = self.faults().count();
        write!(
            f,
            "structure: {files} files, {nodes} nodes, {weights} weights, {checksums} with checksums; "
        )?;
        match faults {
            0 => f.write_str("nothing is wrong"),
            1 => f.write_str("1 fault"),
            _ => write!(f, "{faults} faults"),
        }
    }
}
