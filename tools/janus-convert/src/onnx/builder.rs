//! A graph that grows node by node.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use half::{bf16, f16};
use janus_runtime::manifest::{Activations, Operators};

use super::node::NodeBuilder;
use super::shape::{DType, Dim, Shape};
use super::value::{Value, ValueId};
use super::writer::TensorData;

/// A graph under construction. Nodes are only ever appended.
#[derive(Default)]
pub(crate) struct GraphBuilder {
    parts: RefCell<Parts>,
    scope: RefCell<String>,
    operators: Operators,
    activations: Activations,
    /// Axes that have a name elsewhere, and a number in this graph.
    fixed: Vec<(&'static str, usize)>,
}

/// What a finished graph consists of.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) values: Vec<ValueEntry>,
    pub(super) nodes: Vec<NodeEntry>,
    pub(super) weights: Vec<WeightEntry>,
    pub(super) inputs: Vec<ValueId>,
    pub(super) outputs: Vec<ValueId>,
    /// How often a node name has been asked for.
    names: BTreeMap<String, usize>,
    /// Constants by type and bytes, so that each is stored once.
    constants: BTreeMap<(DType, Vec<usize>, Vec<u8>), ValueId>,
}

pub(super) struct ValueEntry {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) shape: Shape,
}

pub(super) struct NodeEntry {
    pub(super) name: String,
    pub(super) op_type: &'static str,
    pub(super) domain: &'static str,
    pub(super) inputs: Vec<Option<ValueId>>,
    pub(super) outputs: Vec<ValueId>,
    pub(super) attributes: Vec<super::proto::Attribute>,
}

pub(super) struct WeightEntry {
    pub(super) value: ValueId,
    pub(super) dtype: DType,
    pub(super) dims: Vec<usize>,
    pub(super) data: Box<dyn TensorData>,
}

/// Names nodes after a module while it lives; see [`GraphBuilder::enter`].
#[must_use]
pub(crate) struct Scope<'g> {
    graph: &'g GraphBuilder,
    outer: String,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        self.graph.scope.replace(std::mem::take(&mut self.outer));
    }
}

impl GraphBuilder {
    /// A graph of the standard's operators, in which axes of these names have one extent.
    pub(crate) fn standard(fixed: &[(&'static str, usize)]) -> Self {
        Self {
            operators: Operators::Standard,
            fixed: fixed.to_vec(),
            ..Self::default()
        }
    }

    /// A graph that computes in floats of this type.
    pub(crate) fn computing_in(activations: Activations) -> Self {
        Self {
            activations,
            ..Self::default()
        }
    }

    /// Type of the floats between its inputs and outputs, which are 32 bits wide whatever this is.
    pub(crate) fn float(&self) -> DType {
        match self.activations {
            Activations::Fp32 => DType::F32,
            Activations::Fp16 => DType::F16,
            Activations::Bf16 => DType::BF16,
        }
    }

    /// Which operators it is made of.
    pub(crate) fn operators(&self) -> Operators {
        self.operators
    }

    /// The number that an axis has in this graph, if it has one.
    pub(crate) fn fixed(&self, axis: &str) -> Option<usize> {
        let fixed = self.fixed.iter().find(|(name, _)| *name == axis);
        fixed.map(|(_, extent)| *extent)
    }

    /// A shape with the numbers that axes have in this graph.
    pub(super) fn settled(&self, mut shape: Shape) -> Shape {
        for dim in &mut shape {
            if let Dim::Named(name) = *dim
                && let Some(extent) = self.fixed(name)
            {
                *dim = Dim::Fixed(extent);
            }
        }
        shape
    }

    /// Declares an input of the graph.
    pub(crate) fn input(&self, name: impl Into<String>, dtype: DType, shape: Shape) -> Value<'_> {
        let shape = self.settled(shape);
        let mut parts = self.parts.borrow_mut();
        let id = parts.add_value(name.into(), dtype, shape);
        parts.inputs.push(id);
        Value { graph: self, id }
    }

    /// Declares a weight whose bytes are made when the graph is written.
    pub(crate) fn weight(
        &self,
        name: impl Into<String>,
        dtype: DType,
        dims: &[usize],
        data: impl TensorData + 'static,
    ) -> Value<'_> {
        let id = self
            .parts
            .borrow_mut()
            .add_weight(name.into(), dtype, dims, Box::new(data));
        Value { graph: self, id }
    }

