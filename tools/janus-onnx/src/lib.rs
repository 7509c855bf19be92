//! The ONNX file format, as far as graphs of this family need it.
//!
//! Use this crate to read an ONNX graph, or to write one: the converter does the latter, the
//! validator the former. It knows nothing of Janus, and runs nothing.
//!
//! ```
//! use janus_onnx::proto::{Graph, Model, Node};
//! use prost::Message;
//!
//! let node = Node { op_type: Some("Relu".to_owned()), ..Node::default() };
//! let graph = Graph { node: vec![node], ..Graph::default() };
//! let model = Model { graph: Some(graph), ..Model::default() };
//! let folder = std::env::temp_dir().join("janus-onnx-example.onnx");
//! std::fs::write(&folder, model.encode_to_vec())?;
//! assert_eq!(janus_onnx::read(&folder)?.graph().node[0].op_type(), "Relu");
//! # std::fs::remove_file(folder)?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

#[expect(
    missing_docs,
    reason = "the fields are those of onnx.proto, under its names"
)]
pub mod proto;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use prost::Message;

use crate::proto::{DataLocation, DataType, Extent, Graph, Model, StringPair, Tensor, ValueInfo};

/// No graph without its weights is larger, in bytes.
pub const MAX_GRAPH_BYTES: u64 = 64 << 20;
/// No file of the format is larger, in bytes: weights that do not fit lie in files of their own.
pub const MAX_FILE_BYTES: u64 = 2 << 30;
/// Key, among the metadata of a weight, of the CRC-32 of its bytes: eight hexadecimal digits.
pub const CRC32: &str = "crc32";

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a graph could not be read.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing or unreadable.
    #[error("cannot read `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any graph.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The most that it may have.
        limit: u64,
    },
    /// The file is not an ONNX graph.
    #[error("`{}` is not an ONNX graph", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What could not be decoded.
        #[source]
        source: prost::DecodeError,
    },
}

/// Reads a graph's file.
pub fn read(path: &Path) -> Result<Model> {
    parse(&read_bytes(path)?, path)
}

/// Reads a graph's file that may have the weights in it, as other exporters write it:
/// [`MAX_FILE_BYTES`] at most, which are in memory twice for a while.
pub fn read_with_weights(path: &Path) -> Result<Model> {
    parse(&read_bounded(path, MAX_FILE_BYTES)?, path)
}

/// Reads the bytes of a graph's file, [`MAX_GRAPH_BYTES`] at most.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    read_bounded(path, MAX_GRAPH_BYTES)
}

fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::ReadFile {
            path: path.to_owned(),
            source,
        })?;
    match bytes.len() as u64 <= limit {
        true => Ok(bytes),
        false => Err(Error::FileTooLarge {
            path: path.to_owned(),
            limit,
        }),
    }
}

/// Parses a graph; `path` is where it came from, for messages.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Model> {
    Model::decode(bytes).map_err(|source| Error::Parse {
        path: path.to_owned(),
        source,
    })
}

/// The bytes of a graph's file with more outputs. Whatever else the file has stays as it is: the
/// fields of a message that stands twice are merged.
pub fn with_outputs(mut bytes: Vec<u8>, outputs: Vec<ValueInfo>) -> Vec<u8> {
    let graph = Graph {
        output: outputs,
        ..Graph::default()
    };
    let more = Model {
        graph: Some(graph),
        ..Model::default()
    };
    bytes.extend(more.encode_to_vec());
    bytes
}

impl Model {
    /// The graph; an empty one if the file has none.
    pub fn graph(&self) -> &Graph {
        const EMPTY: &Graph = &Graph {
            node: Vec::new(),
            name: None,
            initializer: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            value_info: Vec::new(),
        };
        self.graph.as_ref().unwrap_or(EMPTY)
    }

    /// Version of a domain's operators; that of the standard is called `""` or `ai.onnx`.
    pub fn opset(&self, domain: &str) -> Option<i64> {
        let domain = standard(domain);
        let found = self.opset_import.iter();
        let mut found = found.filter(|set| standard(set.domain()) == domain);
        found.next().map(|set| set.version())
    }
}

/// A domain of operators, the standard one by its empty name.
pub fn standard(domain: &str) -> &str {
    match domain {
        "ai.onnx" => "",
        other => other,
    }
}

impl DataType {
    /// Bits of one element; none of text and of what is not known.
    pub fn bits(self) -> Option<u64> {
        Some(match self {
            Self::Double | Self::Int64 | Self::Uint64 => 64,
            Self::Float | Self::Int32 | Self::Uint32 => 32,
            Self::Float16 | Self::Bfloat16 | Self::Int16 | Self::Uint16 => 16,
            Self::Int8 | Self::Uint8 | Self::Bool => 8,
            Self::Int4 | Self::Uint4 => 4,
            Self::Text | Self::Undefined => return None,
        })
    }

