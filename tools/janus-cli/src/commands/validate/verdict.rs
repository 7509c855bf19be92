//! All that a validation found, for people, for machines, and for the export itself.

use std::fmt;
use std::fs;

use janus_runtime::manifest::DType;
use janus_runtime::{ModelDir, library_info};
use janus_validate::{
    BisectReport, ForeignSummary, PlacementReport, PrecisionReport, Report, Row, StructureReport,
};
use serde::Serialize;

use crate::failure::Failure;

/// The file of an export that says what its validation found.
const PARITY: &str = "parity.json";

/// All that a validation found.
#[derive(Serialize)]
pub(super) struct Verdict {
    passed: bool,
    /// Of an export; the graphs of another exporter have one each.
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<DType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign: Option<ForeignSummary>,
    pub(super) structure: StructureReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) placement: Option<PlacementReport>,
    #[serde(flatten)]
    pub(super) golden: Option<Report>,
    #[serde(flatten)]
    pub(super) precision: Option<PrecisionReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bisect: Option<BisectReport>,
}

/// What `parity.json` says.
#[derive(Serialize)]
struct Parity<'a> {
    janus: &'static str,
    /// What the ONNX Runtime library that computed the numbers says of itself.
    runtime: Option<&'static str>,
    /// Hash of the manifest that was validated; it has those of all files.
    manifest: String,
    #[serde(flatten)]
    verdict: &'a Verdict,
}

impl Verdict {
    pub(super) fn new(model: &ModelDir, structure: StructureReport) -> Self {
        Self {
            dtype: Some(model.manifest().converter.dtype),
            ..Self::of_structure(structure)
        }
    }

    /// Of graphs that another exporter wrote.
    pub(super) fn of_foreign(summary: ForeignSummary, structure: StructureReport) -> Self {
        Self {
            foreign: Some(summary),
            ..Self::of_structure(structure)
        }
    }

    fn of_structure(structure: StructureReport) -> Self {
        Self {
            passed: false,
            dtype: None,
            foreign: None,
            structure,
            placement: None,
            golden: None,
            precision: None,
            bisect: None,
        }
    }

    /// Keeps it in the export.
    pub(super) fn record(&self, model: &ModelDir) -> anyhow::Result<()> {
        let manifest = model.manifest().to_json()?;
        let parity = Parity {
            janus: env!("CARGO_PKG_VERSION"),
            runtime: library_info().ok(),
            manifest: super::hexadecimal(manifest.as_bytes()),
            verdict: self,
        };
        let mut text = serde_json::to_string_pretty(&parity)?;
        text.push('\n');
        let path = model.path().join(PARITY);
        // A reader sees the old one or the new one, never a part.
        let partial = path.with_added_extension("partial");
        let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, &path));
        Ok(written.map_err(|source| Failure::Write { path, source })?)
    }

    /// Fails where something is wrong.
    pub(super) fn expect_passed(&self) -> anyhow::Result<()> {
        let faults = self.structure.faults().take(3);
        let faults: Vec<_> = faults
            .map(|it| format!("`{}` {}", it.subject.escape_debug(), it.message))
            .collect();
        expect_none("the export is damaged or inconsistent", &faults)?;
        if let Some(report) = &self.placement {
            let what = format!("not for {}: heavy nodes would leave it in", report.provider);
            expect_none(&what, &report.failed())?;
        }
        if let Some(report) = &self.golden {
            let beyond = report.rows.iter().filter(|row| !row.passed);
            let names: Vec<_> = beyond.map(Row::label).collect();
            expect_none("beyond tolerance", &names)?;
        }
        if let Some(report) = &self.precision {
            expect_none("beyond the limits", &report.failed())?;
        }
        match &self.bisect {
            Some(report) => expect_none("departs from the reference", &report.departures()),
            None => Ok(()),
        }
    }

    /// Sums up what was found, once all of it is there.
    pub(super) fn decide(&mut self) {
        self.passed = self.expect_passed().is_ok();
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(summary) = &self.foreign {
            writeln!(f, "{summary}")?;
        }
        write!(f, "{}", self.structure)?;
        if let Some(report) = self.placement.as_ref().filter(|it| it.provider != "cpu") {
            write!(f, "\n{report}")?;
        }
        if let Some(report) = &self.golden {
            write!(f, "\n{report}")?;
        }
        if let Some(report) = &self.precision {
            write!(f, "\n{report}")?;
        }
        if let Some(report) = &self.bisect {
            write!(f, "\n{report}")?;
        }
        Ok(())
    }
}

fn expect_none(what: &str, names: &[impl AsRef<str>]) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    Err(Failure::Check(format!("{what}: {}", names.join("; "))).into())
}
