//! Where the weights of a part of the model lie in a checkpoint, whichever layout it has.

use std::fmt;
use std::sync::Arc;

use janus_runtime::manifest::Layout;

use crate::checkpoint::{Checkpoint, Dtype, Weights};
use crate::error::{Error, Result};
use crate::recipe::Recipe;
use crate::weight::Weight;

/// A module of the model: a place in the checkpoint.
///
/// Network files write the name of a weight where it is used. Where the layouts differ they write
/// both, the released one first: `m.at(["norm1", "layer_norm1"])`. Nodes and weights of the graphs
/// always carry the released name, so both layouts give the same graphs.
#[derive(Clone)]
pub(crate) struct Module<'c> {
    checkpoint: &'c Arc<Checkpoint>,
    weights: Weights<'c>,
    path: String,
    layout: Layout,
    recipe: &'c Recipe,
}

/// What a module is called within the one around it.
pub(crate) enum Name {
    /// The same in both layouts.
    Same(String),
    /// Its names in the released layout and in that of `transformers`.
    Either([String; 2]),
}

impl<'c> Module<'c> {
    /// The whole checkpoint.
    pub(crate) fn root(
        checkpoint: &'c Arc<Checkpoint>,
        layout: Layout,
        recipe: &'c Recipe,
    ) -> Self {
        Self {
            checkpoint,
            weights: checkpoint.root(),
            path: String::new(),
            layout,
            recipe,
        }
    }

    /// The same place under another name: the root of a checkpoint that is a part of the model.
    pub(crate) fn named(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.clone()
        }
    }

    /// The same place, for graphs that are written by another recipe.
    pub(crate) fn by(&self, recipe: &'c Recipe) -> Self {
        Self {
            recipe,
            ..self.clone()
        }
    }

    /// A module within this one.
    pub(crate) fn at(&self, name: impl Into<Name>) -> Self {
        let name = name.into();
        let path = name.released();
        Self {
            weights: self.weights.at(name.in_layout(self.layout)),
            path: if self.path.is_empty() {
                path.to_owned()
            } else {
                format!("{}.{path}", self.path)
            },
            ..self.clone()
        }
    }

    /// The modules `name.0`, `name.1` and so on, as many as there are in the checkpoint.
    pub(crate) fn each(&self, name: impl Into<Name>) -> impl ExactSizeIterator<Item = Self> {
        let name = name.into();
        let count = self.weights.count(name.in_layout(self.layout));
        let list = self.at(name);
        (0..count).map(move |i| list.at(i))
    }

    /// Whether the checkpoint has this tensor.
    pub(crate) fn has(&self, tensor: &str) -> bool {
        self.weights.has(tensor)
    }

    /// Extent of one axis of a tensor, 1 or more.
    pub(crate) fn extent(&self, tensor: &str, axis: usize) -> Result<usize> {
        let shape = self.weights.shape(tensor)?;
        shape
            .get(axis)
            .copied()
            .filter(|extent| *extent > 0)
            .ok_or_else(|| Error::Axis {
                tensor: self.weights.at(tensor).path().to_owned(),
                shape: shape.to_vec(),
                axis,
            })
    }

    /// The type that a tensor is stored in.
    pub(crate) fn stored(&self, tensor: &str) -> Result<Dtype> {
        let shape = self.weights.shape(tensor)?;
        Ok(self.weights.tensor(tensor, shape)?.dtype())
    }

    /// A weight of this shape.
    pub(crate) fn weight(&self, name: &str, shape: &[usize]) -> Result<Weight> {
        let tensor = self.weights.tensor(name, shape)?;
        Ok(Weight::new(self.checkpoint, tensor))
    }

    /// Name of the place in the released layout.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Layout of the checkpoint.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// How graphs are written.
    pub(crate) fn recipe(&self) -> &'c Recipe {
        self.recipe
    }
}

impl fmt::Display for Module<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl Name {
    fn released(&self) -> &str {
        match self {
            Self::Same(name) | Self::Either([name, _]) => name,
        }
    }

    fn in_layout(&self, layout: Layout) -> &str {
        match (self, layout) {
            (Self::Either([_, name]), Layout::Transformers) => name,
            _ => self.released(),
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self::Same(name.to_owned())
    }
}

impl From<usize> for Name {
    fn from(index: usize) -> Self {
        Self::Same(index.to_string())
    }
}

impl From<[&str; 2]> for Name {
    fn from(names: [&str; 2]) -> Self {
        Self::Either(names.map(str::to_owned))
    }
}

impl From<[String; 2]> for Name {
    fn from(names: [String; 2]) -> Self {
        Self::Either(names)
    }
}
