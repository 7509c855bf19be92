//! Why an archive does not hold a usable dictionary of tensors.

use super::super::error::{CheckpointError, Fault, Quoted};
use super::super::limits;
use super::super::source::SourceFile;
use super::super::tensor::Dtype;

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
    pub(in crate::checkpoint) fn fault(&self) -> Fault {
        match self {
            Self::PickleLimit { .. } | Self::TooManyTensors { .. } | Self::Expanded { .. } => {
                Fault::Refused
            }
            _ => Fault::Malformed,
        }
    }

    pub(super) fn in_file(self, file: &SourceFile) -> CheckpointError {
        CheckpointError::StateDict {
            file: file.name().to_owned(),
            source: self,
        }
    }
}
