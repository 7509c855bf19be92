//! From a PyTorch archive to a dictionary of tensors.

mod error;
mod view;

use std::collections::BTreeMap;

pub use self::error::StateDictError;

use super::archive::Archive;
use super::error::CheckpointError;
use super::limits;
use super::pickle::{Object, Pickled};
use super::source::SourceFile;
use super::tensor::Layout;

/// Reads the dictionary in `archive`, the directory of `file`.
pub(super) fn read(
    file: &SourceFile,
    archive: &Archive,
) -> Result<BTreeMap<String, Layout>, CheckpointError> {
    let root = root(archive).map_err(|e| e.in_file(file))?;
    check_byte_order(file, archive, root)?;
    let pickle = read_pickle(file, archive, root)?;
    let pickled = Pickled::read(&pickle).map_err(|source| CheckpointError::Pickle {
        file: file.name().to_owned(),
        source,
    })?;
    state_dict(&pickled, archive, root).map_err(|e| e.in_file(file))
}

/// The one directory that holds everything, named after the file that was once written.
fn root(archive: &Archive) -> Result<&str, StateDictError> {
    let roots = archive
        .names()
        .filter_map(|name| name.strip_suffix("/data.pkl"));
    let mut roots = roots.filter(|root| !root.contains('/'));
    let root = match (roots.next(), roots.next()) {
        (Some(root), None) => root,
        (Some(_), Some(_)) => {
            return Err(StateDictError::NoPickle {
                found: "several archives in one",
            });
        }
        (None, _) if archive.names().any(|name| name.ends_with(".npy")) => {
            return Err(StateDictError::NoPickle {
                found: "a NumPy archive",
            });
        }
        (None, _) => {
            return Err(StateDictError::NoPickle {
                found: "some other zip archive",
            });
        }
    };
    let compiled = |name: &str| {
        let inner = name
            .strip_prefix(root)
            .and_then(|rest| rest.strip_prefix('/'));
        inner.is_some_and(|inner| inner == "constants.pkl" || inner.starts_with("code/"))
    };
    if archive.names().any(compiled) {
        Err(StateDictError::TorchScript)
    } else {
        Ok(root)
    }
}

fn check_byte_order(
    file: &SourceFile,
    archive: &Archive,
    root: &str,
) -> Result<(), CheckpointError> {
    const LITTLE: &[u8] = b"little";
    let Some(entry) = archive.get(&format!("{root}/byteorder")) else {
        return Ok(());
    };
    let mut found = vec![0; entry.size.min(16) as usize];
    file.read_exact_at(entry.offset, &mut found)?;
    if found == LITTLE {
        return Ok(());
    }
    let found = String::from_utf8_lossy(&found).into_owned();
    Err(StateDictError::ByteOrder { found }.in_file(file))
}

fn read_pickle(
    file: &SourceFile,
    archive: &Archive,
    root: &str,
) -> Result<Vec<u8>, CheckpointError> {
    let name = format!("{root}/data.pkl");
    let entry = archive
        .get(&name)
        .filter(|entry| entry.size <= limits::PICKLE);
    let entry = entry.ok_or_else(|| {
        let size = archive.get(&name).map_or(0, |entry| entry.size);
        StateDictError::PickleLimit { size }.in_file(file)
    })?;
    let mut pickle = vec![0; entry.size as usize];
    file.read_exact_at(entry.offset, &mut pickle)?;
    entry
        .check(&name, crc32fast::hash(&pickle))
        .map_err(|wrong| wrong.in_file(file.name()))?;
    Ok(pickle)
}

fn state_dict(
    pickled: &Pickled,
    archive: &Archive,
    root: &str,
) -> Result<BTreeMap<String, Layout>, StateDictError> {
    let Some(Object::Dict(entries)) = pickled.objects.get(pickled.value) else {
        return Err(StateDictError::NotADictionary {
            found: pickled.objects.kind(pickled.value),
        });
    };
    match entries.len() {
        0 => return Err(StateDictError::NoTensors),
        count if count > limits::TENSORS => return Err(StateDictError::TooManyTensors { count }),
        _ => {}
    }
    let mut tensors = BTreeMap::new();
    for (key, value) in entries {
        let Some(Object::Text(name)) = pickled.objects.get(*key) else {
            return Err(StateDictError::Key {
                found: pickled.objects.kind(*key),
            });
        };
        let tensor = name.to_string();
        if name.is_empty() || name.len() > limits::NAME {
            return Err(StateDictError::Name { tensor });
        }
        let Some(Object::Tensor(view)) = pickled.objects.get(*value) else {
            let found = pickled.objects.kind(*value);
            return Err(StateDictError::NotATensor { tensor, found });
        };
        let layout = view::layout(&tensor, view, archive, root)?;
        if tensors.contains_key(&tensor) {
            return Err(StateDictError::Duplicate { tensor });
        }
        tensors.insert(tensor, layout);
    }
    Ok(tensors)
}
