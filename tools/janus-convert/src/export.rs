//! An export in the making: a directory beside its final place, which it takes with one rename.

pub(crate) mod hashed_file;
mod place;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use janus_runtime::manifest::{Dim, ElementType, FileEntry, GraphEntry, MANIFEST, TensorSpec};
use janus_runtime::{GraphKind, Manifest};

use self::hashed_file::{HashedFile, WrittenFile};
use self::place::Place;
use crate::error::{Error, Result};
use crate::onnx::{self, DType, GraphFile, Shape};

/// Room for everything that is not a weight: graphs, tokenizer, manifest.
const OVERHEAD: u64 = 64 << 20;

/// An export in the making. Dropped before it is finished, it leaves nothing.
pub(crate) struct Export {
    place: Place,
    files: BTreeMap<String, FileEntry>,
}

impl Export {
    /// Claims the place at `out` for an export of the checkpoint in `released`. What is there is
    /// kept until the export is complete, and is in the way unless it may be replaced.
    pub(crate) fn create(out: &Path, released: &Path, replace: bool) -> Result<Self> {
        Ok(Self {
            place: Place::claim(out, released, replace)?,
            files: BTreeMap::new(),
        })
    }

    /// Fails if the disk has not room for `bytes` of weights.
    pub(crate) fn expect_room(&self, bytes: u64) -> Result<()> {
        let path = self.place.around();
        let free = fs4::available_space(path).map_err(|source| Error::Write {
            path: path.to_owned(),
            source,
        })?;
        let needed = bytes.saturating_add(OVERHEAD);
        match needed <= free {
            true => Ok(()),
            false => Err(Error::Space {
                path: path.to_owned(),
                needed,
                free,
            }),
        }
    }

    /// Writes a graph with its weights. `progress` is told of bytes of weights as they are
    /// written, and may end it.
    pub(crate) fn graph(
        &mut self,
        graph: &GraphFile,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<()> {
        for file in graph.write(self.place.partial(), progress)? {
            self.add(file);
        }
        Ok(())
    }

    /// Writes a small file.
    pub(crate) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = HashedFile::create(self.place.partial(), name)?;
        file.write(bytes)?;
        self.add(file.finish()?);
        Ok(())
    }

    /// Every file so far.
    pub(crate) fn files(&self) -> &BTreeMap<String, FileEntry> {
        &self.files
    }

    /// Writes the manifest, reads it as a user of the export will, and takes the final place.
    pub(crate) fn finish(self, manifest: &Manifest) -> Result<()> {
        let text = manifest.to_json().map_err(Error::SelfCheck)?;
        let mut file = HashedFile::create(self.place.partial(), MANIFEST)?;
        file.write(text.as_bytes())?;
        file.finish()?;
        Manifest::read(self.place.partial()).map_err(Error::SelfCheck)?;
        self.place.take()
    }

    fn add(&mut self, file: WrittenFile) {
        self.files.insert(file.name, file.entry);
    }
}

/// What the manifest says of a graph.
pub(crate) fn entry(graph: &GraphFile) -> GraphEntry {
    GraphEntry {
        file: graph.file().to_owned(),
        data: graph.data_file(),
        inputs: graph.inputs().map(spec).collect(),
        outputs: graph.outputs().map(spec).collect(),
    }
}

/// The graphs of an export, in the order in which they are written.
pub(crate) fn entries(graphs: &[(GraphKind, GraphFile)]) -> BTreeMap<GraphKind, GraphEntry> {
    graphs
        .iter()
        .map(|(kind, graph)| (*kind, entry(graph)))
        .collect()
}

fn spec((name, dtype, shape): (&str, DType, &Shape)) -> TensorSpec {
    TensorSpec {
        name: name.to_owned(),
        dtype: match dtype {
            DType::F32 => ElementType::F32,
            DType::F16 => ElementType::F16,
            DType::I64 => ElementType::I64,
            DType::I32 => ElementType::I32,
            DType::I8 | DType::U8 => unreachable!("{name}: no graph takes or gives bytes"),
        },
        shape: shape
            .iter()
            .map(|dim| match *dim {
                onnx::Dim::Fixed(extent) => Dim::Fixed(extent),
                onnx::Dim::Named(name) => Dim::Named(name.to_owned()),
            })
            .collect(),
    }
}
