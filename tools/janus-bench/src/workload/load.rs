//! Opening graphs.

use std::hint::black_box;

use janus_pipeline::Tokenizer;
use janus_runtime::{GraphKind, Manifest, ModelDir, SessionOptions};

use super::{Laps, Workload};
use crate::cost::Cost;
use crate::error::AnyError;
use crate::stage::Stage;
use crate::subject::Case;

pub(super) fn cases(model: &Manifest) -> Vec<Case> {
    let names = model.graphs.keys().map(|graph| graph.to_string());
    names
        .chain(["tokenizer".to_owned()])
        .map(|name| {
            let told = name.replace('_', " ");
            Case::new(Stage::Load, &name, told, Cost::default())
        })
        .collect()
}

/// Each graph, and the tokenizer at last; one at a time.
pub(super) struct Load {
    dir: ModelDir,
    options: SessionOptions,
    graphs: Vec<GraphKind>,
}

impl Load {
    pub(super) fn new(dir: &ModelDir, options: &SessionOptions) -> Self {
        Self {
            dir: dir.clone(),
            options: options.clone(),
            graphs: dir.manifest().graphs.keys().copied().collect(),
        }
    }
}

impl Workload for Load {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        // What was opened is dropped after the time is taken.
        let laps = Laps::begin();
        match self.graphs.get(case) {
            Some(&graph) => {
                let opened = self.dir.graph(graph, &self.options)?;
                let laps = laps.end();
                drop(black_box(opened));
                Ok(laps)
            }
            None => {
                let opened = Tokenizer::open(&self.dir)?;
                let laps = laps.end();
                drop(black_box(opened));
                Ok(laps)
            }
        }
    }
}
