//! A tensor of a graph that is being built.

use std::fmt;

use super::builder::GraphBuilder;
use super::shape::{DType, Dim, Shape};

/// A tensor of a graph: what an operator reads and gives.
#[derive(Clone, Copy)]
pub(crate) struct Value<'g> {
    pub(super) graph: &'g GraphBuilder,
    pub(super) id: ValueId,
}

/// Index of a value in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValueId(pub(super) usize);

impl<'g> Value<'g> {
    /// The graph that this is a tensor of.
    pub(crate) fn graph(self) -> &'g GraphBuilder {
        self.graph
    }

    /// Type of the elements.
    pub(crate) fn dtype(self) -> DType {
        self.graph.dtype(self.id)
    }

    /// Extents of the axes.
    pub(crate) fn shape(self) -> Shape {
        self.graph.shape(self.id)
    }

    /// Extent of one axis; negative ones count from the end.
    pub(crate) fn dim(self, axis: isize) -> Dim {
        let shape = self.shape();
        shape[resolve_axis(axis, shape.len())]
    }

    /// Extent of an axis that is the same in every run.
    pub(crate) fn extent(self, axis: isize) -> usize {
        match self.dim(axis) {
            Dim::Fixed(extent) => extent,
            Dim::Named(name) => panic!("axis {axis} of {self:?} is `{name}`, not a number"),
        }
    }

    /// Makes this an output of the graph.
    pub(crate) fn output(self, name: impl Into<String>) {
        self.graph.mark_output(self.id, name.into());
    }

    /// Makes these floats an output of the graph, 32 bits wide.
    pub(crate) fn output_f32(self, name: impl Into<String>) {
        self.cast(DType::F32).output(name);
    }

    /// These floats in the type that the graph computes in.
    pub(crate) fn narrow(self) -> Self {
        self.cast(self.graph.float())
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<_> = self.shape().iter().map(Dim::to_string).collect();
        write!(f, "{:?} [{}]", self.dtype(), shape.join(", "))
    }
}

/// Index of an axis that may be counted from the end.
pub(super) fn resolve_axis(axis: isize, rank: usize) -> usize {
    if axis < 0 {
        rank - axis.unsigned_abs()
    } else {
        axis.unsigned_abs()
    }
}