    /// A small constant of 64-bit integers.
    pub(crate) fn integers(&self, values: &[i64]) -> Value<'_> {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(DType::I64, &[values.len()], bytes)
    }

    /// A small constant of 32-bit floats.
    pub(crate) fn floats(&self, values: &[f32]) -> Value<'_> {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(DType::F32, &[values.len()], bytes)
    }

    /// A single float, of the type that the graph computes in.
    pub(crate) fn scalar(&self, value: f32) -> Value<'_> {
        let bytes = match self.float() {
            DType::F16 => f16::from_f32(value).to_le_bytes().into(),
            DType::BF16 => bf16::from_f32(value).to_le_bytes().into(),
            _ => value.to_le_bytes().into(),
        };
        self.constant(self.float(), &[], bytes)
    }

    /// A single byte.
    pub(crate) fn byte(&self, value: u8) -> Value<'_> {
        self.constant(DType::U8, &[], vec![value])
    }

    /// Names the nodes added while the guard lives after the module at `path`.
    pub(crate) fn enter(&self, path: impl fmt::Display) -> Scope<'_> {
        Scope {
            graph: self,
            outer: self.scope.replace(path.to_string()),
        }
    }

    /// Ends the construction.
    pub(super) fn into_parts(self) -> Parts {
        let parts = self.parts.into_inner();
        let mut names = BTreeSet::new();
        for value in &parts.values {
            assert!(
                names.insert(&value.name),
                "two values are called {}",
                value.name
            );
        }
        parts
    }

    pub(super) fn add_node<const N: usize>(
        &self,
        node: NodeBuilder<'_>,
        outputs: [(DType, Shape); N],
    ) -> [ValueId; N] {
        let mut parts = self.parts.borrow_mut();
        let name = parts.node_name(&self.scope.borrow(), node.op_type);
        let mut index = 0;
        let outputs = outputs.map(|(dtype, shape)| {
            let value = if N == 1 {
                name.clone()
            } else {
                format!("{name}.{index}")
            };
            index += 1;
            parts.add_value(value, dtype, shape)
        });
        parts.nodes.push(NodeEntry {
            name,
            op_type: node.op_type,
            domain: node.domain,
            inputs: node.inputs,
            outputs: outputs.to_vec(),
            attributes: node.attributes,
        });
        outputs
    }

    pub(super) fn mark_output(&self, id: ValueId, name: String) {
        let mut parts = self.parts.borrow_mut();
        parts.values[id.0].name = name;
        parts.outputs.push(id);
    }

    pub(super) fn dtype(&self, id: ValueId) -> DType {
        self.parts.borrow().values[id.0].dtype
    }

    pub(super) fn shape(&self, id: ValueId) -> Shape {
        self.parts.borrow().values[id.0].shape.clone()
    }

    fn constant(&self, dtype: DType, dims: &[usize], bytes: Vec<u8>) -> Value<'_> {
        let mut parts = self.parts.borrow_mut();
        let key = (dtype, dims.to_vec(), bytes);
        let known = parts.constants.get(&key).copied();
        let id = known.unwrap_or_else(|| {
            let name = format!("constant.{}", parts.constants.len());
            let id = parts.add_weight(name, dtype, dims, Box::new(Constant(key.2.clone())));
            parts.constants.insert(key, id);
            id
        });
        Value { graph: self, id }
    }
}

impl Parts {
    pub(super) fn value(&self, id: ValueId) -> &ValueEntry {
        &self.values[id.0]
    }

    fn add_value(&mut self, name: String, dtype: DType, shape: Shape) -> ValueId {
        self.values.push(ValueEntry { name, dtype, shape });
        ValueId(self.values.len() - 1)
    }

    fn add_weight(
        &mut self,
        name: String,
        dtype: DType,
        dims: &[usize],
        data: Box<dyn TensorData>,
    ) -> ValueId {
        let shape = dims.iter().map(|&extent| extent.into()).collect();
        let value = self.add_value(name, dtype, shape);
        self.weights.push(WeightEntry {
            value,
            dtype,
            dims: dims.to_vec(),
            data,
        });
        value
    }

    /// `scope/Op`, with a number from the second one on.
    fn node_name(&mut self, scope: &str, op_type: &str) -> String {
        let name = if scope.is_empty() {
            op_type.to_owned()
        } else {
            format!("{scope}/{op_type}")
        };
        let count = self.names.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 {
            name
        } else {
            format!("{name}_{count}")
        }
    }
}

/// Bytes that are at hand.
struct Constant(Vec<u8>);

impl TensorData for Constant {
    fn write(&self, sink: &mut super::writer::Sink<'_>) -> crate::error::Result<()> {
        sink(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::shape;

    #[test]
    fn nodes_are_named_by_their_scope_and_numbered() {
        let g = GraphBuilder::default();
        let x = g.input("x", DType::F32, shape!["n", 4]);
        {
            let _outer = g.enter("block.0");
            let _ = x + x;
            {
                let _inner = g.enter("block.0.mlp");
                let _ = x.silu();
            }
            (x + x).output("y");
        }
        let _ = x.gelu();
        let parts = g.into_parts();
        let names: Vec<_> = parts.nodes.iter().map(|node| node.name.as_str()).collect();
        let expected = [
            "block.0/Add",
            "block.0.mlp/Sigmoid",
            "block.0.mlp/Mul",
            "block.0/Add_2",
            "Gelu",
        ];
        assert_eq!(names, expected);
        assert_eq!(parts.value(parts.outputs[0]).name, "y");
    }

    #[test]
    fn equal_constants_are_stored_once() {
        let g = GraphBuilder::default();
        let ids = [
            g.floats(&[0.0]),
            g.floats(&[0.0]),
            g.scalar(0.0),
            g.integers(&[0]),
        ];
        assert_eq!(ids.map(|value| value.id.0), [0, 0, 1, 2]);
    }
}
