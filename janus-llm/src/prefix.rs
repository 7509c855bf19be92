//! What prompts begin with, remembered: an unconditional prompt, a system prompt, a picture that
//! is asked about again.

use std::collections::VecDeque;

use ndarray::Axis;

use crate::embeddings::Embeddings;
use crate::kv_cache::KvCache;

/// Positions that are remembered at most, over all prompts: 400 MB of keys and values for the 1B.
const POSITIONS: usize = 1024;

/// Recent prompts with their keys and values, the most recent first.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    prompts: VecDeque<(Embeddings, KvCache)>,
}

impl Prefixes {
    /// The remembered prompt that shares the most first positions with `prompt`, and how many.
    pub(crate) fn longest(&mut self, prompt: &Embeddings) -> Option<(&KvCache, usize)> {
        let shared = self.prompts.iter().map(|(known, _)| shared(known, prompt));
        let (place, shared) = shared.enumerate().max_by_key(|(_, shared)| *shared)?;
        if shared == 0 {
            return None;
        }
        let found = self.prompts.remove(place)?;
        self.prompts.push_front(found);
        let (_, cache) = self.prompts.front()?;
        Some((cache, shared))
    }

    /// Whether a prompt of so many positions is ever remembered.
    pub(crate) fn has_room_for(positions: usize) -> bool {
        (1..=POSITIONS).contains(&positions)
    }

    /// Remembers a prompt of one row with its keys and values. What it continues is forgotten, and
    /// then the oldest, until there is room.
    pub(crate) fn remember(&mut self, prompt: Embeddings, cache: KvCache) {
        let positions = prompt.positions();
        self.prompts
            .retain(|(known, _)| shared(known, &prompt) < known.positions());
        let mut total: usize = self
            .prompts
            .iter()
            .map(|(known, _)| known.positions())
            .sum();
        while total + positions > POSITIONS
            && let Some((oldest, _)) = self.prompts.pop_back()
        {
            total -= oldest.positions();
        }
        self.prompts.push_front((prompt, cache));
    }
}

/// Equal first positions of two prompts of one row.
fn shared(a: &Embeddings, b: &Embeddings) -> usize {
    let (a, b) = (a.view(), b.view());
    let (a, b) = (a.index_axis_move(Axis(0), 0), b.index_axis_move(Axis(0), 0));
    let equal = a
        .outer_iter()
        .zip(b.outer_iter())
        .take_while(|(a, b)| a == b);
    equal.count()
}
