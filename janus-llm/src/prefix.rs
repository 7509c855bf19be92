//! What prompts begin with, remembered: an unconditional prompt, a system prompt, a picture that
//! is asked about again.

use std::collections::VecDeque;
use std::sync::Arc;

use ndarray::Axis;

use crate::embeddings::Embeddings;
use crate::kv_cache::KvCache;

/// Positions that are remembered at most, over all prompts: 400 MB of keys and values for the 1B.
const POSITIONS: usize = 1024;

/// Recent prompts with their keys and values, the most recent first.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    prompts: VecDeque<Known>,
}

/// A prompt that has been run.
#[derive(Debug)]
struct Known {
    prompt: Embeddings,
    cache: Arc<KvCache>,
    /// Whether the transformer's form for many positions ran it. The forms round differently: what
    /// comes of a prompt should not depend on who else asked what before.
    many: bool,
}

impl Prefixes {
    /// The prompt remembered from this form of the transformer that shares the most first positions
    /// with `prompt`, and how many.
    pub(crate) fn longest(
        &mut self,
        prompt: &Embeddings,
        many: bool,
    ) -> Option<(Arc<KvCache>, usize)> {
        let shared = self.prompts.iter().map(|known| match known.many == many {
            true => shared(&known.prompt, prompt),
            false => 0,
        });
        let (place, shared) = shared.enumerate().max_by_key(|(_, shared)| *shared)?;
        if shared == 0 {
            return None;
        }
        let found = self.prompts.remove(place)?;
        let cache = Arc::clone(&found.cache);
        self.prompts.push_front(found);
        Some((cache, shared))
    }

    /// Whether a prompt of so many positions is ever remembered.
    pub(crate) fn has_room_for(positions: usize) -> bool {
        (1..=POSITIONS).contains(&positions)
    }

    /// Remembers a prompt of one row with its keys and values. What it continues is forgotten, and
    /// then the oldest, until there is room.
    pub(crate) fn remember(&mut self, prompt: Embeddings, cache: Arc<KvCache>, many: bool) {
        let positions = prompt.positions();
        self.prompts.retain(|known| {
            known.many != many || shared(&known.prompt, &prompt) < known.prompt.positions()
        });
        let lengths = self.prompts.iter().map(|known| known.prompt.positions());
        let mut total: usize = lengths.sum();
        while total + positions > POSITIONS
            && let Some(oldest) = self.prompts.pop_back()
        {
            total -= oldest.prompt.positions();
        }
        self.prompts.push_front(Known {
            prompt,
            cache,
            many,
        });
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
