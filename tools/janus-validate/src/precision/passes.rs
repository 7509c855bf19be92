//! The two passes of a comparison: the reference writes, the model reads.

use std::ops::ControlFlow;

use janus_llm::LanguageModel;
use janus_runtime::{GraphKind, ModelDir, SessionOptions};

use super::divergence::Divergence;
use super::graphs::{GraphOutputs, LanguageInputs, PictureInputs};
use super::plan::Plan;
use super::sequences::{Player, Positions, Recording, Task};
use super::{DistributionRow, Head, Limits, PrecisionProgress, Stage};
use crate::error::{Error, Result};

/// What is kept of the reference.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// What each graph gave.
    pub(crate) graphs: GraphOutputs,
    language_inputs: LanguageInputs,
    recordings: Vec<Recording>,
}

impl Recorded {
    /// Tokens that were written.
    pub(crate) fn positions(&self) -> usize {
        self.recordings.iter().map(Recording::positions).sum()
    }
}

/// Runs the reference.
pub(crate) fn record(
    reference: &ModelDir,
    options: &SessionOptions,
    plan: &Plan<'_>,
    inputs: &PictureInputs,
    ticker: &mut Ticker<'_>,
) -> Result<Recorded> {
    let (pictures, mut graphs) =
        inputs.run(reference, options, &mut |graph| ticker.graph(graph))?;
    let llm = LanguageModel::open(reference, options)?;
    let mut player = Player::new(llm, reference.manifest(), &pictures);
    let mut recordings = Vec::new();
    for task in plan.tasks() {
        let (mut sequences, mut positions) = (0, 0);
        while positions < plan.wanted.positions {
            let batch = plan.batch(task, sequences, plan.wanted.positions - positions)?;
            let first_stream = sequences as u64;
            sequences += batch.sequences();
            let mut tell = |tokens| ticker.tokens(task, tokens);
            let recording = player.record(batch, plan.wanted.seed, first_stream, &mut tell)?;
            positions += recording.positions();
            recordings.push(recording);
        }
    }
    let language_inputs =
        LanguageInputs::of_reference(&mut player, &recordings, plan.manifest, plan.wanted.seed)?;
    graphs.extend(language_inputs.run(&mut player, &mut |graph| ticker.graph(graph))?);
    Ok(Recorded {
        graphs,
        language_inputs,
        recordings,
    })
}

/// What the model did with the reference's sequences and inputs.
#[derive(Debug)]
pub(crate) struct Followed {
    /// What each graph gave.
    pub(crate) graphs: GraphOutputs,
    /// Its predictions, compared, in the order of the tasks.
    positions: Vec<(Task, Positions)>,
}

/// Runs the model over what the reference wrote.
pub(crate) fn follow(
    model: &ModelDir,
    options: &SessionOptions,
    recorded: &Recorded,
    inputs: &PictureInputs,
    ticker: &mut Ticker<'_>,
) -> Result<Followed> {
    let (pictures, mut graphs) = inputs.run(model, options, &mut |graph| ticker.graph(graph))?;
    let llm = LanguageModel::open(model, options)?;
    let mut player = Player::new(llm, model.manifest(), &pictures);
    let mut positions: Vec<(Task, Positions)> = Vec::new();
    for recording in &recorded.recordings {
        let task = recording.batch.task;
        let mut of_task = match positions.pop_if(|(before, _)| *before == task) {
            Some((_, of_task)) => of_task,
            None => Positions::default(),
        };
        let mut tell = |tokens| ticker.tokens(task, tokens);
        player.follow(recording, &mut of_task, &mut tell)?;
        positions.push((task, of_task));
    }
    let language_inputs = &recorded.language_inputs;
    graphs.extend(language_inputs.run(&mut player, &mut |graph| ticker.graph(graph))?);
    Ok(Followed { graphs, positions })
}

impl Followed {
    /// A row for each distribution of each task. The limits are for the model as it draws: at its
    /// own guidance. A larger one multiplies what the rows differ.
    pub(crate) fn distributions(&self, limits: &Limits, own_guidance: f32) -> Vec<DistributionRow> {
        let mut rows = Vec::new();
        for (task, positions) in &self.positions {
            let (head, guidance) = match *task {
                Task::Text => (Head::Text, None),
                Task::TextWithPicture => (Head::TextWithPicture, None),
                Task::Image { guidance } => (Head::ImageConditional, Some(guidance)),
            };
            let limits = guidance
                .is_none_or(|it| it == own_guidance)
                .then_some(limits);
            let divergence = Divergence::of(&positions.head);
            rows.push(DistributionRow::new(head, guidance, divergence, limits));
            if task.is_guided() {
                let divergence = Divergence::of(&positions.guided);
                let head = Head::ImageGuided;
                rows.push(DistributionRow::new(head, guidance, divergence, limits));
            }
        }
        rows
    }
}

/// Tells how far the passes are, and hears whether to go on.
pub(crate) struct Ticker<'a> {
    progress: &'a mut dyn FnMut(PrecisionProgress) -> ControlFlow<()>,
    reference: bool,
    done: usize,
    total: usize,
}

impl<'a> Ticker<'a> {
    /// Of about `total` tokens, the reference's first.
    pub(crate) fn new(
        progress: &'a mut dyn FnMut(PrecisionProgress) -> ControlFlow<()>,
        total: usize,
    ) -> Self {
        Self {
            progress,
            reference: true,
            done: 0,
            total,
        }
    }

    /// The reference is done; the model has `tokens` to read.
    pub(crate) fn turn(&mut self, tokens: usize) {
        self.reference = false;
        self.total = self.done + tokens;
    }

    fn graph(&mut self, graph: GraphKind) -> Result<()> {
        self.tell(Stage::Graph(graph), 0)
    }

    fn tokens(&mut self, task: Task, tokens: usize) -> Result<()> {
        let stage = match task {
            Task::Text | Task::TextWithPicture => Stage::Answering,
            Task::Image { .. } => Stage::Drawing,
        };
        self.tell(stage, tokens)
    }

    fn tell(&mut self, stage: Stage, tokens: usize) -> Result<()> {
        self.done += tokens;
        self.total = self.total.max(self.done);
        let progress = PrecisionProgress {
            reference: self.reference,
            stage,
            done: self.done,
            total: self.total,
        };
        match (self.progress)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}
