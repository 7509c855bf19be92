//! A finished graph as the bytes of an ONNX file.

use janus_onnx::CRC32;
use prost::Message;

use super::builder::{NodeEntry, Parts, ValueEntry, WeightEntry};
use super::proto;
use super::shape::Dim;
use super::value::ValueId;
use super::writer::{GraphFile, Place};
use super::{IR_VERSION, MICROSOFT, OPSET};
use crate::error::Result;

/// The bytes of a graph's file. Weights that are not inline are named by their places in the file
/// beside it, each with the next of `checksums`: a damaged one can then be told by name.
pub(super) fn encode(file: &GraphFile, checksums: &[u32]) -> Result<Vec<u8>> {
    let parts = &file.parts;
    let mut checksums = checksums.iter();
    let weights = parts.weights.iter().zip(&file.places);
    let initializer: Result<Vec<_>> = weights
        .map(|(weight, place)| tensor(file, weight, *place, &mut checksums))
        .collect();
    let infos = |ids: &[ValueId]| ids.iter().map(|id| value_info(parts.value(*id))).collect();
    let inner = parts.nodes.iter().flat_map(|node| &node.outputs).copied();
    let inner: Vec<_> = inner.filter(|id| !parts.outputs.contains(id)).collect();
    let model = proto::Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(proto::Graph {
            node: parts.nodes.iter().map(|entry| node(parts, entry)).collect(),
            name: Some(file.file().trim_end_matches(".onnx").to_owned()),
            initializer: initializer?,
            input: infos(&parts.inputs),
            output: infos(&parts.outputs),
            value_info: infos(&inner),
        }),
        opset_import: vec![operator_set("", OPSET), operator_set(MICROSOFT, 1)],
        functions: Vec::new(),
    };
    Ok(model.encode_to_vec())
}

fn operator_set(domain: &str, version: u32) -> proto::OperatorSet {
    proto::OperatorSet {
        domain: Some(domain.to_owned()),
        version: Some(version.into()),
    }
}

/// A node; an input that is left out has no name.
fn node(parts: &Parts, node: &NodeEntry) -> proto::Node {
    let name = |id: &ValueId| parts.value(*id).name.clone();
    proto::Node {
        input: node
            .inputs
            .iter()
            .map(|id| id.as_ref().map_or_else(String::new, name))
            .collect(),
        output: node.outputs.iter().map(name).collect(),
        name: Some(node.name.clone()),
        op_type: Some(node.op_type.to_owned()),
        attribute: node.attributes.clone(),
        domain: Some(node.domain.to_owned()),
    }
}

fn tensor(
    file: &GraphFile,
    weight: &WeightEntry,
    place: Place,
    checksums: &mut std::slice::Iter<'_, u32>,
) -> Result<proto::Tensor> {
    let pair = |key: &str, value: String| proto::StringPair {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    let mut tensor = proto::Tensor {
        dims: weight.dims.iter().map(|&extent| extent as i64).collect(),
        data_type: Some(weight.dtype.proto() as i32),
        name: Some(file.parts.value(weight.value).name.clone()),
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
            tensor.data_location = Some(proto::DataLocation::External as i32);
            tensor.external_data = vec![
                pair("location", file.data_name().to_owned()),
                pair("offset", offset.to_string()),
                pair("length", weight.bytes().to_string()),
            ];
            let crc = checksums.next().map(|crc| format!("{crc:08x}"));
            tensor.metadata_props = crc.map(|crc| pair(CRC32, crc)).into_iter().collect();
        }
    }
    Ok(tensor)
}

fn value_info(value: &ValueEntry) -> proto::ValueInfo {
    let dim = |dim: &Dim| proto::Dimension {
        extent: Some(match *dim {
            Dim::Fixed(extent) => proto::Extent::Value(extent as i64),
            Dim::Named(name) => proto::Extent::Param(name.to_owned()),
        }),
    };
    let tensor = proto::TensorType {
        elem_type: Some(value.dtype.proto() as i32),
        shape: Some(proto::TensorShape {
            dim: value.shape.iter().map(dim).collect(),
        }),
    };
    proto::ValueInfo {
        name: Some(value.name.clone()),
        r#type: Some(proto::ValueType {
            tensor_type: Some(tensor),
        }),
    }
}
