//! Inputs and outputs, compared with the manifest.

use janus_onnx::proto::{DataType, Extent, ValueInfo};
use janus_runtime::manifest::{Dim, ElementType, GraphEntry, TensorSpec};

use super::{Check, Fault};

pub(super) fn check(check: &mut Check<'_>, entry: &GraphEntry) {
    let graph = check.model.graph();
    for (what, specs, found) in [
        ("input", &entry.inputs, &graph.input),
        ("output", &entry.outputs, &graph.output),
    ] {
        for spec in specs {
            let value = found.iter().find(|value| value.name() == spec.name);
            let message = match value {
                None => format!("is an {what} of the manifest, but not of the graph"),
                Some(value) if !same(spec, value) => {
                    format!("is {}; the manifest says {spec}", described(value))
                }
                Some(_) => continue,
            };
            check.found(Fault::Signature, &spec.name, message);
        }
        let extra = found
            .iter()
            .filter(|value| specs.iter().all(|spec| spec.name != value.name()));
        for value in extra {
            let message = format!("is an {what} of the graph, but not of the manifest");
            check.found(Fault::Signature, value.name(), message);
        }
    }
}

fn same(spec: &TensorSpec, value: &ValueInfo) -> bool {
    let dtype = match spec.dtype {
        ElementType::F32 => DataType::Float,
        ElementType::F16 => DataType::Float16,
        ElementType::Bf16 => DataType::Bfloat16,
        ElementType::I64 => DataType::Int64,
        ElementType::I32 => DataType::Int32,
        ElementType::Bool => DataType::Bool,
    };
    let Some(shape) = value.shape() else {
        return false;
    };
    let same_extent = |(dim, extent): (&Dim, &Option<Extent>)| match (dim, extent) {
        (Dim::Fixed(expected), Some(Extent::Value(found))) => {
            usize::try_from(*found) == Ok(*expected)
        }
        (Dim::Named(expected), Some(Extent::Param(found))) => expected == found,
        _ => false,
    };
    value.elements() == Some(dtype)
        && shape.len() == spec.shape.len()
        && spec.shape.iter().zip(&shape).all(same_extent)
}

/// `f32 [batch, 96]`
pub(crate) fn described(value: &ValueInfo) -> String {
    let dtype = value.elements().map_or("?", DataType::short_name);
    let shape = value.shape().unwrap_or_default();
    let shape: Vec<_> = shape
        .into_iter()
        .map(|extent| match extent {
            Some(Extent::Value(extent)) => extent.to_string(),
            Some(Extent::Param(name)) => name,
            None => "?".to_owned(),
        })
        .collect();
    format!("{dtype} [{}]", shape.join(", "))
}
