//! A graph's file as text, for people and for tests that compare architectures.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::Path;

use super::proto;
use crate::error::Result;

/// Lists the inputs, outputs, weights and nodes of a graph's file: type, name and shape, one line
/// each, in the order in which they stand in the file.
///
/// # Errors
///
/// If the file cannot be read or is not an ONNX graph.
pub fn listing(graph: &Path) -> Result<String> {
    let model = janus_onnx::read(graph)?;
    let graph = model.graph();
    let values = graph
        .input
        .iter()
        .chain(&graph.output)
        .chain(&graph.value_info);
    let types: BTreeMap<&str, TypeText<'_>> = values
        .map(|value| (value.name(), TypeText(value.r#type.as_ref())))
        .collect();

    let mut text = String::new();
    for (title, values) in [("inputs", &graph.input), ("outputs", &graph.output)] {
        let lines = values
            .iter()
            .map(|v| format!("{} {}", v.name(), TypeText(v.r#type.as_ref())));
        section(&mut text, title, lines);
    }
    section(&mut text, "weights", graph.initializer.iter().map(weight));
    section(
        &mut text,
        "nodes",
        graph.node.iter().map(|node| node_line(node, &types)),
    );
    Ok(text)
}

/// `Softmax scope/Softmax (axis=-1) → f32 [images, 16, 16]`; parentheses only around something.
fn node_line(node: &proto::Node, types: &BTreeMap<&str, TypeText<'_>>) -> String {
    let attributes = node.attribute.iter().map(|attribute| {
        let value = match attribute.r#type() {
            proto::AttributeType::Int => attribute.i().to_string(),
            proto::AttributeType::Ints => format!("{:?}", attribute.ints),
            proto::AttributeType::Float => attribute.f().to_string(),
            proto::AttributeType::String => String::from_utf8_lossy(attribute.s()).into_owned(),
            _ => "?".to_owned(),
        };
        format!("{}={value}", attribute.name())
    });
    let attributes: Vec<_> = attributes.collect();
    let attributes = match attributes.join(", ") {
        none if none.is_empty() => none,
        some => format!(" ({some})"),
    };
    let outputs = node
        .output
        .iter()
        .filter_map(|name| types.get(name.as_str()));
    let outputs: Vec<_> = outputs.map(ToString::to_string).collect();
    let (op, name) = (node.op_type(), node.name());
    format!("{op} {name}{attributes} → {}", outputs.join(", "))
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{title}");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

fn weight(tensor: &proto::Tensor) -> String {
    let dims: Vec<_> = tensor.dims.iter().map(i64::to_string).collect();
    format!(
        "{} {} [{}]",
        tensor.name(),
        tensor.data_type().short_name(),
        dims.join(", ")
    )
}

/// `f32 [batch, 96]`
struct TypeText<'a>(Option<&'a proto::ValueType>);

impl fmt::Display for TypeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(tensor) = self.0.and_then(|value| value.tensor_type.as_ref()) else {
            return f.write_str("?");
        };
        let dims = tensor
            .shape
            .iter()
            .flat_map(|shape| &shape.dim)
            .map(|dim| match &dim.extent {
                Some(proto::Extent::Value(extent)) => extent.to_string(),
                Some(proto::Extent::Param(name)) => name.clone(),
                None => "?".to_owned(),
            });
        let dims: Vec<_> = dims.collect();
        write!(
            f,
            "{} [{}]",
            tensor.elem_type().short_name(),
            dims.join(", ")
        )
    }
}
