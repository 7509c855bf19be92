//! Several image tokens in one pass: Jacobi decoding that gives the tokens of plain decoding.
//!
//! ```text
//! known       x₀ x₁ … xₙ₋₁│
//! pass                xₙ₋₁ d₀ d₁ d₂      the last token and drafts of those to come
//!                      │   │  │  │       one pass of the transformer, causal
//!                      y₀  y₁ y₂ y₃      what each position draws, given the drafts before it
//! y₀ is right. y₁ is if d₀ = y₀, y₂ if also d₁ = y₁, and so on; the rest are the next drafts.
//! ```
//!
//! The draw at a position uses that position's own random numbers ([`Sampler::peek`]), so it is a
//! function of the scores: a draft that was right gives exactly the token that plain decoding
//! draws, and the distribution is that of plain decoding whatever the drafts are. (The fixed point
//! of sampling with noise that is held fixed: Wiggers and Hoogeboom, "Predictive sampling with
//! forecasting autoregressive models", 2020.)
//!
//! What it costs: every position of a window is computed. It pays where a pass over several
//! positions costs little more than over one, and drafts are often right.

use janus_llm::{Embeddings, HiddenStates, KvCache, LanguageModel, Logits, Sampler};
use janus_runtime::ImageToken;

use crate::admission::Cost;
use crate::error::Result;
use crate::sequence::{Event, FinishReason, SequenceId};

/// Positions of a pass at most.
pub const MAX_WINDOW: usize = 64;

/// A picture that is drawn several tokens a pass.
#[derive(Debug)]
pub(crate) struct Windowed {
    pub(crate) id: SequenceId,
    pub(crate) sampler: Sampler,
    pub(crate) guidance_scale: Option<f32>,
    /// The prompt, and its unconditional twin under guidance, one row each.
    pub(crate) caches: Vec<KvCache>,
    /// The last position that is known, for each of the caches, `[1, 1, hidden]`.
    pub(crate) last: Vec<Embeddings>,
    /// Guesses of the next tokens.
    pub(crate) drafts: Vec<ImageToken>,
    /// Positions of a pass.
    pub(crate) window: usize,
    /// Tokens still to come.
    pub(crate) remaining: usize,
}

impl Windowed {
    /// What it needs of the caches.
    pub(crate) fn cost(&self) -> Cost {
        let longest = self.caches.iter().map(KvCache::capacity).max();
        Cost {
            rows: self.caches.len(),
            longest: longest.unwrap_or(0),
        }
    }

    /// One pass: gives at least one token, at most as many as the window has positions.
    pub(crate) fn step(&mut self, llm: &mut LanguageModel) -> Result<Vec<Event>> {
        let positions = (self.drafts.len() + 1).min(self.remaining);
        self.drafts.truncate(positions - 1);
        let scores = self.pass(llm)?;

        let drawn: Vec<ImageToken> = (0..positions)
            .map(|i| self.sampler.peek(i as u64, scores.row(i)))
            .collect();
        let right = self.drafts.iter().zip(&drawn).take_while(|(d, y)| d == y);
        let known = right.count() + 1;
        for cache in &mut self.caches {
            // What was computed after a wrong draft is forgotten.
            let length = cache.lengths()[0] - (positions - known);
            cache.truncate(0, length);
        }

        let guess = |i: usize, sampler: &mut Sampler| match drawn.get(i) {
            Some(token) => *token,
            // Nothing is known of a position further on: its neighbour's scores stand for its own.
            None => sampler.peek(i as u64, scores.row(positions - 1)),
        };
        self.drafts = (known..known + self.window - 1)
            .map(|i| guess(i, &mut self.sampler))
            .collect();
        self.sampler.advance(known as u64);
        self.remaining -= known;
        let last = llm.embed_image_tokens(&drawn[known - 1..known])?;
        self.last.fill(last);
        Ok(self.told(&drawn[..known]))
    }

    /// Scores of every position of the window, guided, `[positions, codes]`.
    fn pass(&mut self, llm: &mut LanguageModel) -> Result<Logits<ImageToken>> {
        let drafts = llm.embed_image_tokens(&self.drafts)?.joined();
        let mut hidden = Vec::with_capacity(self.caches.len());
        for (cache, last) in self.caches.iter_mut().zip(&self.last) {
            // A row after the other: several positions of several rows with a past are more than
            // the attention of most ONNX Runtimes takes.
            hidden.push(llm.forward(&last.followed_by(&drafts), cache)?);
        }
        let logits = llm.image_logits(&HiddenStates::every_position(&hidden))?;
        Ok(match self.guidance_scale {
            Some(scale) => logits.guided(scale),
            None => logits,
        })
    }

    fn told(&self, tokens: &[ImageToken]) -> Vec<Event> {
        let id = self.id;
        let mut events: Vec<_> = tokens
            .iter()
            .map(|&token| Event::Image { id, token })
            .collect();
        if self.remaining == 0 {
            let reason = FinishReason::Length;
            events.push(Event::Finished { id, reason });
        }
        events
    }
}
