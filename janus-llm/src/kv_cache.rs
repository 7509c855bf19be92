//! Keys and values of every position that the transformer has seen.

use std::sync::{Mutex, PoisonError};

use janus_runtime::manifest::{ElementType, LanguageConfig, Manifest};
use janus_runtime::{
    Binding, ExecutionProvider, Graph, GraphKind, Resident, Residents, Span, tensors,
};

use crate::captures::{Captured, Captures};
use crate::error::{Error, Result};

/// Keys and values of every position seen, one row per sequence.
///
/// Each layer has two tensors `[rows, kv_heads, capacity, head_dim]` that a step extends in place.
/// Rows may be of different lengths. Positions beyond a row's length are ignored and overwritten,
/// so a row is cut back by setting its length.
#[derive(Debug)]
pub struct KvCache {
    pub(crate) residents: Residents,
    /// The graphs that have worked on it, and as the captured graph of which number. The lock is never taken:
    /// whoever runs a graph has the cache to itself, and others may read a cache that no graph works on any
    /// more.
    bindings: Mutex<Vec<(GraphKind, Option<u16>, Binding)>>,
    /// The captured graph of its steps.
    graph: Option<u16>,
    /// Where its memory came from, if its steps may be captured.
    captures: Option<Captures>,
    pub(crate) lengths: Vec<usize>,
    capacity: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Drop for KvCache {
    fn drop(&mut self) {
        if let (Some(captures), Some(graph)) = (&self.captures, self.graph) {
            captures.give_back(Captured {
                rows: self.lengths.len(),
                capacity: self.capacity,
                graph,
                residents: std::mem::take(&mut self.residents),
                bindings: std::mem::take(&mut self.bindings)
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner),
            });
        }
    }
}

/// What the elements of a cache are, and where they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Storage {
    pub(crate) dtype: ElementType,
    pub(crate) provider: ExecutionProvider,
}

impl Storage {
    /// What the graphs of a transformer read and write in place.
    pub(crate) fn of(manifest: &Manifest, provider: ExecutionProvider) -> Self {
        let name = tensors::past_key(0);
        let entry = manifest.graphs.get(&GraphKind::LanguageModel);
        let mut inputs = entry.into_iter().flat_map(|entry| &entry.inputs);
        let past = inputs.find(|spec| spec.name == name);
        Self {
            dtype: past.map_or(ElementType::F32, |spec| spec.dtype),
            provider,
        }
    }

    /// 32-bit floats of the host.
    pub(crate) const HOST: Self = Self {
        dtype: ElementType::F32,
        provider: ExecutionProvider::Cpu,
    };
}

impl KvCache {
    /// Allocates an empty cache of `rows` sequences of up to `capacity` positions.
    pub(crate) fn new(
        config: &LanguageConfig,
        storage: Storage,
        rows: usize,
        capacity: usize,
    ) -> Result<Self> {
        let context_length = config.context_length;
        if rows == 0 || capacity == 0 || capacity > context_length {
            return Err(Error::CacheSize {
                rows,
                capacity,
                context_length,
            });
        }
        let shape = vec![rows, config.num_kv_heads, capacity, config.head_dim];
        let residents: Vec<_> = (0..config.num_layers)
            .flat_map(|layer| {
                [
                    (tensors::past_key(layer), tensors::present_key(layer)),
                    (tensors::past_value(layer), tensors::present_value(layer)),
                ]
            })
            .map(|(input, output)| Resident {
                input,
                output,
                shape: shape.clone(),
            })
            .collect();
        let residents = Residents::new(residents, storage.dtype, storage.provider)?;
        Ok(Self::empty(config, residents, rows, capacity))
    }

    /// An empty cache in memory of its size.
    fn empty(config: &LanguageConfig, residents: Residents, rows: usize, capacity: usize) -> Self {
        Self {
            residents,
            bindings: Mutex::default(),
            graph: None,
            captures: None,
            lengths: vec![0; rows],
            capacity,
            kv_heads: config.num_kv_heads,
            head_dim: config.head_dim,
        }
    }

