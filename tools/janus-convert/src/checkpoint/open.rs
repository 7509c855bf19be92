//! Which files of a directory are its weights.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::archive::Archive;
use super::error::CheckpointError;
use super::index::Index;
use super::source::SourceFile;
use super::tensor::{Layout, Tensor};
use super::{Checkpoint, Container, detect, safetensors, torch};

/// File names that weights are released under, in the order of preference.
const RELEASED: [(&str, Container, Parts); 6] = [
    ("model.safetensors", Container::Safetensors, Parts::One),
    (
        "model.safetensors.index.json",
        Container::Safetensors,
        Parts::Shards,
    ),
    (
        "diffusion_pytorch_model.safetensors",
        Container::Safetensors,
        Parts::One,
    ),
    ("pytorch_model.bin", Container::PyTorch, Parts::One),
    (
        "pytorch_model.bin.index.json",
        Container::PyTorch,
        Parts::Shards,
    ),
    (
        "diffusion_pytorch_model.bin",
        Container::PyTorch,
        Parts::One,
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    One,
    Shards,
}

impl Checkpoint {
    pub(super) fn open_any_of(
        dir: &Path,
        containers: &[Container],
    ) -> Result<Self, CheckpointError> {
        let wanted = || {
            RELEASED
                .iter()
                .filter(|(_, container, _)| containers.contains(container))
        };
        let mut found = wanted().filter(|(name, ..)| dir.join(name).symlink_metadata().is_ok());
        let Some((name, container, parts)) = found.next() else {
            let expected = wanted()
                .map(|(name, ..)| *name)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(CheckpointError::NoWeights {
                dir: dir.to_owned(),
                expected,
            });
        };
        let mut notes = Vec::new();
        for (other, ..) in found {
            notes.push(format!(
                "`{name}` is read; `{other}` in the same directory is not"
            ));
        }

        let mut checkpoint = Self {
            container: *container,
            files: Vec::new(),
            archives: Vec::new(),
            tensors: BTreeMap::new(),
            notes,
        };
        match parts {
            Parts::One => checkpoint.add_file(SourceFile::open(dir, name)?)?,
            Parts::Shards => checkpoint.add_shards(dir, name)?,
        }
        Ok(checkpoint)
    }

    fn add_shards(&mut self, dir: &Path, list: &str) -> Result<(), CheckpointError> {
        let index = Index::read(&SourceFile::open(dir, list)?)?;
        let mut names_of: BTreeMap<&str, usize> = BTreeMap::new();
        for shard in index.shards() {
            let file = SourceFile::open(dir, shard).map_err(|e| missing_shard(e, list))?;
            let twin = self.files.iter().position(|known| known.is_same_as(&file));
            names_of.insert(shard, twin.unwrap_or(self.files.len()));
            if twin.is_none() {
                self.add_file(file)?;
            }
        }
        for (tensor, shard) in &index.weight_map {
            let found = self.tensors.get(tensor).map(|t| t.file);
            if found.is_none() || found != names_of.get(shard.as_str()).copied() {
                let (tensor, shard) = (tensor.clone(), shard.clone());
                return Err(CheckpointError::NotInShard { tensor, shard });
            }
        }
        self.note_disagreements(list, &index);
        Ok(())
    }

    fn note_disagreements(&mut self, list: &str, index: &Index) {
        let unlisted = self.tensors.len() - index.weight_map.len();
        if unlisted > 0 {
            self.notes.push(format!(
                "the shards hold {unlisted} tensors that `{list}` does not name"
            ));
        }
        let total = self
            .tensors
            .values()
            .map(|t| t.layout.byte_len())
            .sum::<u64>();
        if let Some(stated) = index.total_size.filter(|stated| *stated != total) {
            self.notes.push(format!(
                "`{list}` says that all tensors take {stated} bytes; they take {total}"
            ));
        }
    }

    fn add_file(&mut self, file: SourceFile) -> Result<(), CheckpointError> {
        let layouts = match self.container {
            Container::Safetensors => {
                detect::expect_safetensors(&file)?;
                safetensors::read(&file)?
            }
            Container::PyTorch => {
                detect::expect_pytorch(&file)?;
                let archive = Archive::read(&file)?;
                let layouts = torch::read(&file, &archive)?;
                self.archives.push(archive);
                layouts
            }
        };
        self.files.push(file);
        layouts
            .into_iter()
            .try_for_each(|(name, layout)| self.add_tensor(name, layout))
    }

    /// Adds a tensor of the file that came last.
    fn add_tensor(&mut self, name: String, layout: Layout) -> Result<(), CheckpointError> {
        let tensor = Tensor::new(layout, self.files.len() - 1);
        if let Some(twin) = self.tensors.get(&name) {
            return Err(CheckpointError::InTwoShards {
                tensor: name,
                first: self.file(twin).name().to_owned(),
                second: self.file(&tensor).name().to_owned(),
            });
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }
}

fn missing_shard(error: CheckpointError, list: &str) -> CheckpointError {
    match error {
        CheckpointError::Open { file, source } if source.kind() == io::ErrorKind::NotFound => {
            CheckpointError::MissingShard {
                list: list.to_owned(),
                shard: file,
            }
        }
        other => other,
    }
}
