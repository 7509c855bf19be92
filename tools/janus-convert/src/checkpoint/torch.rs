//! From a PyTorch archive to a dictionary of tensors.

use std::collections::BTreeMap;

use super::archive::{Archive, Entry};
use super::error::{CheckpointError, Fault, Quoted};
use super::limits;
use super::pickle::{Object, Pickled, PickledTensor};
use super::source::SourceFile;
use super::tensor::{Dtype, Layout, value_count};
use super::values;

/// Why an archive does not hold a usable dictionary of tensors.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StateDictError {
    /// It is an archive, but not one of PyTorch's.
    #[error("it is {found}: there is no entry `data.pkl` in one directory at the top")]
    NoPickle {
        /// What it seems to be.
        found: &'static str,
    },
    /// It holds a compiled module.
    #[error("it is a TorchScript archive; save the module's `state_dict()` instead")]
    TorchScript,
    /// It was written on a machine of the other byte order, or says something else.
    #[error("its byte order is {}; only `little` is read", Quoted(found))]
    ByteOrder {
        /// What it says.
        found: String,
    },
    /// The pickle is larger than any model's.
    #[error("its pickle has {size} bytes; the limit is {}", limits::PICKLE)]
    PickleLimit {
        /// Bytes of the pickle.
        size: u64,
    },
    /// The pickle stands for something else.
    #[error("it holds {found}, not a dictionary")]
    NotADictionary {
        /// What it stands for.
        found: &'static str,
    },
    /// A key that is no text.
    #[error("{found} is a key of the dictionary; keys are texts")]
    Key {
        /// What it is.
        found: &'static str,
    },
    /// A name that is empty, or longer than any model's.
    #[error("tensor {}: a name has 1 to {} bytes", Quoted(tensor), limits::NAME)]
    Name {
        /// The name.
        tensor: String,
    },
    /// A value that is no tensor.
    #[error("{} is {found}, not a tensor", Quoted(tensor))]
    NotATensor {
        /// Its name.
        tensor: String,
        /// What it is.
        found: &'static str,
    },
    /// A name is there twice.
    #[error("tensor {} is there twice", Quoted(tensor))]
    Duplicate {
        /// The name.
        tensor: String,
    },
    /// The dictionary has more entries than any model needs.
    #[error("it holds {count} tensors; the limit is {}", limits::TENSORS)]
    TooManyTensors {
        /// How many.
        count: usize,
    },
    /// The dictionary is empty.
    #[error("it holds no tensors")]
    NoTensors,
    /// The values of a tensor are not in the archive.
    #[error(
        "tensor {}: its storage {} is not in the archive",
        Quoted(tensor),
        Quoted(storage)
    )]
    NoStorage {
        /// Which tensor.
        tensor: String,
        /// The storage's key.
        storage: String,
    },
    /// The storage's entry is not as long as the pickle says.
    #[error(
        "tensor {}: its storage {} has {found} bytes; {len} values of type {dtype} are not that many",
        Quoted(tensor),
        Quoted(storage)
    )]
    StorageSize {
        /// Which tensor.
        tensor: String,
        /// The storage's key.
        storage: String,
        /// Values, as the pickle has it.
        len: i64,
        /// Their type.
        dtype: Dtype,
        /// Bytes in the archive.
        found: u64,
    },
    /// Sizes, strides or offset are negative, not as many as each other, or lead out of the storage.
    #[error(
        "tensor {}: shape {shape:?} with strides {strides:?} from value {offset} is not a view of {len} values",
        Quoted(tensor)
    )]
    View {
        /// Which tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<i64>,
        /// Its strides, in values.
        strides: Vec<i64>,
        /// Its first value.
        offset: i64,
        /// Values of the storage.
        len: i64,
    },
    /// A small storage is to be read over and over.
    #[error(
        "tensor {} of shape {shape:?} repeats the {len} values of its storage; that much is not read",
        Quoted(tensor)
    )]
    Expanded {
        /// Which tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<i64>,
        /// Values of the storage.
        len: i64,
    },
}

