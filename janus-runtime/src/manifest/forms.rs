//! The forms of the transformer that an export has.

use std::path::Path;

use super::{Dim, GraphEntry, Manifest, Operators};
use crate::contract::{GraphKind, tensors};
use crate::error::{Error, Result};

impl Manifest {
    /// Whether the transformer has a second form that takes several rows: integers with a scale per
    /// row, as exports in 8 and 4 bits have it.
    pub fn has_wide_form(&self) -> bool {
        let entry = self.graphs.get(&GraphKind::Prefill);
        let embeds = entry.and_then(|entry| {
            let mut inputs = entry.inputs.iter();
            inputs.find(|spec| spec.name == tensors::INPUTS_EMBEDS)
        });
        // Exports of before have it for one row; those of fixed sizes run row by row anyway.
        embeds.is_some_and(|spec| matches!(spec.shape.first(), Some(Dim::Named(_))))
    }

    /// Positions of the caches that there are graphs for, ascending, where sizes are fixed: the buckets,
    /// and the whole context. None where a cache may have any size.
    pub fn cache_sizes(&self) -> Vec<usize> {
        if self.converter.operators == Operators::Fused {
            return Vec::new();
        }
        let decoders = self.graphs.keys().filter_map(|kind| match kind {
            GraphKind::LanguageModelBucket(positions) => Some(*positions),
            _ => None,
        });
        decoders.chain([self.language.context_length]).collect()
    }

    /// Checks that buckets are smaller than the context, and that each has both graphs.
    pub(super) fn check_buckets(&self, path: &Path) -> Result<()> {
        let context = self.language.context_length;
        let fixed = self.converter.operators == Operators::Standard;
        for &kind in self.graphs.keys() {
            let other = match kind {
                GraphKind::LanguageModelBucket(positions) => GraphKind::PrefillBucket(positions),
                GraphKind::PrefillBucket(positions) => GraphKind::LanguageModelBucket(positions),
                _ => continue,
            };
            let smaller = kind.bucket().is_some_and(|positions| positions < context);
            if !fixed || !smaller {
                return Err(Error::ManifestField {
                    path: path.to_owned(),
                    field: "graphs",
                    found: kind.to_string(),
                    expected: match fixed {
                        true => format!("buckets below language.context_length = {context}"),
                        false => "no buckets where converter.operators are fused".to_owned(),
                    },
                });
            }
            if !self.graphs.contains_key(&other) {
                let path = path.to_owned();
                return Err(Error::MissingGraph { path, graph: other });
            }
        }
        Ok(())
    }
}

impl GraphEntry {
    /// Positions that a graph of the transformer takes at a time, where that is fixed.
    pub fn positions(&self) -> Option<usize> {
        let mut inputs = self.inputs.iter();
        let embeds = inputs.find(|spec| spec.name == tensors::INPUTS_EMBEDS)?;
        match embeds.shape.get(1) {
            Some(Dim::Fixed(positions)) if *positions > 0 => Some(*positions),
            _ => None,
        }
    }
}
