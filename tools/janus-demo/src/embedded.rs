//! The checkpoints that are part of the program, and their exports on disk.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{AnyError, Error, Result};

/// How many characters of the hash are in the name of an export: 64 bits.
const KEY_LENGTH: usize = 16;

macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../", $folder, "/checkpoint/", $name)))),+]
    };
}

/// A checkpoint that is part of the program, in the layout that its model is released in.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// What the model is called.
    pub name: &'static str,
    /// Its files as name, which may have a folder before it (`vae/config.json`), and content.
    pub files: &'static [(&'static str, &'static [u8])],
}

impl Checkpoint {
    /// The demo model: a small Janus-Pro, which draws by image tokens.
    pub const PRO: Self = Self {
        name: "janus-demo",
        files: files!["demo-model":
            "chat_template.jinja",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "preprocessor_config.json",
            "processor_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
        ],
    };

    /// A small JanusFlow of the same world, which draws by rectified flow, with its VAE in `vae/`.
    pub const FLOW: Self = Self {
        name: "janus-demo-flow",
        files: files!["demo-flow":
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "preprocessor_config.json",
            "processor_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vae/config.json",
            "vae/diffusion_pytorch_model.safetensors",
        ],
    };

    /// Writes the files into a directory, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] for the directory or file that cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        for (name, content) in self.files {
            let path = dir.join(name);
            let folder = path.parent().unwrap_or(dir);
            fs::create_dir_all(folder).map_err(writing(folder))?;
            fs::write(&path, content).map_err(writing(&path))?;
        }
        Ok(())
    }

    /// The SHA-256 of names and contents, in hexadecimal.
    pub fn content_hash(&self) -> String {
        hexadecimal(self.digest())
    }

    /// The model as an exported directory inside of `cache_root`, converted on first use.
    ///
    /// `convert` turns the checkpoint directory that it is given first into a model directory at
    /// the path that it is given second, which does not exist yet. It is called at most once: the
    /// result is kept under a name made of the checkpoint and `converter_version`. That name appears
    /// when the export is complete, whatever interrupts it, and processes that ask at once wait for
    /// the first.
    ///
    /// # Errors
    ///
    /// [`Error::Export`] with what `convert` failed with; [`Error::Write`] and [`Error::Lock`] for
    /// what keeps the files from being written.
    pub fn ensure_exported<E: Into<AnyError>>(
        &self,
        cache_root: &Path,
        converter_version: &str,
        convert: impl FnOnce(&Path, &Path) -> Result<(), E>,
    ) -> Result<PathBuf> {
        let name = self.export_name(converter_version);
        let model = cache_root.join(&name);
        if model.is_dir() {
            return Ok(model);
        }
        fs::create_dir_all(cache_root).map_err(writing(cache_root))?;
        let _lock = lock(&cache_root.join(format!("{name}.lock")))?;
        if model.is_dir() {
            return Ok(model);
        }
        let partial = cache_root.join(format!("{name}.partial"));
        self.export(&partial, convert)?;
        // From here on the export is there, complete, for every process.
        fs::rename(partial.join("model"), &model).map_err(writing(&model))?;
        fs::remove_dir(&partial).map_err(writing(&partial))?;
        Ok(model)
    }

    /// Makes `partial/model` afresh, and leaves nothing else in `partial`.
    fn export<E: Into<AnyError>>(
        &self,
        partial: &Path,
        convert: impl FnOnce(&Path, &Path) -> Result<(), E>,
    ) -> Result<()> {
        remove_dir(partial)?;
        let (checkpoint, model) = (partial.join("checkpoint"), partial.join("model"));
        self.write(&checkpoint)?;
        convert(&checkpoint, &model).map_err(|source| {
            let path = model.clone();
            Error::Export {
                path,
                source: source.into(),
            }
        })?;
        remove_dir(&checkpoint)
    }

    /// Another checkpoint or another converter makes another export.
    fn export_name(&self, converter_version: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.digest());
        hash.update(converter_version);
        let key = hexadecimal(hash.finalize());
        format!("{}-{}", self.name, &key[..KEY_LENGTH])
    }

    fn digest(&self) -> impl AsRef<[u8]> {
        let mut hash = Sha256::new();
        for (name, content) in self.files {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(content);
        }
        hash.finalize()
    }
}

