//! A finished graph, and how it becomes two files: the nodes, and beside them the weights.
//!
//! Weights lie in the order of their use. Large ones begin on a 64 KiB boundary, which is what
//! Windows can map; others on 64 bytes. Those below 1 KiB stay inside the graph.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;

use super::builder::{GraphBuilder, Parts, WeightEntry};
use super::model;
use super::shape::{DType, Shape};
use super::value::ValueId;
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
    /// Name of the file with the weights.
    data: String,
    /// Whether another graph writes that file.
    shared: bool,
    pub(super) parts: Parts,
    pub(super) places: Vec<Place>,
    data_bytes: u64,
}

/// The checksums of the weights in each file that was written, in order.
pub(crate) type Checksums = BTreeMap<String, Vec<u32>>;

/// Where the bytes of a weight go.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
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
            data: format!("{name}.onnx.data"),
            shared: false,
            parts,
            places,
            data_bytes,
        }
    }

    /// The graph with the weights of another one, which come from the same modules in the same formats:
    /// it reads them from the file that the other one writes, if they lie there as its own would.
    pub(crate) fn sharing(mut self, other: &Self) -> Self {
        if self.stored().eq(other.stored()) {
            self.data.clone_from(&other.data);
            self.shared = true;
        }
        self
    }

    /// Name, type, shape and place of each weight in the file beside the graph.
    fn stored(&self) -> impl Iterator<Item = (&str, DType, &[usize], Place)> {
        let weights = self.parts.weights.iter().zip(&self.places);
        let stored = weights.filter(|(_, place)| **place != Place::Inline);
        stored.map(|(weight, place)| {
            let name = self.parts.value(weight.value).name.as_str();
            (name, weight.dtype, weight.dims.as_slice(), *place)
        })
    }

    /// Name of the file with the nodes.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Name of the file with the weights, if there are any.
    pub(crate) fn data_file(&self) -> Option<String> {
        (self.data_bytes > 0).then(|| self.data.clone())
    }

    /// Name that the file with the weights has.
    pub(super) fn data_name(&self) -> &str {
        &self.data
    }

    /// Bytes of weights that it writes.
    pub(crate) fn data_bytes(&self) -> u64 {
        if self.shared { 0 } else { self.data_bytes }
    }

    /// Name, type and shape of each input.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = (&str, DType, &Shape)> {
        self.values(&self.parts.inputs)
    }

    /// Name, type and shape of each output.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&str, DType, &Shape)> {
        self.values(&self.parts.outputs)
    }

    /// Writes both files into `dir`, or the graph alone where another one has written its weights.
    /// `checksums` are those of every file so far. `progress` is told how many bytes of weights have
    /// been made since the last time, and may end it.
    pub(crate) fn write(
        &self,
        dir: &Path,
        checksums: &mut Checksums,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Vec<WrittenFile>> {
        let mut written = Vec::new();
        let checksums = checksums.entry(self.data.clone()).or_default();
        if self.data_bytes() > 0 {
            let file = HashedFile::create(dir, &self.data)?;
            written.push(self.write_weights(file, checksums, progress)?);
        }
        let mut file = HashedFile::create(dir, &self.file)?;
        file.write(&model::encode(self, checksums)?)?;
        written.push(file.finish()?);
        Ok(written)
    }

    /// Makes the bytes of the weights and the checksum of each, while another thread hashes and
    /// writes them.
    fn write_weights(
        &self,
        mut file: HashedFile,
        checksums: &mut Vec<u32>,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<WrittenFile> {
        std::thread::scope(|scope| {
            let (pieces, received) = mpsc::sync_channel::<Piece>(PIECES);
            let writer = scope.spawn(move || -> Result<_> {
                for Piece { offset, bytes } in received {
                    file.pad_to(offset)?;
                    file.write(&bytes)?;
                }
                Ok(file)
            });
            let made = self.make_pieces(&pieces, checksums, progress);
            drop(pieces);
            let file = writer
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            // A writer that failed makes the sending fail too, and knows better why.
            made?;
            file.finish()
        })
    }

    fn make_pieces(
        &self,
        pieces: &mpsc::SyncSender<Piece>,
        checksums: &mut Vec<u32>,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<()> {
        for (weight, place) in self.parts.weights.iter().zip(&self.places) {
            let Place::Data(start) = *place else { continue };
            let mut offset = start;
            let mut crc = crc32fast::Hasher::new();
            weight.data.write(&mut |bytes| {
                crc.update(bytes);
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
            let name = &self.parts.value(weight.value).name;
            assert_eq!(offset, start + weight.bytes(), "bytes of weight {name}");
            checksums.push(crc.finalize());
        }
        Ok(())
    }

    fn values(&self, ids: &[ValueId]) -> impl Iterator<Item = (&str, DType, &Shape)> {
        ids.iter().map(|id| {
            let value = self.parts.value(*id);
            (value.name.as_str(), value.dtype, &value.shape)
        })
    }
}

impl WeightEntry {
    pub(super) fn bytes(&self) -> u64 {
        (self.dims.iter().product::<usize>() * self.dtype.size()) as u64
    }
}

fn align(offset: u64, boundary: u64) -> u64 {
    offset.next_multiple_of(boundary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weight::Computed;

    #[test]
    fn small_weights_are_inline_and_large_ones_begin_on_a_page() {
        let g = GraphBuilder::default();
        for (name, numbers) in [
            ("inline", 255),
            ("line", 257),
            ("page", 1 << 14),
            ("after", 256),
        ] {
            g.weight(name, DType::F32, &[numbers], Computed(vec![0.5; numbers]));
        }
        let file = GraphFile::new("g", g);
        let offsets = file.places.iter().map(|place| match place {
            Place::Inline => None,
            Place::Data(offset) => Some(*offset),
        });
        assert_eq!(
            offsets.collect::<Vec<_>>(),
            [None, Some(0), Some(65536), Some(131_072)]
        );
        assert_eq!(file.data_bytes(), 131_072 + 1024);

        let dir = tempfile::tempdir().unwrap();
        let mut made = 0;
        let written = file
            .write(dir.path(), &mut Checksums::new(), &mut |bytes| {
                made += bytes;
                ControlFlow::Continue(())
            })
            .unwrap();
        let names: Vec<_> = written.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["g.onnx.data", "g.onnx"]);
        assert_eq!(made, 4 * (257 + (1 << 14) + 256));
        let data = std::fs::read(dir.path().join("g.onnx.data")).unwrap();
        assert_eq!(data.len() as u64, file.data_bytes());
        assert!(data[4 * 257..65536].iter().all(|byte| *byte == 0));
    }
}
