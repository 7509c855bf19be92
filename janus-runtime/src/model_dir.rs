//! An exported model directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::contract::GraphKind;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::lazy::LazyGraph;
use crate::manifest::{FileEntry, GraphEntry, Manifest};
use crate::placement::Placement;
use crate::session::{self, SessionOptions};

/// An exported model directory whose files are as long as its manifest says.
#[derive(Clone, Debug)]
pub struct ModelDir(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    path: PathBuf,
    manifest: Manifest,
    /// Of the graphs that were opened.
    placements: Mutex<BTreeMap<GraphKind, Placement>>,
}

impl ModelDir {
    /// Reads the manifest and compares the length of every file with it.
    ///
    /// Contents are compared by [`ModelDir::verify`], which reads every byte.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let manifest = Manifest::read(path)?;
        for (name, entry) in &manifest.files {
            check_size(&path.join(name), entry)?;
        }
        Ok(Self(Arc::new(Contents {
            path: path.to_owned(),
            manifest,
            placements: Mutex::default(),
        })))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What it contains.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// Where the nodes of the graphs run that have been opened so far, by whatever clone of this.
    pub fn placements(&self) -> BTreeMap<GraphKind, Placement> {
        let placements = self.0.placements.lock();
        placements.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens a graph, after checking that its file, though not yet its weights, is unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Fallback`] where the provider leaves nodes to others and
    /// [`SessionOptions::allow_fallback`] is not set.
    pub fn graph(&self, kind: GraphKind, options: &SessionOptions) -> Result<Graph> {
        let Contents {
            path,
            manifest,
            placements,
        } = &*self.0;
        let entry = self.entry(kind)?.clone();
        let file = path.join(&entry.file);
        let mut options = options.clone();
        if let Some(listed) = manifest.files.get(&entry.file) {
            check_hash(&file, listed)?;
            options = options.for_contents(&listed.sha256);
        }
        let (session, placement) = session::open(&file, (kind, &entry), &options)?;
        let mut placements = placements.lock().unwrap_or_else(PoisonError::into_inner);
        placements.insert(kind, placement.clone());
        Graph::new(kind, entry, &options, session, placement)
    }

    /// Opens a graph in other words: `bytes` take the place of its file, its weights stay where they
    /// are. It has the inputs and outputs of the manifest, and may have more outputs.
    ///
    /// # Errors
    ///
    /// As [`ModelDir::graph`], but nothing is compared with a hash.
    pub fn altered_graph(
        &self,
        kind: GraphKind,
        bytes: &[u8],
        options: &SessionOptions,
    ) -> Result<Graph> {
        let entry = self.entry(kind)?.clone();
        let options = &options.for_contents(&hexadecimal(&Sha256::digest(bytes)));
        let (session, placement) =
            session::open_bytes(bytes, self.path(), (kind, &entry), options)?;
        Graph::with_more_outputs(kind, entry, options, session, placement)
    }

    /// A graph that is opened when it is first needed.
    ///
    /// # Errors
    ///
    /// [`Error::MissingGraph`] where the export has none of this kind.
    pub fn lazy_graph(&self, kind: GraphKind, options: &SessionOptions) -> Result<LazyGraph> {
        self.entry(kind)?;
        Ok(LazyGraph::new(self.clone(), kind, options.clone()))
    }

    fn entry(&self, kind: GraphKind) -> Result<&GraphEntry> {
        let entry = self.0.manifest.graphs.get(&kind);
        entry.ok_or_else(|| Error::MissingGraph {
            path: self.0.path.clone(),
            graph: kind,
        })
    }

    /// Reads every file and compares its SHA-256 with the manifest.
    ///
    /// `progress` is told the bytes of each file that has been read.
    pub fn verify(&self, mut progress: impl FnMut(u64)) -> Result<()> {
        for (name, entry) in &self.0.manifest.files {
            self.verify_file(name)?;
            progress(entry.bytes);
        }
        Ok(())
    }

    /// Reads a file and compares its SHA-256 with the manifest, if it lists it.
    pub fn verify_file(&self, name: &str) -> Result<()> {
        match self.0.manifest.files.get(name) {
            Some(entry) => check_hash(&self.0.path.join(name), entry),
            None => Ok(()),
        }
    }
}

fn check_size(path: &Path, entry: &FileEntry) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::ReadFile {
        path: path.to_owned(),
        source,
    })?;
    if metadata.len() != entry.bytes {
        return Err(Error::FileSize {
            path: path.to_owned(),
            expected: entry.bytes,
            found: metadata.len(),
        });
    }
    Ok(())
}

fn check_hash(path: &Path, entry: &FileEntry) -> Result<()> {
    let found = sha256(path).map_err(|source| Error::ReadFile {
        path: path.to_owned(),
        source,
    })?;
    if found != entry.sha256 {
        return Err(Error::FileHash {
            path: path.to_owned(),
            expected: entry.sha256.clone(),
            found,
        });
    }
    Ok(())
}

/// SHA-256 of a file, lower-case hexadecimal.
fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hash.update(&chunk[..read]),
        }
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// Bytes as manifests have them.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
