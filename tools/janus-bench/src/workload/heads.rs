//! The heads by themselves: what fits the caches stays there from one call to the next.

use std::hint::black_box;

use janus_llm::LanguageModel;
use janus_runtime::{Manifest, ModelDir, SessionOptions};
use ndarray::Array2;

use super::{Laps, Workload, scattered};
use crate::cost::Costs;
use crate::error::AnyError;
use crate::plan::{Head, Plan};
use crate::stage::Stage;
use crate::subject::Case;

pub(super) fn cases(plan: &Plan, costs: &Costs<'_>) -> Vec<Case> {
    let calls = calls(plan, costs.model).into_iter();
    calls
        .map(|(head, rows)| {
            let label = match rows {
                1 => format!("{head}, 1 row"),
                rows => format!("{head}, {rows} rows"),
            };
            let mut cost = costs.head(head, rows);
            // What the caches keep is not read from memory.
            cost.bytes = None;
            Case::new(Stage::Heads, &format!("{head}.{rows}"), label, cost)
        })
        .collect()
}

/// Each head, on each number of rows.
fn calls(plan: &Plan, model: &Manifest) -> Vec<(Head, usize)> {
    let of = |head| plan.rows.iter().map(move |&rows| (head, rows));
    let heads = Head::ALL.into_iter();
    let heads = heads.filter(|head| head.belongs_to(&model.drawing));
    heads.flat_map(of).collect()
}

pub(super) struct Heads {
    llm: LanguageModel,
    calls: Vec<(Head, Array2<f32>)>,
}

impl Heads {
    pub(super) fn open(
        dir: &ModelDir,
        options: &SessionOptions,
        plan: &Plan,
    ) -> Result<Self, AnyError> {
        let width = dir.manifest().language.hidden_size;
        let with_input = |(head, rows)| (head, hidden_states(rows, width));
        Ok(Self {
            llm: LanguageModel::open(dir, options)?,
            calls: calls(plan, dir.manifest())
                .into_iter()
                .map(with_input)
                .collect(),
        })
    }
}

/// Numbers from −1 to 1, as the last norm leaves them.
fn hidden_states(rows: usize, width: usize) -> Array2<f32> {
    let mut numbers = scattered(rows * width, 2001).map(|n| (n as f32 - 1000.0) / 1000.0);
    Array2::from_shape_simple_fn((rows, width), || numbers.next().unwrap_or_default())
}

impl Workload for Heads {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        let (head, hidden) = &self.calls[case];
        let laps = Laps::begin();
        match head {
            Head::Text => drop(black_box(self.llm.text_logits(hidden)?)),
            Head::Image => drop(black_box(self.llm.image_logits(hidden)?)),
        }
        Ok(laps.end())
    }
}
