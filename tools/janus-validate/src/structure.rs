//! Whether an export is what its manifest says, read without running it.

mod nodes;
mod report;
mod shapes;
mod signature;
mod weights;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use janus_onnx::proto::Model;
use janus_runtime::manifest::GraphEntry;
use janus_runtime::{GraphKind, ModelDir};

pub use report::{Fault, Finding, StructureReport};
pub(crate) use signature::described;

use crate::error::{Error, Result};

/// Versions of the file format that the pinned ONNX Runtime reads.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=13;
/// Operator sets, and the versions of them, that the pinned ONNX Runtime has.
const OPSETS: [(&str, std::ops::RangeInclusive<i64>); 2] = [("", 7..=28), ("com.microsoft", 1..=1)];

/// Reads every file of an export and checks it against the manifest and against itself.
///
/// * Files: their SHA-256.
/// * Graphs: version of the format and of the operators; every value made once, and before it is
///   read; nodes and weights that nothing reads; inputs and outputs against the manifest; types and
///   shapes of what the operators of this family give, against what the graph says of them.
/// * Weights: type and size; their place in the file beside the graph, its alignment, and that no two
///   overlap; the CRC-32 of each, where the graph has it, so that a damaged one is told by name; equal
///   ones, which are a remark and no fault.
///
/// `progress` is told the bytes that were read since the last time, and may stop it.
///
/// # Errors
///
/// [`Error::Runtime`] where a file cannot be read, [`Error::Cancelled`]. A fault is not an error: see
/// [`StructureReport::passed`].
pub fn check_structure(
    model: &ModelDir,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<StructureReport> {
    let mut report = StructureReport::default();
    check_files(model, &mut report, progress)?;
    let mut known = weights::Known::new();
    for (kind, entry) in &model.manifest().graphs {
        let path = model.path().join(&entry.file);
        let graph = match janus_onnx::read(&path) {
            Ok(graph) => graph,
            Err(janus_onnx::Error::ReadFile { path, source }) => {
                return Err(Error::ReadFile { path, source });
            }
            Err(error) => {
                report.add(Finding {
                    graph: Some(kind.to_string()),
                    fault: Fault::Format,
                    subject: entry.file.clone(),
                    message: chain(&error),
                    note: false,
                });
                continue;
            }
        };
        let mut check = Check {
            graph: &kind.name(),
            entry: Some(entry),
            model: &graph,
            report: &mut report,
        };
        check.versions(Some(i64::from(model.manifest().converter.opset)));
        signature::check(&mut check, entry);
        check.contents(model.path(), &mut known, progress)?;
    }
    Ok(report)
}

/// Checks a graph that another exporter wrote, of which no manifest says what it should be.
///
/// What costs bytes or a mapping, and nothing else, is a remark there.
pub(crate) fn check_foreign_graph(
    name: &str,
    path: &Path,
    report: &mut StructureReport,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let graph = janus_onnx::read_with_weights(path)?;
    let mut check = Check {
        graph: name,
        entry: None,
        model: &graph,
        report,
    };
    check.versions(None);
    let folder = path.parent().unwrap_or(Path::new(""));
    check.contents(folder, &mut weights::Known::new(), progress)?;
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    report.files += 1;
    report.bytes += bytes;
    tell(progress, bytes)
}

/// One graph on the way through the checks.
struct Check<'a> {
    /// What it is called.
    graph: &'a str,
    /// What the manifest says of it; nothing of one that another exporter wrote.
    entry: Option<&'a GraphEntry>,
    model: &'a Model,
    report: &'a mut StructureReport,
}

impl Check<'_> {
    fn found(&mut self, fault: Fault, subject: &str, message: impl Into<String>) {
        self.add(fault, subject, message, false);
    }

    /// What is wrong with an export, and only odd where another exporter wrote the graph.
    fn odd(&mut self, fault: Fault, subject: &str, message: impl Into<String>) {
        self.add(fault, subject, message, self.entry.is_none());
    }

    fn add(&mut self, fault: Fault, subject: &str, message: impl Into<String>, note: bool) {
        self.report.add(Finding {
            graph: Some(self.graph.to_owned()),
            fault,
            subject: subject.to_owned(),
            message: message.into(),
            note,
        });
    }

    /// Nodes, values and weights; the weights beside the graph lie in `folder`.
    fn contents(
        &mut self,
        folder: &Path,
        known: &mut weights::Known,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<()> {
        nodes::check(self);
        shapes::check(self);
        weights::check(self, folder, known, progress)
    }

    /// The format and the operator sets are ones that the runtime reads, and those of the manifest.
    fn versions(&mut self, opset: Option<i64>) {
        let ir = self.model.ir_version();
        if !IR_VERSIONS.contains(&ir) {
            let (first, last) = (IR_VERSIONS.start(), IR_VERSIONS.end());
            let message = format!("is {ir}; it should be {first} to {last}");
            self.found(Fault::Version, "ir_version", message);
        }
        let mut seen = BTreeSet::new();
        for set in &self.model.opset_import {
            let domain = janus_onnx::standard(set.domain());
            let name = if domain.is_empty() { "ai.onnx" } else { domain };
            let known = OPSETS.iter().find(|(known, _)| *known == domain);
            let version = set.version();
            match known {
                None => self.odd(Fault::Version, name, "is no set of operators that is known"),
                Some((_, versions)) if !versions.contains(&version) => {
                    let (first, last) = (versions.start(), versions.end());
                    let message = format!("is {version}; it should be {first} to {last}");
                    self.found(Fault::Version, name, message);
                }
                Some(_) => {
                    let said = opset.filter(|said| domain.is_empty() && version != *said);
                    if let Some(said) = said {
                        let message = format!("is {version}; the manifest says {said}");
                        self.found(Fault::Version, name, message);
                    }
                }
            }
            if !seen.insert(domain) {
                self.found(Fault::Version, name, "stands twice among the operator sets");
            }
        }
        if !self.model.functions.is_empty() {
            self.odd(
                Fault::Version,
                "functions",
                "of its own are not looked into",
            );
        }
    }
}

/// Compares the hash of every file.
fn check_files(
    model: &ModelDir,
    report: &mut StructureReport,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    for (name, entry) in &model.manifest().files {
        match model.verify_file(name) {
            Ok(()) => report.files += 1,
            Err(janus_runtime::Error::FileHash { .. }) => report.add(Finding {
                graph: graph_of(model, name).map(|kind| kind.to_string()),
                fault: Fault::Hash,
                subject: name.clone(),
                message: "is not what was written: its SHA-256 is another".to_owned(),
                note: false,
            }),
            Err(error) => return Err(error.into()),
        }
        report.bytes += entry.bytes;
        tell(progress, entry.bytes)?;
    }
    Ok(())
}

/// The graph that a file belongs to.
fn graph_of(model: &ModelDir, file: &str) -> Option<GraphKind> {
    let graphs = model.manifest().graphs.iter();
    let mut of_file =
        graphs.filter(|(_, entry)| entry.file == file || entry.data.as_deref() == Some(file));
    of_file.next().map(|(kind, _)| *kind)
}

pub(crate) fn tell(progress: &mut dyn FnMut(u64) -> ControlFlow<()>, bytes: u64) -> Result<()> {
    match progress(bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
