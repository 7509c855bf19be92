//! The demo model's checkpoint, which is part of the program, and its export on disk.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{AnyError, Error, Result};

macro_rules! checkpoint {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../demo-model/checkpoint/", $name)))),+]
    };
}

/// The files of the checkpoint, in the layout that Janus is released in, as name and content.
pub const CHECKPOINT: &[(&str, &[u8])] = checkpoint![
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// How many characters of the hash are in the name of an export: 64 bits.
const KEY_LENGTH: usize = 16;

/// Writes the checkpoint into a directory, which is made if it is not there.
///
/// # Errors
///
/// [`Error::Write`] for the directory or file that cannot be written.
pub fn write_checkpoint(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(writing(dir))?;
    for (name, content) in CHECKPOINT {
        let path = dir.join(name);
        fs::write(&path, content).map_err(writing(&path))?;
    }
    Ok(())
}

/// The SHA-256 of the checkpoint's names and contents, in hexadecimal.
pub fn content_hash() -> String {
    hexadecimal(checkpoint_digest())
}

/// The demo model as an exported model directory inside of `cache_root`, converted on first use.
///
/// `convert` turns the checkpoint directory that it is given first into a model directory at the
/// path that it is given second, which does not exist yet. It is called at most once: the result is
/// kept under a name made of the checkpoint and `converter_version`. That name appears when the
/// export is complete, whatever interrupts it, and processes that ask at once wait for the first.
///
/// # Errors
///
/// [`Error::Export`] with what `convert` failed with; [`Error::Write`] and [`Error::Lock`] for what
/// keeps the files from being written.
pub fn ensure_exported<E: Into<AnyError>>(
    cache_root: &Path,
    converter_version: &str,
    convert: impl FnOnce(&Path, &Path) -> Result<(), E>,
) -> Result<PathBuf> {
    let name = export_name(converter_version);
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
    export(&partial, convert)?;
    // From here on the export is there, complete, for every process.
    fs::rename(partial.join("model"), &model).map_err(writing(&model))?;
    fs::remove_dir(&partial).map_err(writing(&partial))?;
    Ok(model)
}

/// Makes `partial/model` afresh, and leaves nothing else in `partial`.
fn export<E: Into<AnyError>>(
    partial: &Path,
    convert: impl FnOnce(&Path, &Path) -> Result<(), E>,
) -> Result<()> {
    remove_dir(partial)?;
    let (checkpoint, model) = (partial.join("checkpoint"), partial.join("model"));
    write_checkpoint(&checkpoint)?;
    convert(&checkpoint, &model).map_err(|source| {
        let path = model.clone();
        Error::Export {
            path,
            source: source.into(),
        }
    })?;
    remove_dir(&checkpoint)
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

/// Another checkpoint or another converter makes another export.
fn export_name(converter_version: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(checkpoint_digest());
    hash.update(converter_version);
    let key = hexadecimal(hash.finalize());
    format!("janus-demo-{}", &key[..KEY_LENGTH])
}

fn checkpoint_digest() -> impl AsRef<[u8]> {
    let mut hash = Sha256::new();
    for (name, content) in CHECKPOINT {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hash.finalize()
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

    /// Stands in for the converter: the model is the checkpoint.
    fn copy(checkpoint: &Path, model: &Path) -> io::Result<()> {
        fs::create_dir(model)?;
        for (name, _) in CHECKPOINT {
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
        CHECKPOINT.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn the_whole_checkpoint_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo-model/checkpoint");
        assert_eq!(names(&folder), checkpoint_names());
        let dir = tempfile::tempdir().unwrap();
        write_checkpoint(dir.path()).unwrap();
        for (name, content) in CHECKPOINT {
            assert_eq!(fs::read(dir.path().join(name)).unwrap(), *content, "{name}");
        }
    }

    #[test]
    fn the_checkpoint_is_of_this_world() {
        let (_, json) = CHECKPOINT
            .iter()
            .find(|(name, _)| name.starts_with("preproc"))
            .unwrap();
        let preprocessor: serde_json::Value = serde_json::from_slice(json).unwrap();
        assert_eq!(preprocessor["image_size"], World::get().image_size);
    }

    #[test]
    fn the_name_depends_on_checkpoint_and_converter() {
        assert_eq!(content_hash().len(), 64);
        assert_eq!(export_name("1"), export_name("1"));
        assert_ne!(export_name("1"), export_name("2"));
    }

    #[test]
    fn an_export_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("cache/models");
        let model = ensure_exported(&root, "1", copy).unwrap();
        assert_eq!(names(&model), checkpoint_names());
        let again = ensure_exported(&root, "1", |_, _| Err("a second conversion")).unwrap();
        assert_eq!(again, model);
        let other = ensure_exported(&root, "2", copy).unwrap();
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
        let error = ensure_exported(dir.path(), "1", fail).unwrap_err();
        assert!(
            matches!(&error, Error::Export { source, .. } if source.to_string().contains("out of"))
        );
        assert!(!dir.path().join(export_name("1")).exists());
        // What the interrupted export left behind does not get into the next one.
        let model = ensure_exported(dir.path(), "1", copy).unwrap();
        assert_eq!(names(&model), checkpoint_names());
    }

    #[test]
    fn who_comes_second_waits() {
        let dir = tempfile::tempdir().unwrap();
        let calls = AtomicUsize::new(0);
        let export = || {
            ensure_exported(dir.path(), "1", |checkpoint, model| {
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