    /// As [`KvCache::new`], with steps that are captured as far as there is room for it.
    pub(crate) fn captured(
        config: &LanguageConfig,
        storage: Storage,
        rows: usize,
        capacity: usize,
        captures: &Captures,
    ) -> Result<Self> {
        let capacity = Captures::capacity(capacity, config.context_length);
        let mut cache = match captures.take(rows, capacity) {
            Some(free) => {
                let mut cache = Self::empty(config, free.residents, rows, capacity);
                cache.bindings = Mutex::new(free.bindings);
                cache.graph = Some(free.graph);
                cache
            }
            None => Self::new(config, storage, rows, capacity)?,
        };
        cache.captures = Some(captures.clone());
        Ok(cache)
    }

    /// The captured graph of its steps; nothing if they are not captured.
    pub(crate) fn step_graph(&mut self) -> Option<u16> {
        let positions = self.rows() * self.capacity;
        let number = || self.captures.as_ref()?.number(positions);
        self.graph = self.graph.or_else(number);
        self.graph
    }

    /// The binding of a graph to this cache, of runs that are captured where a number is given.
    pub(crate) fn bound_to(
        &mut self,
        graph: &Graph,
        captured: Option<u16>,
    ) -> Result<&mut Binding> {
        let which = (graph.kind(), captured);
        let bindings = self.bindings.get_mut();
        let bindings = bindings.unwrap_or_else(PoisonError::into_inner);
        let mut bound = bindings.iter();
        let place = match bound.position(|(kind, number, _)| (*kind, *number) == which) {
            Some(place) => place,
            None => {
                let binding = graph.bind(&mut self.residents, captured)?;
                bindings.push((which.0, which.1, binding));
                bindings.len() - 1
            }
        };
        Ok(&mut bindings[place].2)
    }

    /// Lets go of what graphs have kept here for their next run: none will come.
    pub(crate) fn unbind(&mut self) {
        self.bindings = Mutex::default();
    }

    /// Number of sequences.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// Positions seen, per row.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Positions that a row can have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets the positions of a row from `length` on.
    ///
    /// # Panics
    ///
    /// Where there is no such row.
    pub fn truncate(&mut self, row: usize, length: usize) {
        self.lengths[row] = self.lengths[row].min(length);
    }

    /// Copies a row of another cache of the same model over a row of this one.
    ///
    /// # Errors
    ///
    /// [`Error::CacheFull`] where the row is longer than this cache's capacity.
    ///
    /// # Panics
    ///
    /// Where one of the rows does not exist.
    pub fn copy_row(&mut self, row: usize, from: &Self, from_row: usize) -> Result<()> {
        self.copy_positions(row, from, from_row, from.lengths[from_row])
    }

    /// Copies the first `length` positions of a row of another cache of the same model over a row
    /// of this one.
    ///
    /// # Errors
    ///
    /// [`Error::CacheFull`] where there are more than this cache's capacity.
    ///
    /// # Panics
    ///
    /// Where one of the rows does not exist, or the other one is shorter.
    pub fn copy_positions(
        &mut self,
        row: usize,
        from: &Self,
        from_row: usize,
        length: usize,
    ) -> Result<()> {
        assert!(length <= from.lengths[from_row], "{length} positions");
        if length > self.capacity {
            return Err(Error::CacheFull {
                row,
                needed: length,
                capacity: self.capacity,
            });
        }
        let (kv_heads, head_dim, capacity) = (self.kv_heads, self.head_dim, self.capacity);
        let head = |head| Span {
            from: (from_row * kv_heads + head) * from.capacity * head_dim,
            to: (row * kv_heads + head) * capacity * head_dim,
            length: length * head_dim,
        };
        let spans: Vec<_> = (0..kv_heads).map(head).collect();
        self.residents.copy(&from.residents, &spans)?;
        self.lengths[row] = length;
        Ok(())
    }
}
