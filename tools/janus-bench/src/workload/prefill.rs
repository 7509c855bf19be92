//! Prompts.

use janus_llm::LanguageModel;
use janus_runtime::{Manifest, ModelDir, SessionOptions};

use super::{Laps, Workload, words};
use crate::cost::{Costs, Pass};
use crate::error::AnyError;
use crate::plan::Plan;
use crate::stage::Stage;
use crate::subject::Case;

pub(super) fn cases(plan: &Plan, costs: &Costs<'_>) -> Vec<Case> {
    let case = |&length: &usize| {
        let mut cost = costs.decoder(Pass {
            rows: 1,
            past: 0,
            new: length,
        });
        // Weights are used many times over: not their bytes but the products take the time.
        cost.bytes = None;
        let label = format!("{length} tokens");
        Case::new(Stage::Prefill, &length.to_string(), label, cost)
    };
    plan.prefill.iter().map(case).collect()
}

/// Another prompt every time: what the model remembers of the last ones is of no use.
pub(super) struct Prefill {
    llm: LanguageModel,
    model: Manifest,
    lengths: Vec<usize>,
    runs: usize,
}

impl Prefill {
    pub(super) fn open(
        dir: &ModelDir,
        options: &SessionOptions,
        plan: &Plan,
    ) -> Result<Self, AnyError> {
        Ok(Self {
            llm: LanguageModel::open(dir, options)?,
            model: dir.manifest().clone(),
            lengths: plan.prefill.clone(),
            runs: 0,
        })
    }
}

impl Workload for Prefill {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        self.runs += 1;
        let words = words(&self.model, self.lengths[case], self.runs);
        let prompt = self.llm.embed_text(&words)?;
        let laps = Laps::begin();
        let mut prefill = self.llm.prefill(prompt)?;
        while !prefill.is_complete() {
            self.llm.advance(&mut prefill)?;
        }
        Ok(laps.end())
    }
}
