//! Graphs of these models that other exporters wrote.

mod decoder;
mod files;
mod layout;
mod names;
mod passes;
mod reference;
mod session;

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use janus_runtime::ExecutionProvider;
use janus_runtime::manifest::{DType, MANIFEST};
use serde::Serialize;

pub use passes::compare_foreign;

use crate::error::{Error, Result};
use crate::placement::{PlacementReport, place_all};
use crate::structure::{StructureReport, check_foreign_graph};
use files::{files, graph_files, stem, unknown};
use layout::{Form, LAYOUTS, Layout};
use names::{Names, expected, forms, listed, map, precision};

/// A directory of ONNX graphs that another exporter wrote, with the meaning of every input and output.
///
/// Known are the division of Janus and Janus-Pro into six graphs that transformers.js runs, in any of
/// its precisions, and decoders of onnxruntime-genai and of Optimum, with ids or embeddings.
#[derive(Debug)]
pub struct ForeignDir {
    path: PathBuf,
    layout: &'static Layout,
    graphs: Vec<ForeignGraph>,
    /// Files of graphs that the layout has no name for.
    others: Vec<String>,
}

/// One graph of it.
#[derive(Debug)]
pub(crate) struct ForeignGraph {
    /// Name of the file without its ending.
    name: String,
    path: PathBuf,
    dtype: DType,
    form: &'static Form,
    inputs: Names,
    outputs: Names,
}

/// What a directory was recognised as. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForeignSummary {
    /// The layout.
    pub layout: &'static str,
    /// The graphs, by the names of their files, and the precision whose tolerance holds.
    pub graphs: Vec<(String, DType)>,
    /// Graphs of the layout that are not there, in the precision that was asked for.
    pub missing: Vec<&'static str>,
}

impl ForeignDir {
    /// Whether a directory has graphs, in itself or in a folder `onnx`, but neither a manifest nor the
    /// weights of a checkpoint.
    pub fn is_one(path: &Path) -> bool {
        let of_checkpoint = |file: &PathBuf| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".safetensors") || name.starts_with("pytorch_model")
        };
        !path.join(MANIFEST).is_file()
            && files(path).is_ok_and(|files| !files.iter().any(of_checkpoint))
            && graph_files(path).is_ok_and(|files| !files.is_empty())
    }

    /// Reads the graphs and maps their names; only those of one precision, if one is given.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownLayout`] where the files are none of a known layout, [`Error::OtherTensors`] where
    /// a graph has other inputs or outputs than the layout says, [`Error::Graph`] where a file is no
    /// graph, [`Error::NoGraphs`] where there are none, or none in the precision.
    pub fn open(path: impl AsRef<Path>, only: Option<DType>) -> Result<Self> {
        let path = path.as_ref();
        let files = graph_files(path)?;
        if files.is_empty() {
            return Err(Error::NoGraphs {
                path: path.to_owned(),
                what: "no ONNX files".to_owned(),
            });
        }
        let fitting = |layout: &&'static Layout| {
            files
                .iter()
                .filter(|file| forms(layout, &stem(file)).is_some())
                .count()
        };
        let layout = LAYOUTS
            .iter()
            .max_by_key(fitting)
            .filter(|layout| fitting(layout) > 0);
        let Some(layout) = layout else {
            return Err(unknown(path, &files)?);
        };
        let (mut graphs, mut others) = (Vec::new(), Vec::new());
        for file in files {
            let Some((forms, dtype)) = forms(layout, &stem(&file)) else {
                others.push(stem(&file));
                continue;
            };
            let wanted = |dtype| only.is_none_or(|only| only == dtype);
            // Where the name tells the precision, what is not wanted is not read.
            if dtype.is_none_or(wanted) {
                let graph = ForeignGraph::read(file, &forms, dtype)?;
                graphs.extend(Some(graph).filter(|graph| wanted(graph.dtype)));
            }
        }
        if graphs.is_empty() {
            return Err(Error::NoGraphs {
                path: path.to_owned(),
                what: only.map_or_else(String::new, |only| format!("no graphs in {only}")),
            });
        }
        let order = |graph: &ForeignGraph| {
            layout
                .forms
                .iter()
                .position(|it| it.stem == graph.form.stem)
        };
        graphs.sort_by_cached_key(|graph| (order(graph), graph.name.clone()));
        Ok(Self {
            path: path.to_owned(),
            layout,
            graphs,
            others,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was recognised as.
    pub fn summary(&self) -> ForeignSummary {
        ForeignSummary {
            layout: self.layout.name,
            graphs: self
                .graphs
                .iter()
                .map(|graph| (graph.name.clone(), graph.dtype))
                .collect(),
            missing: self.missing(),
        }
    }

    /// Length of the graphs' files.
    pub fn bytes(&self) -> u64 {
        let lengths = self
            .graphs
            .iter()
            .filter_map(|graph| graph.path.metadata().ok());
        lengths.map(|metadata| metadata.len()).sum()
    }

    /// Graphs of the layout that are not there, in the precision that was asked for.
    fn missing(&self) -> Vec<&'static str> {
        let mut stems = self.layout.stems();
        stems.retain(|stem| self.graphs.iter().all(|graph| graph.form.stem != *stem));
        stems
    }
}

impl ForeignGraph {
    fn read(path: PathBuf, forms: &[&'static Form], dtype: Option<DType>) -> Result<Self> {
        let model = janus_onnx::read_with_weights(&path)?;
        let Some(mapped) = map(forms, model.graph()) else {
            return Err(Error::OtherTensors {
                path,
                found: listed(model.graph()),
                expected: expected(forms),
            });
        };
        Ok(Self {
            name: stem(&path),
            dtype: dtype.unwrap_or_else(|| precision(&model)),
            form: mapped.form,
            inputs: mapped.inputs,
            outputs: mapped.outputs,
            path,
        })
    }
}

/// Checks graphs that another exporter wrote as [`check_structure`](crate::check_structure) does, as far
/// as it needs no manifest: there are no hashes, checksums or signatures to compare with, and what costs
/// bytes or a mapping only is a remark.
///
/// # Errors
///
/// As [`check_structure`](crate::check_structure).
pub fn check_foreign_structure(
    foreign: &ForeignDir,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<StructureReport> {
    let mut report = StructureReport::default();
    for graph in &foreign.graphs {
        check_foreign_graph(&graph.name, &graph.path, &mut report, progress)?;
    }
    Ok(report)
}

/// Looks the nodes of another exporter's graphs up in a provider's table of kernels, as
/// [`check_placement`](crate::check_placement) does.
///
/// # Errors
///
/// As [`check_placement`](crate::check_placement).
pub fn check_foreign_placement(
    foreign: &ForeignDir,
    provider: ExecutionProvider,
) -> Result<PlacementReport> {
    let graphs = foreign.graphs.iter();
    let read = |graph: &ForeignGraph| {
        Ok((
            graph.name.clone(),
            janus_onnx::read_with_weights(&graph.path)?,
        ))
    };
    place_all(graphs.map(read), provider)
}

impl fmt::Display for ForeignSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let graphs: Vec<_> = self
            .graphs
            .iter()
            .map(|(name, dtype)| format!("{name} ({dtype})"))
            .collect();
        write!(f, "layout: {}; {}", self.layout, graphs.join(", "))?;
        match self.missing.is_empty() {
            true => Ok(()),
            false => write!(f, "; not there: {}", self.missing.join(", ")),
        }
    }
}
