//! The files of a directory that are graphs.

use std::path::{Path, PathBuf};

use super::names::{known, listed};
use crate::error::{Error, Result};

/// What the names of graphs end with.
const ENDING: &str = ".onnx";
/// The folder that transformers.js looks for graphs in.
const FOLDER: &str = "onnx";

/// The graphs of a directory, or of the folder `onnx` in it, in alphabetical order.
pub(super) fn graph_files(path: &Path) -> Result<Vec<PathBuf>> {
    let graphs = |folder: &Path| -> Result<Vec<PathBuf>> {
        let mut files = files(folder)?;
        files.retain(|file| file.to_string_lossy().ends_with(ENDING));
        Ok(files)
    };
    let here = graphs(path)?;
    let folder = path.join(FOLDER);
    match here.is_empty() && folder.is_dir() {
        true => graphs(&folder),
        false => Ok(here),
    }
}

pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::ReadFile {
        path: folder.to_owned(),
        source,
    };
    let entries = folder.read_dir().map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files = paths.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

/// Name of a graph's file without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem()
        .map_or(String::new(), |name| name.to_string_lossy().into_owned())
}

/// What is said of files of which no name is known.
pub(super) fn unknown(path: &Path, files: &[PathBuf]) -> Result<Error> {
    let found = files.iter().map(|file| -> Result<_> {
        let model = janus_onnx::read_with_weights(file)?;
        Ok(format!("{} ({})", stem(file), listed(model.graph())))
    });
    let found: Vec<_> = found.collect::<Result<_>>()?;
    Ok(Error::UnknownLayout {
        path: path.to_owned(),
        found: found.join("; "),
        known: known(),
    })
}
