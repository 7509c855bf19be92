//! A prompt on its way into a cache, piece by piece.

use std::sync::Arc;

use crate::embeddings::Embeddings;
use crate::error::Result;
use crate::kv_cache::KvCache;
use crate::model::LanguageModel;
use crate::prefix::Prefixes;

/// Positions of a piece at most: some seconds of work for a small machine, and enough that the
/// weights, which every piece reads again, do not count.
const PIECE: usize = 256;
/// Prompts with so many positions go through the export's graph for many positions, if it has
/// one. It pays from fewer on, but then has to be opened, and its weights to be kept, beside the
/// decoder's: prompts with pictures are longer, prompts of words alone are not.
pub(crate) const MANY: usize = 256;

/// A prompt on its way into a cache, piece by piece: between two pieces its maker can show how far
/// it is, stop, or let others have a turn.
///
/// ```
/// use janus_llm::LanguageModel;
/// use janus_runtime::{ModelDir, SessionOptions, TokenId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::demo_model();
/// let mut llm = LanguageModel::open(&ModelDir::open(path)?, &SessionOptions::default())?;
/// let prompt = llm.embed_text(&[TokenId(0), TokenId(9), TokenId(12)])?;
/// let mut prefill = llm.prefill(prompt)?;
/// while !prefill.is_complete() {
///     llm.advance(&mut prefill)?;
///     println!("{} of {} positions", prefill.done(), prefill.total());
/// }
/// assert_eq!(prefill.cache().lengths(), [3]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Prefill {
    prompt: Embeddings,
    /// Nobody else's until it is complete; then remembered prompts have it too.
    cache: Arc<KvCache>,
    /// Whether the graph for many positions runs it.
    many: bool,
}

impl Prefill {
    /// Positions that are in the cache.
    pub fn done(&self) -> usize {
        self.cache.lengths()[0]
    }

    /// Positions of the prompt.
    pub fn total(&self) -> usize {
        self.prompt.positions()
    }

    /// Whether the whole prompt is in the cache.
    pub fn is_complete(&self) -> bool {
        self.done() == self.total()
    }

    /// Positions that the next piece has, of `most` at most; 0 when the prompt is complete.
    pub fn next_piece(&self, most: usize) -> usize {
        let left = self.total() - self.done();
        // Pieces of about one length, as a short one costs nearly as much as a full one.
        match left {
            0 => 0,
            left => left.div_ceil(left.div_ceil(most.max(1))),
        }
    }

    /// Keys and values so far, one row.
    pub fn cache(&self) -> &KvCache {
        &self.cache
    }
}

impl LanguageModel {
    /// Begins with a prompt of one row. What it has in common with the beginning of a recent one
    /// is in the cache at once; the cache of a recent one that it equals is its own, without a copy.
    pub fn prefill(&mut self, prompt: Embeddings) -> Result<Prefill> {
        let many = self.transformer.has_prefill() && prompt.positions() >= self.many;
        let known = self.prefixes.longest(&prompt, many);
        let cache = match known {
            Some((known, shared))
                if [shared] == known.lengths() && shared == prompt.positions() =>
            {
                known
            }
            known => {
                let mut cache = self.prompt_cache(prompt.positions().max(1))?;
                if let Some((known, shared)) = known {
                    cache.copy_positions(0, &known, 0, shared)?;
                }
                Arc::new(cache)
            }
        };
        Ok(Prefill {
            prompt,
            cache,
            many,
        })
    }

    /// From how many positions on prompts go through the export's graph for many positions, if
    /// it has one; 256 unless told.
    pub fn set_prefill_threshold(&mut self, positions: usize) {
        self.many = positions;
    }

    /// Runs the next piece, of 256 positions at most; does nothing once the prompt is complete.
    pub fn advance(&mut self, prefill: &mut Prefill) -> Result<()> {
        self.advance_by(prefill, PIECE)
    }

    /// As [`LanguageModel::advance`], by a piece of `most` positions at most.
    pub fn advance_by(&mut self, prefill: &mut Prefill, most: usize) -> Result<()> {
        let piece = prefill.next_piece(most);
        if piece == 0 {
            return Ok(());
        }
        let (done, total) = (prefill.done(), prefill.total());
        let embeds = prefill.prompt.slice(done..done + piece);
        let cache = Arc::get_mut(&mut prefill.cache).expect("a cache that nobody else has yet");
        match prefill.many {
            true => self.forward_wide(&embeds, cache)?,
            false => self.forward(&embeds, cache)?,
        };
        if done + piece < total {
            return Ok(());
        }
        cache.unbind();
        if Prefixes::has_room_for(total) {
            let (prompt, cache) = (prefill.prompt.clone(), Arc::clone(&prefill.cache));
            self.prefixes.remember(prompt, cache, prefill.many);
        }
        Ok(())
    }
}
