//! A finished graph, and how it becomes two files: the nodes, and beside them the weights.
//!
//! Weights lie in the order of their use. Large ones begin on a 64 KiB boundary, which is what
//! Windows can map; others on 64 bytes. Those below 1 KiB stay inside the graph.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;

use prost::Message;

use super::builder::{GraphBuilder, Parts, ValueEntry, WeightEntry};
use super::proto;
use super::shape::{DType, Dim, Shape};
use super::value::ValueId;
use super::{IR_VERSION, MICROSOFT, OPSET};
use crate::error::{Error, Result};
use crate::export::hashed_file::{HashedFile, WrittenFile};

/// Weights of fewer bytes are part of the graph's file.
const INLINE: u64 = 1 << 10;
/// Weights of this many bytes or more begin on a boundary of as many.
const PAGE: u64 = 1 << 16;
/// Alignment of the others.
const LINE: u64 = 64;

/// Pieces that may wait to be written.
const PIECES: usize = 4;

/// Takes the bytes of a weight, piece by piece.
pub(crate) type Sink<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// The bytes of a weight, made when they are written.
pub(crate) trait TensorData {
    /// Gives all bytes, in order.
    fn write(&self, sink: &mut Sink<'_>) -> Result<()>;
}

/// A finished graph with its weights still unread.
pub(crate) struct GraphFile {
    file: String,
    parts: Parts,
    places: Vec<Place>,
    data_bytes: u64,
}

/// Where the bytes of a weight go.
#[derive(Clone, Copy)]
enum Place {
    Inline,
    /// Offset in the file of weights.
    Data(u64),
}

/// Bytes on their way to the file of weights.
struct Piece {
    offset: u64,
    bytes: Vec<u8>,
}

impl GraphFile {
    /// The graph `name`, to be written as `<name>.onnx` and `<name>.onnx.data`.
    pub(crate) fn new(name: &str, graph: GraphBuilder) -> Self {
        let parts = graph.into_parts();
        let mut data_bytes = 0;
        let places = parts
            .weights
            .iter()
            .map(|weight| {
                let bytes = weight.bytes();
                if bytes < INLINE {
                    return Place::Inline;
                }
                let offset = align(data_bytes, if bytes < PAGE { LINE } else { PAGE });
                data_bytes = offset + bytes;
                Place::Data(offset)
            })
            .collect();
        Self {
            file: format!("{name}.onnx"),
            parts,
            places,
            data_bytes,
        }
    }

    /// Name of the file with the nodes.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Name of the file with the weights, if there are any.
    pub(crate) fn data_file(&self) -> Option<String> {
        (self.data_bytes > 0).then(|| format!("{}.data", self.file))
    }

    /// Length of the file with the weights.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Name, type and shape of each input.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&str, DType, &Shape)> {
        self.values(&self.parts.inputs)
    }

