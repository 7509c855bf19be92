//! One node of a graph, on its way into it.

use super::builder::GraphBuilder;
use super::proto::{Attribute, AttributeType};
use super::shape::{DType, Shape};
use super::value::{Value, ValueId};

/// An operator with its inputs and attributes; naming its outputs adds it to the graph.
#[must_use]
pub(super) struct NodeBuilder<'g> {
    graph: &'g GraphBuilder,
    pub(super) op_type: &'static str,
    pub(super) domain: &'static str,
    pub(super) inputs: Vec<Option<ValueId>>,
    pub(super) attributes: Vec<Attribute>,
}

impl<'g> Value<'g> {
    /// Begins a node whose first input is this value.
    pub(super) fn op(self, op_type: &'static str) -> NodeBuilder<'g> {
        NodeBuilder {
            graph: self.graph,
            op_type,
            domain: "",
            inputs: vec![Some(self.id)],
            attributes: Vec::new(),
        }
    }
}

impl<'g> NodeBuilder<'g> {
    pub(super) fn domain(mut self, domain: &'static str) -> Self {
        self.domain = domain;
        self
    }

    pub(super) fn input(mut self, value: Value<'g>) -> Self {
        self.inputs.push(Some(value.id));
        self
    }

    /// An optional input that is left out, with others after it.
    pub(super) fn optional(mut self, value: Option<Value<'g>>) -> Self {
        self.inputs.push(value.map(|value| value.id));
        self
    }

    pub(super) fn int(self, name: &str, value: i64) -> Self {
        self.attribute(name, AttributeType::Int, |a| a.i = Some(value))
    }

    pub(super) fn ints(self, name: &str, values: impl IntoIterator<Item = i64>) -> Self {
        let values = values.into_iter().collect();
        self.attribute(name, AttributeType::Ints, |a| a.ints = values)
    }

    pub(super) fn float(self, name: &str, value: f32) -> Self {
        self.attribute(name, AttributeType::Float, |a| a.f = Some(value))
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.attribute(name, AttributeType::String, |a| a.s = Some(value.into()))
    }

    /// Adds the node; its output has the type and shape of `value`.
    pub(super) fn like(self, value: Value<'g>) -> Value<'g> {
        self.output(value.dtype(), value.shape())
    }

    /// Adds the node, with one output.
    pub(super) fn output(self, dtype: DType, shape: Shape) -> Value<'g> {
        let [value] = self.outputs([(dtype, shape)]);
        value
    }

    /// Adds the node, with several outputs.
    pub(super) fn outputs<const N: usize>(self, outputs: [(DType, Shape); N]) -> [Value<'g>; N] {
        let graph = self.graph;
        graph.add_node(self, outputs).map(|id| Value { graph, id })
    }

    fn attribute(
        mut self,
        name: &str,
        kind: AttributeType,
        set: impl FnOnce(&mut Attribute),
    ) -> Self {
        let mut attribute = Attribute {
            name: Some(name.into()),
            r#type: Some(kind as i32),
            ..Default::default()
        };
        set(&mut attribute);
        self.attributes.push(attribute);
        self
    }
}
