//! Memory for caches whose steps a provider captures and replays.
//!
//! ```text
//! new_cache ──► free memory of this size? ── yes ──► its captured graph is replayed from the first step on
//!                        │ no                                                   │
//!                        ▼                                                      ▼
//!               fresh memory, captured at the first step, if there is room   dropped: free again
//! ```
//!
//! What is replayed works on the very addresses that it was captured with, and ONNX Runtime keeps it for as
//! long as the session lives. So memory that a graph was captured with is never given back: the next cache
//! of its size gets it, with the graph. Graphs are bounded thereby; a cache beyond the bound runs without.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use janus_runtime::{Binding, GraphKind, Residents};

/// Captured graphs at most.
const GRAPHS: u16 = 16;
/// Positions of all rows that are kept for them at most: 3 GB of the 1B's keys and values in 16 bits.
const POSITIONS: usize = 16 * 1024;
/// The capacity of a cache is a multiple of this, so that there are few sizes.
const STEP: usize = 256;

/// Memory that graphs were captured with, of one model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captures(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    free: Vec<Captured>,
    graphs: u16,
    positions: usize,
}

/// Keys and values that a graph was captured with.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) rows: usize,
    pub(crate) capacity: usize,
    pub(crate) graph: u16,
    pub(crate) residents: Residents,
    pub(crate) bindings: Vec<(GraphKind, Option<u16>, Binding)>,
}

impl Captures {
    /// The capacity of a cache with room for so many positions of a context.
    pub(crate) fn capacity(positions: usize, context: usize) -> usize {
        match positions <= context {
            true => positions.next_multiple_of(STEP).min(context),
            false => positions,
        }
    }

    /// Memory of this size that is free.
    pub(crate) fn take(&self, rows: usize, capacity: usize) -> Option<Captured> {
        let free = &mut self.lock().free;
        let fits = |it: &Captured| (it.rows, it.capacity) == (rows, capacity);
        free.iter()
            .position(fits)
            .map(|place| free.swap_remove(place))
    }

    /// The number of a new graph over so many positions, if there is room for one.
    pub(crate) fn number(&self, positions: usize) -> Option<u16> {
        let mut known = self.lock();
        if known.graphs == GRAPHS || known.positions + positions > POSITIONS {
            tracing::info!("steps over {positions} positions are not captured: no room for more");
            return None;
        }
        known.graphs += 1;
        known.positions += positions;
        Some(known.graphs)
    }

    /// Takes memory back.
    pub(crate) fn give_back(&self, captured: Captured) {
        self.lock().free.push(captured);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory as a cache leaves it, with nothing in it.
    fn captured(graph: u16, rows: usize, capacity: usize) -> Captured {
        Captured {
            rows,
            capacity,
            graph,
            residents: Residents::default(),
            bindings: Vec::new(),
        }
    }

    #[test]
    fn memory_goes_to_the_next_cache_of_its_size() {
        let captures = Captures::default();
        let first = captures.number(256).unwrap();
        let second = captures.number(512).unwrap();
        assert_ne!(first, second);
        assert!(captures.take(1, 256).is_none());
        captures.give_back(captured(first, 1, 256));
        captures.give_back(captured(second, 2, 256));
        assert!(captures.take(1, 512).is_none());
        let graph = |rows| captures.take(rows, 256).map(|found| found.graph);
        assert_eq!(
            [graph(2), graph(1), graph(1)],
            [Some(second), Some(first), None]
        );
    }

    #[test]
    fn graphs_and_the_memory_they_keep_are_bounded() {
        let captures = Captures::default();
        let numbers: Vec<_> = (0..20).filter_map(|_| captures.number(256)).collect();
        assert_eq!(numbers, (1..=GRAPHS).collect::<Vec<_>>());
        let captures = Captures::default();
        assert!(captures.number(POSITIONS + 1).is_none());
        assert!(captures.number(POSITIONS).is_some());
        assert!(captures.number(1).is_none());
    }

    #[test]
    fn there_are_few_sizes_of_caches_and_none_beyond_the_context() {
        let capacity = |positions| Captures::capacity(positions, 1000);
        assert_eq!([1, 256, 257].map(capacity), [256, 256, 512]);
        assert_eq!([769, 1000, 1001].map(capacity), [1000, 1000, 1001]);
        assert_eq!(capacity(0), 0);
    }
}