    /// Name, type and shape of each output.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&str, DType, &Shape)> {
        self.values(&self.parts.outputs)
    }

    /// Writes both files into `dir`. `progress` is told how many bytes of weights have been
    /// made since the last time, and may end it.
    pub(crate) fn write(
        &self,
        dir: &Path,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Vec<WrittenFile>> {
        let mut written = Vec::new();
        if let Some(name) = self.data_file() {
            let file = HashedFile::create(dir, &name)?;
            written.push(self.write_weights(file, progress)?);
        }
        let mut file = HashedFile::create(dir, &self.file)?;
        file.write(&self.model()?.encode_to_vec())?;
        written.push(file.finish()?);
        Ok(written)
    }

    /// Makes the bytes of the weights, while another thread hashes and writes them.
    fn write_weights(
        &self,
        mut file: HashedFile,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<WrittenFile> {
        std::thread::scope(|scope| {
            let (pieces, received) = mpsc::sync_channel::<Piece>(PIECES);
            let writer = scope.spawn(move || {
                for Piece { offset, bytes } in received {
                    file.pad_to(offset)?;
                    file.write(&bytes)?;
                }
                file.finish()
            });
            let made = self.make_pieces(&pieces, progress);
            drop(pieces);
            let written = writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // A writer that failed makes the sending fail too, and knows better why.
            written.and_then(|file| made.map(|()| file))
        })
    }

    fn make_pieces(
        &self,
        pieces: &mpsc::SyncSender<Piece>,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<()> {
        for (weight, place) in self.parts.weights.iter().zip(&self.places) {
            let Place::Data(start) = *place else { continue };
            let mut offset = start;
            weight.data.write(&mut |bytes| {
                let piece = Piece {
                    offset,
                    bytes: bytes.to_vec(),
                };
                offset += bytes.len() as u64;
                match (pieces.send(piece), progress(bytes.len() as u64)) {
                    (Ok(()), ControlFlow::Continue(())) => Ok(()),
                    _ => Err(Error::Cancelled),
                }
            })?;
            let name = &self.parts.values[weight.value.0].name;
            assert_eq!(offset, start + weight.bytes(), "bytes of weight {name}");
        }
        Ok(())
    }

    fn model(&self) -> Result<proto::Model> {
        let parts = &self.parts;
        let node = parts
            .nodes
            .iter()
            .map(|node| proto::Node {
                input: node.inputs.iter().map(|id| self.value_name(*id)).collect(),
                output: node
                    .outputs
                    .iter()
                    .map(|id| self.value_name(Some(*id)))
                    .collect(),
                name: Some(node.name.clone()),
                op_type: Some(node.op_type.to_owned()),
                attribute: node.attributes.clone(),
                domain: Some(node.domain.to_owned()),
            })
            .collect();
        let initializer: Result<Vec<_>> = parts
            .weights
            .iter()
            .zip(&self.places)
            .map(|(w, p)| self.tensor(w, *p))
            .collect();
        let infos = |ids: &[ValueId]| -> Vec<_> {
            ids.iter()
                .map(|id| value_info(&parts.values[id.0]))
                .collect()
        };
        let inner: Vec<_> = parts
            .nodes
            .iter()
            .flat_map(|node| &node.outputs)
            .filter(|id| !parts.outputs.contains(id))
            .copied()
            .collect();
        let operators = |domain: &str, version: u32| proto::OperatorSet {
            domain: Some(domain.to_owned()),
            version: Some(version.into()),
        };
        Ok(proto::Model {
            ir_version: Some(IR_VERSION),
            producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            graph: Some(proto::Graph {
                node,
                name: Some(self.file.trim_end_matches(".onnx").to_owned()),
                initializer: initializer?,
                input: infos(&parts.inputs),
                output: infos(&parts.outputs),
                value_info: infos(&inner),
            }),
            opset_import: vec![operators("", OPSET), operators(MICROSOFT, 1)],
        })
    }

    fn tensor(&self, weight: &WeightEntry, place: Place) -> Result<proto::Tensor> {
        let mut tensor = proto::Tensor {
            dims: weight.dims.iter().map(|&extent| extent as i64).collect(),
            data_type: Some(weight.dtype.proto() as i32),
            name: Some(self.value_name(Some(weight.value))),
            ..Default::default()
        };
        match place {
            Place::Inline => {
                let mut raw = Vec::new();
                weight.data.write(&mut |bytes| {
                    raw.extend_from_slice(bytes);
                    Ok(())
                })?;
                tensor.raw_data = Some(raw);
            }
            Place::Data(offset) => {
                let pair = |key: &str, value: String| proto::StringPair {
                    key: Some(key.to_owned()),
                    value: Some(value),
                };
                tensor.data_location = Some(proto::DataLocation::External as i32);
                tensor.external_data = vec![
                    pair("location", format!("{}.data", self.file)),
                    pair("offset", offset.to_string()),
                    pair("length", weight.bytes().to_string()),
                ];
            }
        }
        Ok(tensor)
    }

    fn values(&self, ids: &[ValueId]) -> impl Iterator<Item = (&str, DType, &Shape)> {
        ids.iter().map(|id| {
            let value = &self.parts.values[id.0];
            (value.name.as_str(), value.dtype, &value.shape)
        })
    }

    /// Name of a value; an input that is left out has none.
    fn value_name(&self, id: Option<ValueId>) -> String {
        id.map_or_else(String::new, |id| self.parts.values[id.0].name.clone())
    }
}

impl WeightEntry {
    fn bytes(&self) -> u64 {
        (self.dims.iter().product::<usize>() * self.dtype.size()) as u64
    }
}

fn value_info(value: &ValueEntry) -> proto::ValueInfo {
    let dim = value
        .shape
        .iter()
        .map(|dim| proto::Dimension {
            extent: Some(match *dim {
                Dim::Fixed(extent) => proto::Extent::Value(extent as i64),
                Dim::Named(name) => proto::Extent::Param(name.to_owned()),
            }),
        })
        .collect();
    let tensor = proto::TensorType {
        elem_type: Some(value.dtype.proto() as i32),
        shape: Some(proto::TensorShape { dim }),
    };
    proto::ValueInfo {
        name: Some(value.name.clone()),
        r#type: Some(proto::ValueType {
            tensor_type: Some(tensor),
        }),
    }
}

fn align(offset: u64, boundary: u64) -> u64 {
    offset.next_multiple_of(boundary)
}
