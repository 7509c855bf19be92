//! The forms of the transformer that an export has.

use super::{Dim, Manifest};
use crate::contract::{GraphKind, tensors};

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
}
