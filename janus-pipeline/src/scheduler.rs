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

use janus_llm::{HiddenStates, LanguageModel};
use janus_runtime::{ImageToken, TokenId};

use crate::admission::{Cost, Joining, Limits, Queue};
use crate::error::{Error, Result};
use crate::sequence::{Event, FinishReason, Image, Request, Sequence, SequenceId, Text, Work};
use crate::slots::Slots;
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
    running: Vec<Sequence>,
    slots: Slots,
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
            running: Vec::new(),
            slots: Slots::default(),
            windowed: Vec::new(),
            next_id: 0,
        }
    }

    /// Takes on no more than `limits`.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
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
            running: self.running.len() + self.windowed.len(),
            rows: self.running.iter().map(|s| s.rows.len()).sum(),
            batch: self.slots.rows(),
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
        self.keep(|sequence| sequence.id != id);
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
        let mut events = Vec::with_capacity(self.running.len());
        for picture in &mut self.windowed {
            events.extend(picture.step(llm)?);
        }
        self.windowed.retain(|picture| picture.remaining > 0);

        if self.waiting.is_empty() && self.joining.is_empty() {
            self.slots.shrink(llm, &mut self.running)?;
        }
        if self.running.is_empty() {
            return Ok(events);
        }
        let hidden = self.slots.forward(llm, &self.running)?;
        self.step_text(llm, &hidden, &mut events)?;
        self.step_images(llm, &hidden, &mut events)?;
        self.keep(|sequence| !sequence.finished);
        Ok(events)
    }

    /// Text rows: head, sample, embed.
    fn step_text(
        &mut self,
        llm: &mut LanguageModel,
        hidden: &HiddenStates,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let texts = self.running.iter_mut();
        let texts = texts.filter(|s| matches!(s.work, Work::Text(_)));
        let mut texts: Vec<_> = texts.collect();
        if texts.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = texts.iter().map(|s| s.rows[0]).collect();
        let logits = llm.text_logits(&hidden.last_of(&rows))?;
        let logits = logits.limited(self.vocabulary);
        let mut tokens = Vec::with_capacity(texts.len());
        for (i, sequence) in texts.iter_mut().enumerate() {
            let Work::Text(Text { eos }) = sequence.work else {
                continue;
            };
            let token: TokenId = sequence.sampler.sample(logits.row(i));
            if token == eos {
                events.push(sequence.finish(FinishReason::Stop));
                continue;
            }
            let id = sequence.id;
            events.push(Event::Text { id, token });
            sequence.remaining -= 1;
            if sequence.remaining == 0 {
                events.push(sequence.finish(FinishReason::Length));
                continue;
            }
            tokens.push(token);
        }
        if !tokens.is_empty() {
            let embeds = llm.embed_text_rows(&tokens)?;
            let going_on = texts.into_iter().filter(|s| !s.finished);
            for (i, sequence) in going_on.enumerate() {
                sequence.embeds = embeds.repeat_row(i, 1);
            }
        }
        Ok(())
    }

    /// Image rows: head, guidance, sample, embed to both halves.
    fn step_images(
        &mut self,
        llm: &mut LanguageModel,
        hidden: &HiddenStates,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        let images = self.running.iter_mut();
        let images = images.filter(|s| matches!(s.work, Work::Image(_)));
        let mut images: Vec<_> = images.collect();
        if images.is_empty() {
            return Ok(());
        }
        let rows = images.iter().flat_map(|s| &s.rows).copied();
        let rows: Vec<_> = rows.collect();
        let logits = llm.image_logits(&hidden.last_of(&rows))?;
        let mut tokens = Vec::with_capacity(images.len());
        let mut first = 0;
        for sequence in &mut images {
            let Work::Image(Image { guidance_scale }) = sequence.work else {
                continue;
            };
            let rows = first..first + sequence.rows.len();
            first = rows.end;
            let guided = match guidance_scale {
                Some(scale) => logits.select(rows).guided(scale),
                None => logits.select(rows),
            };
            tokens.push(sequence.sampler.sample::<ImageToken>(guided.row(0)));
        }
        let embeds = llm.embed_image_tokens(&tokens)?;
        for (i, sequence) in images.into_iter().enumerate() {
            events.push(Event::Image {
                id: sequence.id,
                token: tokens[i],
            });
            sequence.remaining -= 1;
            if sequence.remaining == 0 {
                events.push(sequence.finish(FinishReason::Length));
            } else {
                sequence.embeds = embeds.repeat_row(i, sequence.rows.len());
            }
        }
        Ok(())
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
        let running = self.running.iter().map(|sequence| Cost {
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
        let (wanted, running) = (request.rows(), &mut self.running);
        self.slots.make_room(llm, running, wanted, positions)?;
        for mut sequence in request.start(first)? {
            let rows = prefixes
                .iter()
                .map(|prefix| self.slots.lend(prefix.cache()));
            sequence.rows = rows.collect::<Result<_>>()?;
            self.running.push(sequence);
        }
        Ok(())
    }

    /// Keeps the sequences that `wanted` wants; the rows of the others are free.
    fn keep(&mut self, wanted: impl Fn(&Sequence) -> bool) {
        let slots = &mut self.slots;
        self.running.retain(|sequence| {
            let kept = wanted(sequence);
            if !kept {
                slots.take_back(&sequence.rows);
            }
            kept
        });
    }
}
