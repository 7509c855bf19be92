//! The checkpoints that an export is made from: the model's, and for JanusFlow the VAE's.

use std::collections::BTreeMap;

use janus_runtime::manifest::FileEntry;

use crate::checkpoint::Checkpoint;
use crate::error::Result;

/// What the names of the VAE's files begin with in the manifest.
const OF_VAE: &str = "vae/";

/// The checkpoints that an export is made from, each with what its files' names begin with.
pub(crate) struct Sources<'c>(Vec<(&'static str, &'c Checkpoint)>);

impl<'c> Sources<'c> {
    /// The model's checkpoint, and the VAE's if there is one.
    pub(crate) fn new(
        model: &'c impl AsRef<Checkpoint>,
        vae: Option<&'c impl AsRef<Checkpoint>>,
    ) -> Self {
        let vae = vae.map(|vae| (OF_VAE, vae.as_ref()));
        Self([("", model.as_ref())].into_iter().chain(vae).collect())
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        let files = self.0.iter().flat_map(|(_, c)| c.source_files());
        files.map(|file| file.size()).sum()
    }

    /// What a person should know of the choice of files.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|(_, c)| c.notes()).cloned()
    }

    /// Odd values among those that were read.
    pub(crate) fn doubtful(&self) -> impl Iterator<Item = String> {
        let found = self.0.iter().flat_map(|(_, c)| c.doubtful());
        found.map(|doubtful| doubtful.to_string())
    }

    /// Length and hash of every file. `progress` is told the bytes that have been read.
    pub(crate) fn hash(
        &self,
        progress: &mut dyn FnMut(u64),
    ) -> Result<BTreeMap<String, FileEntry>> {
        let mut entries = BTreeMap::new();
        let mut before = 0;
        for (place, checkpoint) in &self.0 {
            for digest in checkpoint.sha256_files(|read, _| progress(before + read))? {
                before += digest.size;
                let entry = FileEntry {
                    bytes: digest.size,
                    sha256: digest.sha256,
                };
                entries.insert(format!("{place}{}", digest.name), entry);
            }
        }
        Ok(entries)
    }
}
