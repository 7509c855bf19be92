//! Why a safetensors file is not usable.

use std::str::Utf8Error;

use super::super::error::{Fault, Quoted};
use super::super::limits;
use super::super::tensor::Dtype;
use super::LENGTH_BYTES;

/// Why a safetensors header is not usable.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsError {
    /// The file ends within the header's length.
    #[error("the file has {size} of the {LENGTH_BYTES} bytes that the length of its header takes")]
    TooShort {
        /// Bytes of the file.
        size: u64,
    },
    /// The header ends after the file.
    #[error("the header should have {header} bytes, but the file has {size} in all")]
    HeaderBeyondEnd {
        /// Bytes of the header, by the file's own account.
        header: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The header is longer than the format allows.
    #[error(
        "the header has {header} bytes; the limit is {}",
        limits::SAFETENSORS_HEADER
    )]
    HeaderLimit {
        /// Bytes of the header.
        header: u64,
    },
    /// The header is too large a part of the file to be one that weights need.
    #[error("the header has {header} of the file's {size} bytes; the limit is a quarter")]
    HeaderShare {
        /// Bytes of the header.
        header: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The header is not text.
    #[error("the header is not UTF-8 at byte {}", LENGTH_BYTES as usize + source.valid_up_to())]
    NotUtf8 {
        /// What is wrong there.
        #[source]
        source: Utf8Error,
    },
    /// The header is not the JSON that it should be.
    #[error("the header is not what it should be")]
    Header {
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The header lists nothing.
    #[error("the header names no tensors")]
    NoTensors,
    /// The header lists more tensors than any model has.
    #[error("the header names more than {} tensors", limits::TENSORS)]
    TooManyTensors,
    /// The offsets of a tensor are not as far apart as its shape and type need.
    #[error("tensor {} of type {dtype} and shape {shape:?} takes {}; its offsets {begin}..{end} are {}",
        Quoted(tensor), bytes(*expected), found(*begin, *end))]
    Size {
        /// Which tensor.
        tensor: String,
        /// Its type.
        dtype: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// What shape and type need; `None` if no machine can count it.
        expected: Option<u64>,
        /// First byte.
        begin: u64,
        /// The byte after the last.
        end: u64,
    },
    /// A tensor begins before the one before it ends.
    #[error(
        "tensor {} begins at byte {begin} of the data, within the tensor before it, which ends at {end}",
        Quoted(tensor)
    )]
    Overlap {
        /// The later tensor.
        tensor: String,
        /// Where it begins.
        begin: u64,
        /// Where the earlier one ends.
        end: u64,
    },
    /// Bytes between two tensors.
    #[error(
        "bytes {end}..{begin} of the data, before tensor {}, belong to no tensor",
        Quoted(tensor)
    )]
    Hole {
        /// The later tensor.
        tensor: String,
        /// Where it begins.
        begin: u64,
        /// Where the earlier one ends.
        end: u64,
    },
    /// The file ends before its last tensor.
    #[error("the file is truncated: its header needs {needed} bytes, and it has {size}")]
    Truncated {
        /// Bytes that header and tensors take.
        needed: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// The file goes on after its last tensor.
    #[error("{extra} bytes after the last tensor belong to no tensor")]
    Trailing {
        /// How many.
        extra: u64,
    },
}

impl SafetensorsError {
    pub(in crate::checkpoint) fn fault(&self) -> Fault {
        match self {
            Self::HeaderLimit { .. } | Self::HeaderShare { .. } | Self::TooManyTensors => {
                Fault::Refused
            }
            _ => Fault::Malformed,
        }
    }
}

fn bytes(count: Option<u64>) -> String {
    count.map_or("more bytes than can be counted".to_owned(), |count| {
        format!("{count} bytes")
    })
}

fn found(begin: u64, end: u64) -> String {
    let apart = end.checked_sub(begin);
    apart.map_or("the wrong way round".to_owned(), |span| {
        format!("{span} apart")
    })
}
