//! What a table of kernels cannot say: attributes and sizes that a provider does not take.

use janus_onnx::proto::Node;
use janus_runtime::ExecutionProvider;

use super::Facts;

/// Why a provider that has a kernel for the types would not take a node all the same.
pub(super) fn refusal(
    provider: ExecutionProvider,
    node: &Node,
    facts: &Facts<'_>,
) -> Option<String> {
    // What the runtime refuses as well.
    if let Some(wrong) = provider.wrong_kernel(node.op_type()) {
        return Some(wrong.to_owned());
    }
    match provider {
        ExecutionProvider::CoreMl => fixed_sizes(node, facts),
        ExecutionProvider::DirectMl { .. } => directml(node),
        _ => None,
    }
}

/// CoreML is asked for fixed sizes: what differs from run to run stays on the CPU.
fn fixed_sizes(node: &Node, facts: &Facts<'_>) -> Option<String> {
    let values = node.input.iter().chain(&node.output);
    let mut shapes = values.filter_map(|name| facts.shapes.get(name.as_str()));
    let differs = shapes.any(|shape| shape.iter().any(Option::is_none));
    differs.then(|| "a size differs from run to run".to_owned())
}

/// DirectML's attention takes queries, keys and values apart, already turned, and its integer products
/// take the zero points that others imply.
fn directml(node: &Node) -> Option<String> {
    let absent = |input: usize| node.input.get(input).is_none_or(String::is_empty);
    let number = |name: &str| {
        let attribute = node.attribute.iter().find(|it| it.name() == name);
        attribute.and_then(|it| it.i).unwrap_or(0)
    };
    match node.op_type() {
        "GroupQueryAttention" if absent(1) => {
            Some("queries, keys and values are packed".to_owned())
        }
        "GroupQueryAttention" if number("do_rotary") != 0 => {
            Some("it turns no queries and keys".to_owned())
        }
        "MatMulNBits" if absent(3) => Some("there are no zero points".to_owned()),
        "MatMulNBits" if number("block_size") > 0 && number("K") % number("block_size") != 0 => {
            Some("K is no multiple of the block size".to_owned())
        }
        _ => None,
    }
}
