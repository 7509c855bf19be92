//! One step for everybody: rows of text and rows of pictures advance in the same pass.
//!
//! ```text
//! waiting ─ prefill all but the last position ─► running
//!   ▲                                              │ one position per row
//! submit        ┌── transformer, every row ◄───────┤
//!               ├─► text head, text rows ──────────┤ sample · embed
//!               └─► image head, image rows ─ guide ┘
//! ```
//!
//! The streams of this crate are handles on a scheduler with a single request; a server has one
//! scheduler with many.

use std::collections::VecDeque;

use janus_llm::{LanguageModel, Prefill};

use crate::admission::{Cost, Joining, Limits, Queue};
use crate::batch::{Batches, WideSteps};
use crate::error::{Error, Result};
use crate::sequence::{Event, Request, SequenceId};
use crate::window::Windowed;

/// Runs any number of answers and pictures over one language model, a position each per step.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    /// Positions that the model holds.
    context_length: usize,
    /// Ids that may be sampled; the embedding table may have more rows.
    vocabulary: usize,
    waiting: Queue,
    /// Those that were taken on and whose prompts are being run, in turns.
    joining: VecDeque<Joining>,
    batches: Batches,
    /// Pictures that are drawn several tokens a pass, each by itself.
    windowed: Vec<Windowed>,
    next_id: u64,
}

/// How busy a scheduler is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that wait.
    pub waiting: usize,
    /// Requests whose prompts are being run.
    pub joining: usize,
    /// Answers and pictures that are being generated.
    pub running: usize,
    /// Rows that they have in the batch.
    pub rows: usize,
    /// Rows that a pass runs, those that are free included.
    pub batch: usize,
}

impl Scheduler {
    /// A scheduler for a model whose text ids below `vocabulary` may be sampled.
    pub fn new(llm: &LanguageModel, vocabulary: usize) -> Self {
        Self {
            limits: Limits::default(),
            context_length: llm.config().context_length,
            vocabulary,
            waiting: Queue::default(),
            joining: VecDeque::new(),
            batches: Batches::default(),
            windowed: Vec::new(),
            next_id: 0,
        }
    }

    /// Takes on no more than `limits`.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Runs some sequences by the transformer's form for many rows, where there is one.
    pub fn with_wide_steps(mut self, wide_steps: WideSteps) -> Self {
        self.batches.wide_steps = wide_steps;
        self
    }

    /// Which sequences run by the transformer's form for many rows.
    pub fn wide_steps(&self) -> WideSteps {
        self.batches.wide_steps
    }

    /// What it takes on at most.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Queues a request and gives the ids of its sequences: its answers, or its pictures.
    ///
    /// # Errors
    ///
    /// [`Error::PromptTooLong`] where prompt and result exceed the model's context,
    /// [`Error::TooLarge`] where they exceed the limits, [`Error::QueueFull`] where too many wait.
    pub fn submit(&mut self, request: Request) -> Result<Vec<SequenceId>> {
        let limit = self.context_length;
        let found = request.positions();
        if request.prompt_positions() == 0 || found > limit {
            return Err(Error::PromptTooLong { found, limit });
        }
        let first = SequenceId(self.next_id);
        let sequences = request.sequences() as u64;
        self.waiting.push(first, request, &self.limits)?;
        self.next_id += sequences;
        Ok((first.0..self.next_id).map(SequenceId).collect())
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.load() == Load::default()
    }

    /// How busy it is.
    pub fn load(&self) -> Load {
        Load {
            waiting: self.waiting.len(),
            joining: self.joining.len(),
            running: self.batches.running().count() + self.windowed.len(),
            rows: self.batches.running().map(|s| s.rows.len()).sum(),
            batch: self.batches.rows(),
        }
    }

    /// Prompt positions of the request that joins next: those that have been run, and all.
    pub fn joining(&self) -> Option<(usize, usize)> {
        self.joining.front().map(Joining::progress)
    }

