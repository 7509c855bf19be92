//! An export in the making: a directory beside its final place, which it takes with one rename.

pub(crate) mod hashed_file;
mod place;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use janus_runtime::manifest::{Dim, ElementType, FileEntry, GraphEntry, MANIFEST, TensorSpec};
use janus_runtime::{GraphKind, Manifest};

use self::hashed_file::{HashedFile, WrittenFile};
use self::place::Place;
use crate::error::{Error, Result};
use crate::onnx::{self, Checksums, DType, GraphFile, Shape};

/// Room for everything that is not a weight: graphs, tokenizer, manifest.
const OVERHEAD: u64 = 64 << 20;

/// An export in the making. Dropped before it is finished, it leaves nothing.
pub(crate) struct Export {
    place: Place,
    files: BTreeMap<String, FileEntry>,
    checksums: Checksums,
    /// Another export: its directory, and its files.
    other: Option<(PathBuf, BTreeMap<String, FileEntry>)>,
}

impl Export {
    /// Claims the place at `out` for an export of the checkpoint in `released`. What is there is
    /// kept until the export is complete, and is in the way unless it may be replaced.
    pub(crate) fn create(out: &Path, released: &Path, replace: bool) -> Result<Self> {
        Ok(Self {
            place: Place::claim(out, released, replace)?,
            files: BTreeMap::new(),
            checksums: Checksums::new(),
            other: None,
        })
    }

    /// Files that the export at `other` has too are not stored again.
    pub(crate) fn share_with(&mut self, other: &Path) -> Result<()> {
        let manifest = Manifest::read(other).map_err(Error::SelfCheck)?;
        self.other = Some((other.to_owned(), manifest.files));
        Ok(())
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
        let written = graph.write(self.place.partial(), &mut self.checksums, progress)?;
        for file in written {
            self.add(file)?;
        }
        Ok(())
    }

    /// Writes a small file.
    pub(crate) fn file(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = HashedFile::create(self.place.partial(), name)?;
        file.write(bytes)?;
        self.add(file.finish()?)
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

    /// Lists a file. One that is there already under another name, or in the other export, is stored
    /// once, where the file system can do so: it becomes another name of that.
    fn add(&mut self, file: WrittenFile) -> Result<()> {
        if let Some(known) = self.known(&file.entry) {
            let path = self.place.partial().join(&file.name);
            let link = path.with_added_extension("link");
            // Without links there are two copies, which is not wrong.
            if fs::hard_link(known, &link).is_ok() {
                fs::rename(&link, &path).map_err(|source| Error::Write { path, source })?;
            }
        }
        self.files.insert(file.name, file.entry);
        Ok(())
    }

    /// A file of these contents.
    fn known(&self, entry: &FileEntry) -> Option<PathBuf> {
        let of = |dir: &Path, files: &BTreeMap<String, FileEntry>| {
            let mut equal = files.iter().filter(|(_, other)| *other == entry);
            equal.next().map(|(name, _)| dir.join(name))
        };
        let other = self.other.as_ref();
        of(self.place.partial(), &self.files)
            .or_else(|| other.and_then(|(dir, files)| of(dir, files)))
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
            DType::BF16 => ElementType::Bf16,
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
