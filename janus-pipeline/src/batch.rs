//! Sequences that take their steps together, by one form of the transformer.

use std::str::FromStr;

use janus_llm::{HiddenStates, KvCache, LanguageModel};
use janus_runtime::{ImageToken, TokenId};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::sequence::{Event, FinishReason, Image, Sequence, SequenceId, Text, Work};
use crate::slots::Slots;

/// Which sequences take their steps by the transformer's form for many rows, where an export has two
/// forms ([`LanguageModel::has_wide_form`]).
///
/// The forms round differently. The choice is therefore made by what a sequence is, never by its
/// company, so that a request gets the same tokens alone and in a crowd. Those of either form take a
/// pass of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WideSteps {
    /// None: the fastest for one or two rows.
    #[default]
    Never,
    /// Pictures, which are long and have two rows each; answers keep the form for few rows.
    Pictures,
    /// All: the fastest where there are always many.
    Always,
}

impl WideSteps {
    /// Whether such a sequence takes its steps by the form for many rows.
    fn holds(self, work: Work) -> bool {
        match self {
            Self::Never => false,
            Self::Pictures => matches!(work, Work::Image(_)),
            Self::Always => true,
        }
    }
}

impl FromStr for WideSteps {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "never" => Ok(Self::Never),
            "pictures" => Ok(Self::Pictures),
            "always" => Ok(Self::Always),
            _ => Err("it should be never, pictures or always"),
        }
    }
}

/// The sequences that run, by the form of the transformer that runs them.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    pub(crate) wide_steps: WideSteps,
    narrow: Batch,
    wide: Batch,
}

impl Batches {
    /// Sequences that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Sequence> {
        self.narrow.running.iter().chain(&self.wide.running)
    }

    /// Rows that a step runs, lent or free.
    pub(crate) fn rows(&self) -> usize {
        self.narrow.slots.rows() + self.wide.slots.rows()
    }

    /// Gives sequences, whose prompts are in `prefixes` but for the last position, rows of
    /// `positions` positions. They are of one kind.
    pub(crate) fn add(
        &mut self,
        llm: &LanguageModel,
        sequences: Vec<Sequence>,
        prefixes: &[&KvCache],
        positions: usize,
    ) -> Result<()> {
        let Some(first) = sequences.first() else {
            return Ok(());
        };
        let (batch, other) = match self.wide_steps.holds(first.work) && llm.has_wide_form() {
            true => (&mut self.wide, &mut self.narrow),
            false => (&mut self.narrow, &mut self.wide),
        };
        let wanted = sequences.len() * prefixes.len();
        if !batch.slots.has_room(wanted, positions) {
            // Rows that are free in the other cache would be over the limit.
            other.slots.release(llm, &mut other.running)?;
        }
        let running = &mut batch.running;
        batch.slots.make_room(llm, running, wanted, positions)?;
        for mut sequence in sequences {
            let rows = prefixes.iter().map(|prefix| batch.slots.lend(prefix));
            sequence.rows = rows.collect::<Result<_>>()?;
            running.push(sequence);
        }
        Ok(())
    }

    /// Gives up free rows if they are many.
    pub(crate) fn shrink(&mut self, llm: &LanguageModel) -> Result<()> {
        for batch in [&mut self.narrow, &mut self.wide] {
            batch.slots.shrink(llm, &mut batch.running)?;
        }
        Ok(())
    }

    /// Advances every sequence by one token.
    pub(crate) fn step(
        &mut self,
        llm: &mut LanguageModel,
        vocabulary: usize,
        events: &mut Vec<Event>,
    ) -> Result<()> {
        for (wide, batch) in [(false, &mut self.narrow), (true, &mut self.wide)] {
            if batch.running.is_empty() {
                continue;
            }
            let hidden = batch.slots.forward(llm, wide, &batch.running)?;
            batch.step_text(llm, &hidden, vocabulary, events)?;
            batch.step_images(llm, &hidden, events)?;
            batch.keep(|sequence| !sequence.finished);
        }
        Ok(())
    }

    /// Takes a sequence out.
    pub(crate) fn cancel(&mut self, id: SequenceId) {
        for batch in [&mut self.narrow, &mut self.wide] {
            batch.keep(|sequence| sequence.id != id);
        }
    }
}

/// Sequences that advance in the same pass, and their rows.
#[derive(Debug, Default)]
struct Batch {
    running: Vec<Sequence>,
    slots: Slots,
}

impl Batch {
    /// Text rows: head, sample, embed.
    fn step_text(
        &mut self,
        llm: &mut LanguageModel,
        hidden: &HiddenStates,
        vocabulary: usize,
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
        let logits = logits.limited(vocabulary);
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
