//! A graph that is opened when it is first needed.

use crate::contract::GraphKind;
use crate::error::Result;
use crate::graph::Graph;
use crate::model_dir::ModelDir;
use crate::session::SessionOptions;

/// A graph that is opened when it is first needed: who only draws never loads what answers.
#[derive(Debug)]
pub struct LazyGraph {
    model: ModelDir,
    kind: GraphKind,
    options: SessionOptions,
    graph: Option<Graph>,
}

impl LazyGraph {
    pub(crate) fn new(model: ModelDir, kind: GraphKind, options: SessionOptions) -> Self {
        Self {
            model,
            kind,
            options,
            graph: None,
        }
    }

    /// The graph, opened if it was not.
    pub fn get(&mut self) -> Result<&mut Graph> {
        let graph = match self.graph.take() {
            Some(graph) => graph,
            None => self.model.graph(self.kind, &self.options)?,
        };
        Ok(self.graph.insert(graph))
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.graph.is_some()
    }

    /// Gives its memory back; it is opened again when it is needed.
    pub fn close(&mut self) {
        self.graph = None;
    }

    /// Which graph this is.
    pub fn kind(&self) -> GraphKind {
        self.kind
    }
}
