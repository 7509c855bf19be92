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
//! The streams of this crate are handles on a scheduler with a single request.

use std::collections::VecDeque;

use janus_llm::{Embeddings, HiddenStates, KvCache, LanguageModel, Prefill};
use janus_runtime::{ImageToken, TokenId};

use crate::error::{Error, Result};
use crate::sequence::{Event, FinishReason, Image, Request, Sequence, SequenceId, Text, Work};
use crate::window::Windowed;

/// Runs any number of answers and pictures over one language model, a position each per step.
#[derive(Debug)]
pub struct Scheduler<'m> {
    llm: &'m mut LanguageModel,
    /// Ids that may be sampled; the embedding table may have more rows.
    vocabulary: usize,
    waiting: VecDeque<(SequenceId, Request)>,
    joining: Option<Joining>,
    running: Vec<Sequence>,
    /// The rows of `running`, in order.
    cache: Option<KvCache>,
    /// Pictures that are drawn several tokens a pass, each by itself.
    windowed: Vec<Windowed>,
    next_id: u64,
}

/// A request whose prompts are on their way into caches.
#[derive(Debug)]
struct Joining {
    first: SequenceId,
    request: Request,
    /// One for each row of a sequence.
    prefixes: Vec<Prefill>,
}

impl<'m> Scheduler<'m> {
    /// A scheduler that samples text ids below `vocabulary`.
    pub fn new(llm: &'m mut LanguageModel, vocabulary: usize) -> Self {
        let waiting = VecDeque::new();
        Self {
            llm,
            vocabulary,
            waiting,
            joining: None,
            running: Vec::new(),
            cache: None,
            windowed: Vec::new(),
            next_id: 0,
        }
    }

    /// Queues a request and gives the ids of its sequences: one answer, or `n` pictures.
    ///
    /// # Errors
    ///
    /// [`Error::PromptTooLong`] where prompt and result exceed the model's context.
    pub fn submit(&mut self, request: Request) -> Result<Vec<SequenceId>> {
        let limit = self.llm.config().context_length;
        let found = request.positions();
        if request.prompt_positions() == 0 || found > limit {
            return Err(Error::PromptTooLong { found, limit });
        }
        let first = SequenceId(self.next_id);
        let ids: Vec<_> = (0..request.sequences() as u64)
            .map(|i| SequenceId(first.0 + i))
            .collect();
        self.next_id += ids.len() as u64;
        self.waiting.push_back((first, request));
        Ok(ids)
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.joining.is_none()
            && self.running.is_empty()
            && self.windowed.is_empty()
    }

    /// Prompt positions of the request that joins next: those that have been run, and all.
    pub fn joining(&self) -> Option<(usize, usize)> {
        let prefixes = &self.joining.as_ref()?.prefixes;
        let done = prefixes.iter().map(Prefill::done).sum();
        Some((done, prefixes.iter().map(Prefill::total).sum()))
    }

    /// Takes a sequence out of the batch; the others go on.
    pub fn cancel(&mut self, id: SequenceId) -> Result<()> {
        // A request of several pictures that has not begun is dropped with any of them.
        let is_of = |first: SequenceId, request: &Request| {
            (first.0..first.0 + request.sequences() as u64).contains(&id.0)
        };
        self.waiting
            .retain(|(first, request)| !is_of(*first, request));
        self.joining = self
            .joining
            .take()
            .filter(|joining| !is_of(joining.first, &joining.request));
        self.windowed.retain(|picture| picture.id != id);
        self.keep(|sequence| sequence.id != id)
    }

    /// Advances every sequence by one token, and the prompt of a request that is to join them by
    /// one piece: long prompts do not hold up the others. Without sequences there is no event yet.
    pub fn step(&mut self) -> Result<Vec<Event>> {
        self.admit()?;
        let mut events = Vec::with_capacity(self.running.len());
        for picture in &mut self.windowed {
            events.extend(picture.step(self.llm)?);
        }
        self.windowed.retain(|picture| picture.remaining > 0);

        let Some(cache) = self.cache.as_mut() else {
            return Ok(events);
        };
        let embeds: Vec<_> = self.running.iter().map(|s| s.embeds.clone()).collect();
        let hidden = self.llm.forward(&Embeddings::stack(&embeds), cache)?;

        self.step_text(&hidden, &mut events)?;
        self.step_images(&hidden, &mut events)?;
        self.keep(|sequence| !sequence.finished)?;
        Ok(events)
    }

    /// Text rows: head, sample, embed.
    fn step_text(&mut self, hidden: &HiddenStates, events: &mut Vec<Event>) -> Result<()> {
        let mut texts: Vec<(usize, &mut Sequence)> = with_rows(&mut self.running)
            .filter(|(_, s)| matches!(s.work, Work::Text(_)))
            .collect();
        if texts.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = texts.iter().map(|(row, _)| *row).collect();
        let logits = self
            .llm
            .text_logits(&hidden.last_of(&rows))?
            .limited(self.vocabulary);
        for (i, (_, sequence)) in texts.iter_mut().enumerate() {
            let Work::Text(Text { eos }) = sequence.work else {
                continue;
            };
            let token: TokenId = sequence.sampler.sample(logits.row(i));
            if token == eos {
                events.push(sequence.finish(FinishReason::Stop));
                continue;
            }
            events.push(Event::Text {
                id: sequence.id,
                token,
            });
            sequence.remaining -= 1;
            if sequence.remaining == 0 {
                events.push(sequence.finish(FinishReason::Length));
            } else {
                sequence.embeds = self.llm.embed_text(&[token])?;
            }
        }
        Ok(())
    }

