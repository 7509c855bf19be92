//! What a manifest must satisfy before anything is computed from its numbers.

use std::path::{Component, Path};

use super::{DrawingConfig, Manifest, TensorSpec};
use crate::contract::GraphKind;
use crate::error::{Error, Result};

/// No model of the family comes near these; a number beyond them is damage.
const MAX_LAYERS: usize = 1024;
const MAX_WIDTH: usize = 262_144;
const MAX_VOCABULARY: usize = 4_000_000;
const MAX_CONTEXT: usize = 4_000_000;
const MAX_IMAGE_SIDE: usize = 8192;
const MAX_STEPS: usize = 100_000;

impl Manifest {
    /// Checks ranges, the sums that belong together, file names and the presence of every graph.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        let fail = |field: &'static str, found: String, expected: String| {
            Err(Error::ManifestField {
                path: path.to_owned(),
                field,
                found,
                expected,
            })
        };
        for (field, value, limit) in self.limits() {
            if value == 0 || value > limit {
                return fail(field, value.to_string(), format!("1 to {limit}"));
            }
        }
        let l = &self.language;
        if !l.num_heads.is_multiple_of(l.num_kv_heads) {
            let expected = format!("a divisor of language.num_heads = {}", l.num_heads);
            return fail(
                "language.num_kv_heads",
                l.num_kv_heads.to_string(),
                expected,
            );
        }
        let v = &self.vision;
        let patches = (v.image_size / v.patch_size).pow(2);
        if !v.image_size.is_multiple_of(v.patch_size) || v.num_tokens != patches {
            let expected = format!("(image_size / patch_size)² = {patches}");
            return fail("vision.num_tokens", v.num_tokens.to_string(), expected);
        }
        if let DrawingConfig::Flow(flow) = &self.drawing {
            let [rows, columns] = flow.grid;
            if !flow.latent_size.is_multiple_of(rows) || rows != columns {
                let expected = format!("divisors of latent_size = {}", flow.latent_size);
                return fail("drawing.flow.grid", format!("{:?}", flow.grid), expected);
            }
        }
        if v.image_std
            .iter()
            .any(|std| !std.is_finite() || *std <= 0.0)
        {
            return fail(
                "vision.image_std",
                format!("{:?}", v.image_std),
                "above 0".to_owned(),
            );
        }
        let g = &self.generation;
        if !g.guidance_scale.is_finite() || !g.temperature.is_finite() || g.temperature < 0.0 {
            return fail("generation", format!("{g:?}"), "finite numbers".to_owned());
        }
        for (field, id) in self.token_ids() {
            if id as usize >= l.vocab_size {
                let expected = format!("below language.vocab_size = {}", l.vocab_size);
                return fail(field, id.to_string(), expected);
            }
        }
        self.check_files(path)
    }

    fn check_files(&self, path: &Path) -> Result<()> {
        for name in self.files.keys() {
            let plain = Path::new(name)
                .components()
                .all(|c| matches!(c, Component::Normal(_)));
            if name.is_empty() || name.contains(['\\', '\0']) || !plain {
                return Err(Error::FileOutside {
                    path: path.to_owned(),
                    file: name.clone(),
                });
            }
        }
        for kind in GraphKind::ALL {
            if kind.is_required(&self.drawing) && !self.graphs.contains_key(&kind) {
                let path = path.to_owned();
                return Err(Error::MissingGraph { path, graph: kind });
            }
        }
        self.check_buckets(path)?;
        for (&kind, entry) in &self.graphs {
            for file in std::iter::once(&entry.file).chain(&entry.data) {
                if !self.files.contains_key(file) {
                    return Err(Error::FileNotListed {
                        path: path.to_owned(),
                        graph: kind,
                        file: file.clone(),
                    });
                }
            }
            check_names(kind, &entry.inputs, path)?;
            check_names(kind, &entry.outputs, path)?;
        }
        Ok(())
    }

    fn limits(&self) -> Vec<(&'static str, usize, usize)> {
        let (l, v) = (&self.language, &self.vision);
        let mut limits = vec![
            ("language.hidden_size", l.hidden_size, MAX_WIDTH),
            ("language.intermediate_size", l.intermediate_size, MAX_WIDTH),
            ("language.num_layers", l.num_layers, MAX_LAYERS),
            ("language.num_heads", l.num_heads, MAX_WIDTH),
            ("language.num_kv_heads", l.num_kv_heads, MAX_WIDTH),
            ("language.head_dim", l.head_dim, MAX_WIDTH),
            ("language.vocab_size", l.vocab_size, MAX_VOCABULARY),
            ("language.context_length", l.context_length, MAX_CONTEXT),
            ("vision.image_size", v.image_size, MAX_IMAGE_SIDE),
            ("vision.patch_size", v.patch_size, MAX_IMAGE_SIDE),
        ];
        match &self.drawing {
            DrawingConfig::Tokens(q) => limits.extend([
                (
                    "drawing.tokens.codebook_size",
                    q.codebook_size,
                    MAX_VOCABULARY,
                ),
                ("drawing.tokens.image_size", q.image_size, MAX_IMAGE_SIDE),
                ("drawing.tokens.grid[0]", q.grid[0], MAX_IMAGE_SIDE),
                ("drawing.tokens.grid[1]", q.grid[1], MAX_IMAGE_SIDE),
            ]),
            DrawingConfig::Flow(f) => limits.extend([
                ("drawing.flow.latent_channels", f.latent_channels, MAX_WIDTH),
                ("drawing.flow.latent_size", f.latent_size, MAX_IMAGE_SIDE),
                ("drawing.flow.image_size", f.image_size, MAX_IMAGE_SIDE),
                ("drawing.flow.grid[0]", f.grid[0], MAX_IMAGE_SIDE),
                ("drawing.flow.grid[1]", f.grid[1], MAX_IMAGE_SIDE),
                ("drawing.flow.steps", f.steps, MAX_STEPS),
            ]),
        }
        limits
    }

    fn token_ids(&self) -> [(&'static str, u32); 6] {
        let t = &self.tokens;
        [
            ("tokens.bos", t.bos),
            ("tokens.eos", t.eos),
            ("tokens.pad", t.pad),
            ("tokens.begin_of_image", t.begin_of_image),
            ("tokens.end_of_image", t.end_of_image),
            ("tokens.image_placeholder", t.image_placeholder),
        ]
    }
}

fn check_names(graph: GraphKind, tensors: &[TensorSpec], path: &Path) -> Result<()> {
    for (i, tensor) in tensors.iter().enumerate() {
        if tensors[..i].iter().any(|other| other.name == tensor.name) {
            return Err(Error::DuplicateTensor {
                path: path.to_owned(),
                graph,
                tensor: tensor.name.clone(),
            });
        }
    }
    Ok(())
}
