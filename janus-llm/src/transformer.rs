//! The graphs of the transformer, and which of them a cache needs.

use janus_runtime::{Graph, GraphKind, LazyGraph, ModelDir, SessionOptions};

use crate::error::Result;

/// The graphs of the transformer. Each is opened when it is first needed, and stays open.
#[derive(Debug)]
pub(crate) struct Transformer {
    /// By the positions of the caches that they are for, ascending. The last ones take the whole
    /// context; where sizes are not fixed there are no others, and they take any cache.
    forms: Vec<(usize, Forms)>,
    /// Whether graphs are for one row, so many positions and caches of one size.
    fixed: bool,
}

/// The two graphs of the transformer for caches of a size.
#[derive(Debug)]
pub(crate) struct Forms {
    decoder: LazyGraph,
    /// For many positions; not every export has it.
    prefill: Option<LazyGraph>,
}

impl Transformer {
    pub(crate) fn of(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let context = model.manifest().language.context_length;
        let sizes = model.manifest().cache_sizes();
        let lazy = |kind| model.lazy_graph(kind, options);
        let buckets = sizes.iter().filter(|&&size| size < context);
        let buckets = buckets.map(|&size| {
            let forms = Forms {
                decoder: lazy(GraphKind::LanguageModelBucket(size))?,
                prefill: Some(lazy(GraphKind::PrefillBucket(size))?),
            };
            Ok((size, forms))
        });
        let mut forms: Vec<_> = buckets.collect::<Result<_>>()?;
        let whole = Forms {
            decoder: lazy(GraphKind::LanguageModel)?,
            prefill: lazy(GraphKind::Prefill).ok(),
        };
        forms.push((context, whole));
        Ok(Self {
            forms,
            fixed: !sizes.is_empty(),
        })
    }

    /// Whether graphs are for one row, so many positions and caches of one size.
    pub(crate) fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Whether there are graphs for many positions.
    pub(crate) fn has_prefill(&self) -> bool {
        self.forms.iter().any(|(_, forms)| forms.prefill.is_some())
    }

    /// The capacity of a cache with room for so many positions: that of the smallest bucket that holds
    /// them, where there are any.
    pub(crate) fn capacity(&self, positions: usize) -> usize {
        let mut sizes = self.forms.iter().map(|(size, _)| *size);
        let holding = sizes.find(|&size| self.fixed && positions > 0 && size >= positions);
        holding.unwrap_or(positions)
    }

    /// The graphs for a cache of a capacity.
    pub(crate) fn for_cache(&mut self, capacity: usize) -> &mut Forms {
        let place = self.forms.iter().position(|(size, _)| *size >= capacity);
        let place = place.unwrap_or(self.forms.len() - 1);
        &mut self.forms[place].1
    }
}

impl Forms {
    /// The graph for `many` positions, if there is one, or for few.
    pub(crate) fn get(&mut self, many: bool) -> Result<&mut Graph> {
        Ok(match &mut self.prefill {
            Some(prefill) if many => prefill.get()?,
            _ => self.decoder.get()?,
        })
    }
}