    /// Image rows: head, guidance, sample, embed to both halves.
    fn step_images(&mut self, hidden: &HiddenStates, events: &mut Vec<Event>) -> Result<()> {
        let mut images: Vec<(usize, &mut Sequence)> = with_rows(&mut self.running)
            .filter(|(_, s)| matches!(s.work, Work::Image(_)))
            .collect();
        if images.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = images
            .iter()
            .flat_map(|(row, s)| *row..row + s.rows())
            .collect();
        let logits = self.llm.image_logits(&hidden.last_of(&rows))?;
        let mut tokens = Vec::with_capacity(images.len());
        let mut first = 0;
        for (_, sequence) in &mut images {
            let Work::Image(Image { guidance_scale }) = sequence.work else {
                continue;
            };
            let rows = first..first + sequence.rows();
            first = rows.end;
            let guided = match guidance_scale {
                Some(scale) => logits.select(rows).guided(scale),
                None => logits.select(rows),
            };
            tokens.push(sequence.sampler.sample::<ImageToken>(guided.row(0)));
        }
        let embeds = self.llm.embed_image_tokens(&tokens)?;
        for (i, (_, sequence)) in images.into_iter().enumerate() {
            events.push(Event::Image {
                id: sequence.id,
                token: tokens[i],
            });
            sequence.remaining -= 1;
            if sequence.remaining == 0 {
                events.push(sequence.finish(FinishReason::Length));
            } else {
                sequence.embeds = embeds.repeat_row(i, sequence.rows());
            }
        }
        Ok(())
    }

    /// Runs the next piece of a prompt and tells how many positions have been run, of how many;
    /// nothing once every request has joined.
    pub(crate) fn read_prompt(&mut self) -> Result<Option<(usize, usize)>> {
        self.admit()?;
        Ok(self.joining())
    }

    /// Runs a piece of the prompt of the first request that waits, and gives its sequences rows in
    /// the batch when the prompt is complete.
    fn admit(&mut self) -> Result<()> {
        if self.joining.is_none() {
            self.joining = match self.waiting.pop_front() {
                Some((first, request)) => Some(begin(self.llm, first, request)?),
                None => None,
            };
        }
        let Some(joining) = &mut self.joining else {
            return Ok(());
        };
        if let Some(prefix) = joining.prefixes.iter_mut().find(|p| !p.is_complete()) {
            self.llm.advance(prefix)?;
        }
        match self.joining.take_if(|joining| joining.is_complete()) {
            Some(joining) => self.join(joining),
            None => Ok(()),
        }
    }

    /// Gives the sequences of a request rows in the batch.
    fn join(&mut self, joining: Joining) -> Result<()> {
        let Joining {
            first,
            request,
            prefixes,
        } = joining;
        let positions = request.positions();
        let caches = || {
            let each = prefixes.iter();
            each.map(|prefix| pack(self.llm, &[(prefix.cache(), 0)], positions))
                .collect()
        };
        if let Some(windowed) = request.start_windowed(first, caches)? {
            self.windowed.extend(windowed);
            return Ok(());
        }
        let joining = request.start(first)?;
        let old: Vec<_> = self
            .cache
            .iter()
            .flat_map(|c| (0..c.rows()).map(move |r| (c, r)))
            .collect();
        let new = joining
            .iter()
            .flat_map(|_| prefixes.iter().map(|prefix| (prefix.cache(), 0)));
        let rows: Vec<_> = old.into_iter().chain(new).collect();
        let sequences = self.running.iter().chain(&joining);
        let capacity = sequences.map(|s| s.positions).max().unwrap_or(1);
        self.cache = Some(pack(self.llm, &rows, capacity)?);
        self.running.extend(joining);
        Ok(())
    }

    /// Keeps the sequences that `wanted` wants, and their rows.
    fn keep(&mut self, wanted: impl Fn(&Sequence) -> bool) -> Result<()> {
        if self.running.iter().all(&wanted) {
            return Ok(());
        }
        let Some(cache) = self.cache.take() else {
            return Ok(());
        };
        let rows: Vec<_> = with_rows(&mut self.running)
            .filter(|(_, sequence)| wanted(sequence))
            .flat_map(|(row, sequence)| row..row + sequence.rows())
            .map(|row| (&cache, row))
            .collect();
        self.running.retain(&wanted);
        if let Some(capacity) = self.running.iter().map(|s| s.positions).max() {
            self.cache = Some(pack(self.llm, &rows, capacity)?);
        }
        Ok(())
    }
}

impl Joining {
    fn is_complete(&self) -> bool {
        self.prefixes.iter().all(Prefill::is_complete)
    }
}

/// A request with none of its prompts run. The last position of each is left to the first step,
/// which runs it with everybody else's.
fn begin(llm: &mut LanguageModel, first: SequenceId, request: Request) -> Result<Joining> {
    let prompts = request.prompts();
    let prefixes = prompts
        .iter()
        .map(|prompt| llm.prefill(prompt.slice(0..prompt.positions() - 1)))
        .collect::<Result<_, _>>()?;
    Ok(Joining {
        first,
        request,
        prefixes,
    })
}

/// Each sequence with its first row.
fn with_rows(running: &mut [Sequence]) -> impl Iterator<Item = (usize, &mut Sequence)> {
    running.iter_mut().scan(0, |next, sequence| {
        let row = *next;
        *next += sequence.rows();
        Some((row, sequence))
    })
}

/// A cache of the given rows of other caches.
fn pack(llm: &LanguageModel, rows: &[(&KvCache, usize)], capacity: usize) -> Result<KvCache> {
    let mut packed = llm.new_cache(rows.len(), capacity)?;
    for (row, (from, from_row)) in rows.iter().enumerate() {
        packed.copy_row(row, from, *from_row)?;
    }
    Ok(packed)
}