impl StateDictError {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::PickleLimit { .. } | Self::TooManyTensors { .. } | Self::Expanded { .. } => {
                Fault::Refused
            }
            _ => Fault::Malformed,
        }
    }

    fn in_file(self, file: &SourceFile) -> CheckpointError {
        CheckpointError::StateDict {
            file: file.name().to_owned(),
            source: self,
        }
    }
}

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
    let Some(Object::Dict(entries)) = pickled.object(pickled.value()) else {
        return Err(StateDictError::NotADictionary {
            found: pickled.kind(pickled.value()),
        });
    };
    match entries.len() {
        0 => return Err(StateDictError::NoTensors),
        count if count > limits::TENSORS => return Err(StateDictError::TooManyTensors { count }),
        _ => {}
    }
    let mut tensors = BTreeMap::new();
    for (key, value) in entries {
        let Some(Object::Text(name)) = pickled.object(*key) else {
            return Err(StateDictError::Key {
                found: pickled.kind(*key),
            });
        };
        let tensor = name.to_string();
        if name.is_empty() || name.len() > limits::NAME {
            return Err(StateDictError::Name { tensor });
        }
        let Some(Object::Tensor(view)) = pickled.object(*value) else {
            let found = pickled.kind(*value);
            return Err(StateDictError::NotATensor { tensor, found });
        };
        let layout = layout(&tensor, view, archive, root)?;
        if tensors.contains_key(&tensor) {
            return Err(StateDictError::Duplicate { tensor });
        }
        tensors.insert(tensor, layout);
    }
    Ok(tensors)
}

/// Checks that a tensor is a view of values that are in the archive.
fn layout(
    name: &str,
    tensor: &PickledTensor,
    archive: &Archive,
    root: &str,
) -> Result<Layout, StateDictError> {
    let PickledTensor {
        storage,
        shape,
        strides,
        ..
    } = tensor;
    let dtype = storage.dtype;
    let Some(entry) = archive.get(&format!("{root}/data/{}", storage.key)) else {
        let (tensor, storage) = (name.to_owned(), storage.key.to_string());
        return Err(StateDictError::NoStorage { tensor, storage });
    };
    let stored =
        stored_values(entry, dtype, storage.len).ok_or_else(|| StateDictError::StorageSize {
            tensor: name.to_owned(),
            storage: storage.key.to_string(),
            len: storage.len,
            dtype,
            found: entry.size,
        })?;
    let view = View::of(tensor, stored).ok_or_else(|| StateDictError::View {
        tensor: name.to_owned(),
        shape: shape.clone(),
        strides: strides.clone(),
        offset: tensor.offset,
        len: storage.len,
    })?;
    let len = value_count(&view.shape).filter(|len| *len <= stored);
    let len = len.ok_or_else(|| StateDictError::Expanded {
        tensor: name.to_owned(),
        shape: shape.clone(),
        len: storage.len,
    })?;
    let offset = entry.offset + (view.offset * dtype.size()) as u64;
    Ok(Layout {
        dtype,
        shape: view.shape,
        strides: view.strides,
        offset,
        len,
    })
}

/// The number of values in an entry, if it is the one that the pickle states.
fn stored_values(entry: Entry, dtype: Dtype, stated: i64) -> Option<usize> {
    let stated = usize::try_from(stated).ok()?;
    let bytes = stated.checked_mul(dtype.size())? as u64;
    (bytes == entry.size).then_some(stated)
}

/// A tensor's sizes and strides, known to stay within its storage.
struct View {
    offset: usize,
    shape: Vec<usize>,
    strides: Option<Vec<usize>>,
}

impl View {
    fn of(tensor: &PickledTensor, stored: usize) -> Option<Self> {
        let sizes = |numbers: &[i64]| {
            numbers
                .iter()
                .map(|n| usize::try_from(*n).ok())
                .collect::<Option<Vec<_>>>()
        };
        let (shape, strides) = (sizes(&tensor.shape)?, sizes(&tensor.strides)?);
        let offset = usize::try_from(tensor.offset).ok()?;
        if shape.len() != strides.len() {
            return None;
        }
        let extent = values::extent(&shape, &strides)?;
        if offset.checked_add(extent)? > stored {
            return None;
        }
        let contiguous = is_contiguous(&shape, &strides);
        Some(Self {
            offset,
            shape,
            strides: (!contiguous).then_some(strides),
        })
    }
}

/// Whether the values lie one after the other. The stride of a dimension with one index is never taken.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut next = Some(1usize);
    shape.iter().zip(strides).rev().all(|(size, stride)| {
        let fits = *size == 1 || Some(*stride) == next;
        next = next.and_then(|next| next.checked_mul(*size));
        fits
    })
}
