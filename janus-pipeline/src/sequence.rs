//! What the scheduler is asked for, what it works on, and what it tells.

use janus_llm::{Embeddings, KvCache, Sampler, Sampling};
use janus_runtime::{ImageToken, TokenId};

use crate::error::Result;
use crate::window::Windowed;

/// One answer or one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Answers to one prompt.
    Text {
        /// The prompt, `[1, positions, hidden]`.
        prompt: Embeddings,
        /// How tokens are chosen; answer *i* has stream *i*.
        sampling: Sampling,
        /// How many answers.
        answers: usize,
        /// Tokens of an answer at most.
        max_new_tokens: usize,
        /// The token that ends an answer.
        eos: TokenId,
    },
    /// Pictures of one prompt.
    Images {
        /// The prompt, `[1, positions, hidden]`.
        prompt: Embeddings,
        /// Its unconditional twin and the weight of guidance; none draws the prompt alone.
        guidance: Option<(Embeddings, f32)>,
        /// How tokens are chosen; picture *i* has stream *i*.
        sampling: Sampling,
        /// How many pictures.
        images: usize,
        /// Tokens of a picture.
        tokens: usize,
        /// Tokens that one pass tries to draw: 1 advances with everybody else, more give the same
        /// tokens in fewer passes that cost more each.
        window: usize,
    },
}

impl Request {
    /// As many answers; pictures stay as many as they are.
    pub fn answers(mut self, count: usize) -> Self {
        if let Self::Text { answers, .. } = &mut self {
            *answers = count;
        }
        self
    }

    /// Sequences that the request becomes.
    pub(crate) fn sequences(&self) -> usize {
        match self {
            Self::Text { answers, .. } => *answers,
            Self::Images { images, .. } => *images,
        }
    }

    /// Rows of all sequences.
    pub(crate) fn rows(&self) -> usize {
        self.sequences() * self.prompts().len()
    }

    /// Positions of the prompt.
    pub fn prompt_positions(&self) -> usize {
        self.prompts()[0].positions()
    }

    /// Positions of the prompt and of what follows it. The last token is never run.
    pub(crate) fn positions(&self) -> usize {
        let new = match self {
            Self::Text { max_new_tokens, .. } => *max_new_tokens,
            Self::Images { tokens, .. } => *tokens,
        };
        self.prompt_positions() + new.saturating_sub(1)
    }

    /// The prompts to be run: one for each row of a sequence.
    pub(crate) fn prompts(&self) -> Vec<&Embeddings> {
        match self {
            Self::Text { prompt, .. }
            | Self::Images {
                prompt,
                guidance: None,
                ..
            } => vec![prompt],
            Self::Images {
                prompt,
                guidance: Some((unconditional, _)),
                ..
            } => {
                vec![prompt, unconditional]
            }
        }
    }

    /// The pictures of a request that asks for several tokens a pass, after the prompt has been
    /// run up to its last position into caches.
    pub(crate) fn start_windowed(
        &self,
        first: SequenceId,
        caches: impl Fn() -> Result<Vec<KvCache>>,
    ) -> Result<Option<Vec<Windowed>>> {
        let Self::Images {
            guidance,
            sampling,
            images,
            tokens,
            window: window @ 2..,
            ..
        } = self
        else {
            return Ok(None);
        };
        let end = self.prompt_positions() - 1..self.prompt_positions();
        let last: Vec<_> = self
            .prompts()
            .iter()
            .map(|prompt| prompt.slice(end.clone()))
            .collect();
        let pictures = (0..*images as u64).map(|stream| {
            Ok(Windowed {
                id: SequenceId(first.0 + stream),
                sampler: Sampler::new(*sampling, stream)?,
                guidance_scale: guidance.as_ref().map(|(_, scale)| *scale),
                caches: caches()?,
                last: last.clone(),
                drafts: Vec::new(),
                window: *window,
                remaining: *tokens,
            })
        });
        pictures.collect::<Result<_>>().map(Some)
    }

    /// The sequences as they are after the prompt has been run up to its last position.
    pub(crate) fn start(&self, first: SequenceId) -> Result<Vec<Sequence>> {
        let last = self.prompt_positions() - 1;
        let ends: Vec<_> = self
            .prompts()
            .iter()
            .map(|prompt| prompt.slice(last..last + 1))
            .collect();
        let (sampling, remaining, work) = match self {
            Self::Text {
                sampling,
                max_new_tokens,
                eos,
                ..
            } => (*sampling, *max_new_tokens, Work::Text(Text { eos: *eos })),
            Self::Images {
                sampling,
                tokens,
                guidance,
                ..
            } => {
                let guidance_scale = guidance.as_ref().map(|(_, scale)| *scale);
                (*sampling, *tokens, Work::Image(Image { guidance_scale }))
            }
        };
        (0..self.sequences() as u64)
            .map(|stream| {
                Ok(Sequence {
                    id: SequenceId(first.0 + stream),
                    sampler: Sampler::new(sampling, stream)?,
                    rows: Vec::new(),
                    embeds: Embeddings::stack(&ends),
                    remaining,
                    positions: self.positions(),
                    finished: false,
                    work,
                })
            })
            .collect()
    }
}

/// A sequence that has rows in the batch.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: SequenceId,
    pub(crate) sampler: Sampler,
    /// Its rows in the batch; a guided picture has two.
    pub(crate) rows: Vec<usize>,
    /// The position that the next step runs, `[rows, 1, hidden]`.
    pub(crate) embeds: Embeddings,
    /// Tokens still to come.
    pub(crate) remaining: usize,
    /// Positions when it is complete.
    pub(crate) positions: usize,
    pub(crate) finished: bool,
    pub(crate) work: Work,
}

/// Which of the two faces a sequence shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Text(Text),
    Image(Image),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    pub(crate) eos: TokenId,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    pub(crate) guidance_scale: Option<f32>,
}

impl Sequence {
    pub(crate) fn finish(&mut self, reason: FinishReason) -> Event {
        self.finished = true;
        Event::Finished {
            id: self.id,
            reason,
        }
    }
}

/// What a step brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A token of an answer.
    Text {
        /// Which answer.
        id: SequenceId,
        /// The token.
        token: TokenId,
    },
    /// A token of a picture.
    Image {
        /// Which picture.
        id: SequenceId,
        /// The token.
        token: ImageToken,
    },
    /// A sequence is complete.
    Finished {
        /// Which.
        id: SequenceId,
        /// Why.
        reason: FinishReason,
    },
}

/// Why a sequence is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it.
    Stop,
    /// It has all the tokens that it may have.
    Length,
}
