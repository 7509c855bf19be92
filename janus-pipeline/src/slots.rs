//! Rows of one cache, lent to sequences.
//!
//! ```text
//! row      0    1    2    3    4
//! cache    ████ ██   ░    ██████ ░      ░ free: run along with nothing in them, then emptied
//! lent to  A    B         C
//! ```
//!
//! A pass of the transformer takes every row of a cache, so a free row costs what a row costs; and a
//! cache of another size is another piece of memory, into which all rows are copied. A sequence that
//! leaves therefore leaves its row free for the next one, and the cache shrinks once nobody waits
//! and a quarter of it is free.

use janus_llm::{Embeddings, HiddenStates, KvCache, LanguageModel};
use ndarray::{Array3, s};

use crate::error::Result;
use crate::sequence::Sequence;

/// The capacity of a cache is a multiple of this, so that a somewhat longer sequence fits as well.
const STEP: usize = 64;
/// The share of free rows from which on the cache shrinks, as 1 / this.
const IDLE: usize = 4;

/// The rows of the sequences that run.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    cache: Option<KvCache>,
    free: Vec<usize>,
}

impl Slots {
    /// Rows that a pass runs, lent or free.
    pub(crate) fn rows(&self) -> usize {
        self.cache.as_ref().map_or(0, KvCache::rows)
    }

    /// Sees to it that `wanted` rows of `positions` positions can be lent.
    pub(crate) fn make_room(
        &mut self,
        llm: &LanguageModel,
        running: &mut [Sequence],
        wanted: usize,
        positions: usize,
    ) -> Result<()> {
        match self.has_room(wanted, positions) {
            true => Ok(()),
            false => self.repack(llm, running, wanted, positions),
        }
    }

    /// Whether `wanted` rows of `positions` positions can be lent.
    pub(crate) fn has_room(&self, wanted: usize, positions: usize) -> bool {
        let capacity = self.cache.as_ref().map_or(0, KvCache::capacity);
        self.free.len() >= wanted && capacity >= positions
    }

    /// Gives up free rows if they are many.
    pub(crate) fn shrink(&mut self, llm: &LanguageModel, running: &mut [Sequence]) -> Result<()> {
        match running.is_empty() || IDLE * self.free.len() >= self.rows() {
            true => self.release(llm, running),
            false => Ok(()),
        }
    }

    /// Gives up free rows.
    pub(crate) fn release(&mut self, llm: &LanguageModel, running: &mut [Sequence]) -> Result<()> {
        if running.is_empty() {
            *self = Self::default();
        } else if !self.free.is_empty() {
            self.repack(llm, running, 0, 1)?;
        }
        Ok(())
    }

    /// Lends a row that begins with the only row of `prefix`.
    ///
    /// # Panics
    ///
    /// Where none was made room for.
    pub(crate) fn lend(&mut self, prefix: &KvCache) -> Result<usize> {
        let row = self.free.pop().expect("a row that was made room for");
        let cache = self.cache.as_mut().expect("a cache with rows");
        cache.copy_row(row, prefix, 0)?;
        Ok(row)
    }

    /// Takes rows back.
    pub(crate) fn take_back(&mut self, rows: &[usize]) {
        for &row in rows {
            if let Some(cache) = &mut self.cache {
                cache.truncate(row, 0);
            }
            self.free.push(row);
        }
        // The first rows are lent first.
        self.free.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// One pass of the transformer, by its form for many rows or the other, over the next position of
    /// every sequence.
    pub(crate) fn forward(
        &mut self,
        llm: &mut LanguageModel,
        wide: bool,
        running: &[Sequence],
    ) -> Result<HiddenStates> {
        let cache = self.cache.as_mut().expect("a cache for those that run");
        let mut embeds = Array3::zeros((cache.rows(), 1, llm.config().hidden_size));
        for sequence in running {
            for (&row, position) in sequence
                .rows
                .iter()
                .zip(sequence.embeds.view().outer_iter())
            {
                embeds.slice_mut(s![row, .., ..]).assign(&position);
            }
        }
        let embeds = Embeddings::new(embeds);
        let hidden = match wide {
            true => llm.forward_wide(&embeds, cache)?,
            false => llm.forward(&embeds, cache)?,
        };
        for &row in &self.free {
            cache.truncate(row, 0);
        }
        Ok(hidden)
    }

    /// Copies the rows that are lent into a cache with `wanted` more.
    fn repack(
        &mut self,
        llm: &LanguageModel,
        running: &mut [Sequence],
        wanted: usize,
        positions: usize,
    ) -> Result<()> {
        let lent: usize = running.iter().map(|sequence| sequence.rows.len()).sum();
        let longest = running.iter().map(|sequence| sequence.positions);
        let capacity = longest.fold(positions, usize::max).next_multiple_of(STEP);
        let capacity = capacity.min(llm.config().context_length);
        let mut packed = llm.new_cache(lent + wanted, capacity)?;
        let mut next = 0..lent;
        if let Some(cache) = &self.cache {
            let rows = running.iter().flat_map(|sequence| &sequence.rows);
            for (&from, to) in rows.zip(0..) {
                packed.copy_row(to, cache, from)?;
            }
        }
        for row in running.iter_mut().flat_map(|sequence| &mut sequence.rows) {
            *row = next.next().expect("as many rows as are lent");
        }
        self.free = (lent..lent + wanted).rev().collect();
        self.cache = Some(packed);
        Ok(())
    }
}