/// Waits until no other process exports; the lock goes with the file, or with the process.
fn lock(path: &Path) -> Result<File> {
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    opened
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|source| Error::Lock {
            path: path.to_owned(),
            source,
        })
}

fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(writing(path)(error)),
        _ => Ok(()),
    }
}

fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> Error {
    |source| Error::Write {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::world::World;

    const PRO: Checkpoint = Checkpoint::PRO;

    /// Stands in for the converter: the model is the checkpoint.
    fn copy(checkpoint: &Path, model: &Path) -> io::Result<()> {
        fs::create_dir(model)?;
        for (name, _) in PRO.files {
            fs::copy(checkpoint.join(name), model.join(name))?;
        }
        Ok(())
    }

    fn names(dir: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let names = fs::read_dir(dir).unwrap().map(name);
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn checkpoint_names() -> Vec<&'static str> {
        PRO.files.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn the_whole_checkpoints_are_embedded() {
        for (model, folder) in [(PRO, "demo-model"), (Checkpoint::FLOW, "demo-flow")] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(folder);
            let dir = tempfile::tempdir().unwrap();
            model.write(dir.path()).unwrap();
            for inner in ["", "vae"] {
                let there = folder.join("checkpoint").join(inner);
                if there.is_dir() {
                    assert_eq!(names(&there), names(&dir.path().join(inner)));
                }
            }
            for (name, content) in model.files {
                assert_eq!(fs::read(dir.path().join(name)).unwrap(), *content, "{name}");
                assert_eq!(
                    fs::read(folder.join("checkpoint").join(name)).unwrap(),
                    *content
                );
            }
        }
    }

    #[test]
    fn the_checkpoints_are_of_this_world() {
        for model in [PRO, Checkpoint::FLOW] {
            let mut files = model.files.iter();
            let (_, json) = files.find(|(name, _)| name.starts_with("preproc")).unwrap();
            let preprocessor: serde_json::Value = serde_json::from_slice(json).unwrap();
            assert_eq!(preprocessor["image_size"], World::get().image_size);
        }
    }

    #[test]
    fn the_name_depends_on_checkpoint_and_converter() {
        assert_eq!(PRO.content_hash().len(), 64);
        assert_ne!(PRO.content_hash(), Checkpoint::FLOW.content_hash());
        assert_eq!(PRO.export_name("1"), PRO.export_name("1"));
        assert_ne!(PRO.export_name("1"), PRO.export_name("2"));
    }

    #[test]
    fn an_export_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("cache/models");
        let model = PRO.ensure_exported(&root, "1", copy).unwrap();
        assert_eq!(names(&model), checkpoint_names());
        let again = PRO
            .ensure_exported(&root, "1", |_, _| Err("a second conversion"))
            .unwrap();
        assert_eq!(again, model);
        let other = PRO.ensure_exported(&root, "2", copy).unwrap();
        assert_ne!(other, model);
        assert!(names(&root).iter().all(|name| !name.ends_with(".partial")));
    }

    #[test]
    fn nothing_half_made_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let fail = |_: &Path, model: &Path| {
            fs::create_dir(model).unwrap();
            fs::write(model.join("half"), "").unwrap();
            Err("out of memory")
        };
        let error = PRO.ensure_exported(dir.path(), "1", fail).unwrap_err();
        assert!(
            matches!(&error, Error::Export { source, .. } if source.to_string().contains("out of"))
        );
        assert!(!dir.path().join(PRO.export_name("1")).exists());
        // What the interrupted export left behind does not get into the next one.
        let model = PRO.ensure_exported(dir.path(), "1", copy).unwrap();
        assert_eq!(names(&model), checkpoint_names());
    }

    #[test]
    fn who_comes_second_waits() {
        let dir = tempfile::tempdir().unwrap();
        let calls = AtomicUsize::new(0);
        let export = || {
            PRO.ensure_exported(dir.path(), "1", |checkpoint, model| {
                calls.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(50));
                copy(checkpoint, model)
            })
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(export)).collect();
            for thread in threads {
                assert_eq!(names(&thread.join().unwrap().unwrap()), checkpoint_names());
            }
        });
        assert_eq!(calls.into_inner(), 1);
    }
}