    /// Takes a sequence out; the others go on. A request of several that has not begun is dropped
    /// with any of them.
    pub fn cancel(&mut self, id: SequenceId) {
        let is_of = |first: SequenceId, request: &Request| {
            (first.0..first.0 + request.sequences() as u64).contains(&id.0)
        };
        self.waiting.retain(|first, request| !is_of(first, request));
        self.joining
            .retain(|joining| !is_of(joining.first, &joining.request));
        self.windowed.retain(|picture| picture.id != id);
        self.batches.cancel(id);
    }

    /// Advances every sequence by one token, and prompts of requests that are to join them by a
    /// piece: long prompts do not hold up the others. Without sequences there is no event yet.
    ///
    /// `llm` is the model that the scheduler was made for, at every step.
    ///
    /// # Errors
    ///
    /// Where the model fails. Nothing can be said of the sequences then: the scheduler is to be
    /// dropped.
    pub fn step(&mut self, llm: &mut LanguageModel) -> Result<Vec<Event>> {
        self.admit(llm)?;
        let mut events = Vec::new();
        for picture in &mut self.windowed {
            events.extend(picture.step(llm)?);
        }
        self.windowed.retain(|picture| picture.remaining > 0);

        if self.waiting.is_empty() && self.joining.is_empty() {
            self.batches.shrink(llm)?;
        }
        self.batches.step(llm, self.vocabulary, &mut events)?;
        Ok(events)
    }

    /// Runs the next piece of a prompt and tells how many positions have been run, of how many;
    /// nothing once every request has joined.
    pub(crate) fn read_prompt(
        &mut self,
        llm: &mut LanguageModel,
    ) -> Result<Option<(usize, usize)>> {
        self.admit(llm)?;
        Ok(self.joining())
    }

    /// Takes on the requests that fit, and runs a piece of a prompt; several where they are short.
    /// Those whose prompts are complete get rows in the batch.
    fn admit(&mut self, llm: &mut LanguageModel) -> Result<()> {
        while let Some((first, request)) = self.waiting.pop(self.taken_on(), &self.limits) {
            self.joining.push_back(Joining::begin(llm, first, request)?);
        }
        let most = self.limits.piece;
        let mut run = 0;
        while let Some(mut joining) = self.joining.pop_front() {
            let piece = joining.next_piece(most);
            if run > 0 && run + piece > most {
                self.joining.push_front(joining);
                break;
            }
            joining.advance(llm, most)?;
            run += piece;
            match joining.next_piece(most) {
                0 => self.join(llm, joining)?,
                _ => self.joining.push_back(joining),
            }
        }
        Ok(())
    }

    /// What the sequences need that run, or will without waiting.
    fn taken_on(&self) -> Cost {
        let running = self.batches.running().map(|sequence| Cost {
            rows: sequence.rows.len(),
            longest: sequence.positions,
        });
        let joining = self.joining.iter().map(|j| Cost::of(&j.request));
        let windowed = self.windowed.iter().map(Windowed::cost);
        let all = running.chain(joining).chain(windowed);
        all.fold(Cost::default(), Cost::and)
    }

    /// Gives the sequences of a request rows in the batch.
    fn join(&mut self, llm: &LanguageModel, joining: Joining) -> Result<()> {
        let Joining {
            first,
            request,
            prefixes,
        } = joining;
        let positions = request.positions();
        let caches = || {
            let each = prefixes.iter().map(|prefix| {
                let mut cache = llm.new_cache(1, positions)?;
                cache.copy_row(0, prefix.cache(), 0)?;
                Ok(cache)
            });
            each.collect()
        };
        if let Some(windowed) = request.start_windowed(first, caches)? {
            self.windowed.extend(windowed);
            return Ok(());
        }
        let prefixes: Vec<_> = prefixes.iter().map(Prefill::cache).collect();
        let sequences = request.start(first)?;
        self.batches.add(llm, sequences, &prefixes, positions)
    }
}