    /// The type as listings spell it: `f32`, `i64`.
    pub fn short_name(self) -> &'static str {
        match self {
            Self::Undefined => "?",
            Self::Float => "f32",
            Self::Uint8 => "u8",
            Self::Int8 => "i8",
            Self::Uint16 => "u16",
            Self::Int16 => "i16",
            Self::Int32 => "i32",
            Self::Int64 => "i64",
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Float16 => "f16",
            Self::Double => "f64",
            Self::Uint32 => "u32",
            Self::Uint64 => "u64",
            Self::Bfloat16 => "bf16",
            Self::Uint4 => "u4",
            Self::Int4 => "i4",
        }
    }
}

/// Where the bytes of a weight lie in a file of their own, as the graph says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalData<'a> {
    /// The file, relative to the graph's.
    pub location: &'a str,
    /// The first byte; nothing said means 0.
    pub offset: Option<&'a str>,
    /// How many there are; nothing said means all that follow.
    pub length: Option<&'a str>,
}

impl Tensor {
    /// Where the bytes lie, if not in the graph.
    pub fn external(&self) -> Option<ExternalData<'_>> {
        if self.data_location() != DataLocation::External {
            return None;
        }
        Some(ExternalData {
            location: find(&self.external_data, "location").unwrap_or(""),
            offset: find(&self.external_data, "offset"),
            length: find(&self.external_data, "length"),
        })
    }

    /// What is said of the weight under `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        find(&self.metadata_props, key)
    }

    /// Bytes that the elements take; none where the type is not one of numbers, or the extents make
    /// no size.
    pub fn bytes(&self) -> Option<u64> {
        let elements = self.dims.iter().try_fold(1_u64, |product, &extent| {
            product.checked_mul(u64::try_from(extent).ok()?)
        })?;
        Some(elements.checked_mul(self.data_type().bits()?)?.div_ceil(8))
    }
}

fn find<'a>(pairs: &'a [StringPair], key: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|pair| pair.key() == key)
        .map(StringPair::value)
}

impl ValueInfo {
    /// Type of the elements, where it is said.
    pub fn elements(&self) -> Option<DataType> {
        let tensor = self.r#type.as_ref()?.tensor_type.as_ref()?;
        Some(tensor.elem_type()).filter(|dtype| *dtype != DataType::Undefined)
    }

    /// Extent of each axis, where any is said: a number, a name, or neither.
    pub fn shape(&self) -> Option<Vec<Option<Extent>>> {
        let tensor = self.r#type.as_ref()?.tensor_type.as_ref()?;
        let dims = &tensor.shape.as_ref()?.dim;
        Some(dims.iter().map(|dim| dim.extent.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Dimension, TensorShape, TensorType, ValueType};

    #[test]
    fn outputs_are_added_to_what_is_there() {
        let named = |name: &str| ValueInfo {
            name: Some(name.to_owned()),
            r#type: None,
        };
        let model = Model {
            ir_version: Some(10),
            graph: Some(Graph {
                name: Some("g".to_owned()),
                output: vec![named("y")],
                ..Graph::default()
            }),
            ..Model::default()
        };
        let bytes = with_outputs(model.encode_to_vec(), vec![named("z")]);
        let read = parse(&bytes, Path::new("g.onnx")).unwrap();
        assert_eq!(read.ir_version, Some(10));
        assert_eq!(read.graph().output, [named("y"), named("z")]);
        assert_eq!(read.graph().name(), "g");
    }

    #[test]
    fn sizes_of_weights_are_whole_bytes_or_nothing() {
        let tensor = |dtype: DataType, dims: &[i64]| Tensor {
            data_type: Some(dtype as i32),
            dims: dims.to_vec(),
            ..Tensor::default()
        };
        assert_eq!(tensor(DataType::Float, &[3, 2]).bytes(), Some(24));
        assert_eq!(tensor(DataType::Int4, &[3]).bytes(), Some(2));
        assert_eq!(tensor(DataType::Float, &[]).bytes(), Some(4));
        assert_eq!(tensor(DataType::Float, &[-1]).bytes(), None);
        assert_eq!(tensor(DataType::Float, &[1 << 40, 1 << 40]).bytes(), None);
        assert_eq!(tensor(DataType::Text, &[1]).bytes(), None);
    }

    #[test]
    fn types_and_shapes_are_what_is_said() {
        let dim = |extent| Dimension { extent };
        let extents = [
            Some(Extent::Value(3)),
            Some(Extent::Param("n".to_owned())),
            None,
        ];
        let tensor = TensorType {
            elem_type: Some(DataType::Float16 as i32),
            shape: Some(TensorShape {
                dim: extents.clone().map(dim).to_vec(),
            }),
        };
        let value = ValueInfo {
            name: None,
            r#type: Some(ValueType {
                tensor_type: Some(tensor),
            }),
        };
        assert_eq!(value.elements(), Some(DataType::Float16));
        assert_eq!(value.shape().unwrap(), extents);
        assert_eq!(ValueInfo::default().shape(), None);
    }
}
