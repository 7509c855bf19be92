//! Decode steps: one position of every row, and a head.

use std::hint::black_box;

use janus_llm::{Embeddings, HiddenStates, KvCache, LanguageModel};
use janus_runtime::{Manifest, ModelDir, SessionOptions};

use super::{Laps, Workload, seen, words};
use crate::cost::{Costs, Pass};
use crate::error::AnyError;
use crate::plan::{Head, Plan};
use crate::stage::Stage;
use crate::subject::Case;

pub(super) fn cases(plan: &Plan, costs: &Costs<'_>) -> Vec<Case> {
    let case = |&rows: &usize| {
        let pass = Pass {
            rows,
            past: plan.context,
            new: 1,
        };
        let label = match rows {
            1 => "1 row".to_owned(),
            rows => format!("{rows} rows"),
        };
        let step = costs.step(pass, plan.head, rows);
        Case::new(Stage::Decode, &rows.to_string(), label, step)
            .part("decoder", costs.decoder(pass))
            .part(head_name(plan.head), costs.head(plan.head, rows))
    };
    plan.rows.iter().map(case).collect()
}

fn head_name(head: Head) -> &'static str {
    match head {
        Head::Text => "text_head",
        Head::Image => "image_head",
    }
}

pub(super) struct Decode {
    llm: LanguageModel,
    model: Manifest,
    plan: Plan,
    /// What the case that ran last needs.
    rows: Option<(usize, Rows)>,
}

impl Decode {
    pub(super) fn open(
        dir: &ModelDir,
        options: &SessionOptions,
        plan: &Plan,
    ) -> Result<Self, AnyError> {
        Ok(Self {
            llm: LanguageModel::open(dir, options)?,
            model: dir.manifest().clone(),
            plan: plan.clone(),
            rows: None,
        })
    }

    fn prepare(&mut self, case: usize) -> Result<Rows, AnyError> {
        // The cache of the case before has to go before another comes.
        self.rows = None;
        let (rows, past) = (self.plan.rows[case], self.plan.context);
        Rows::new(&mut self.llm, &self.model, rows, past, past + 1)
    }
}

impl Workload for Decode {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        let mut rows = match self.rows.take() {
            Some((of, rows)) if of == case => rows,
            _ => self.prepare(case)?,
        };
        let mut laps = Laps::begin();
        let hidden = rows.forward(&mut self.llm, self.plan.wide_steps)?;
        laps.lap();
        match self.plan.head {
            Head::Text => drop(black_box(self.llm.text_logits(&hidden.last())?)),
            Head::Image => drop(black_box(self.llm.image_logits(&hidden.last())?)),
        }
        laps.lap();
        let laps = laps.end();
        rows.rewind();
        self.rows = Some((case, rows));
        Ok(laps)
    }
}

/// Rows that take the same step again and again.
pub(super) struct Rows {
    cache: KvCache,
    past: usize,
    /// What the next step runs, `[rows, 1, hidden]`.
    pub(super) embeds: Embeddings,
}

impl Rows {
    /// Rows with `past` positions each, in a cache with room for `capacity`.
    pub(super) fn new(
        llm: &mut LanguageModel,
        model: &Manifest,
        rows: usize,
        past: usize,
        capacity: usize,
    ) -> Result<Self, AnyError> {
        let embeds = llm.embed_text(&words(model, past, 0))?;
        Ok(Self {
            cache: seen(llm, &embeds, rows, capacity)?,
            past,
            embeds: llm.embed_text_rows(&words(model, rows, 0))?,
        })
    }

    /// One position more for every row, by the transformer's form for many rows or the other.
    pub(super) fn forward(
        &mut self,
        llm: &mut LanguageModel,
        wide: bool,
    ) -> Result<HiddenStates, AnyError> {
        Ok(match wide {
            true => llm.forward_wide(&self.embeds, &mut self.cache)?,
            false => llm.forward(&self.embeds, &mut self.cache)?,
        })
    }

    /// Forgets that position, so that the next step has as many before it.
    pub(super) fn rewind(&mut self) {
        for row in 0..self.cache.rows() {
            self.cache.truncate(row, self.past);
        }
    }
}
