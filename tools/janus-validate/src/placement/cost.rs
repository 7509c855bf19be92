//! What a node computes and reads, for a single picture, row and position.

use janus_onnx::proto::Node;

use super::Facts;

/// Operations and bytes of weights of a node; axes that differ from run to run count for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) operations: u64,
    pub(super) bytes: u64,
}

impl Cost {
    pub(super) fn of(node: &Node, facts: &Facts<'_>) -> Self {
        let bytes = node
            .input
            .iter()
            .filter_map(|name| facts.weights.get(name.as_str()));
        // Of a table one row is read.
        let bytes = match node.op_type() {
            "Gather" => 0,
            _ => bytes.sum(),
        };
        let output = node.output.first().map_or(0, |name| elements(name, facts));
        Self {
            operations: output.saturating_mul(per_element(node, facts)),
            bytes,
        }
    }
}

/// Operations for each element of the output.
fn per_element(node: &Node, facts: &Facts<'_>) -> u64 {
    let shape = |input: usize| -> Vec<u64> {
        let name = node.input.get(input).map_or("", String::as_str);
        let shape = facts.shapes.get(name).map_or(&[][..], Vec::as_slice);
        shape.iter().map(|extent| extent.unwrap_or(1)).collect()
    };
    match node.op_type() {
        "MatMul" | "MatMulNBits" | "MatMulIntegerToFloat" => {
            2 * shape(0).last().copied().unwrap_or(1)
        }
        "Conv" => 2 * shape(1).iter().skip(1).product::<u64>(),
        _ => 1,
    }
}

fn elements(name: &str, facts: &Facts<'_>) -> u64 {
    let shape = facts.shapes.get(name).map_or(&[][..], Vec::as_slice);
    shape.iter().map(|extent| extent.unwrap_or(1)).product()
}
