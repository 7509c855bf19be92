//! What a piece of work moves and computes, by the sizes of the model.

use janus_runtime::manifest::{Activations, DType, GraphEntry, LanguageConfig};
use janus_runtime::{ExecutionProvider, GraphKind, Manifest};
use serde::Serialize;

use crate::plan::Head;

/// What a piece of work makes, moves and computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Tokens that it takes in or makes.
    pub tokens: Option<u64>,
    /// Bytes of weights, keys and values that it reads.
    pub bytes: Option<u64>,
    /// Floating-point operations of matrix products and attention.
    pub operations: Option<u64>,
}

impl Cost {
    /// Work that makes so many tokens.
    pub(crate) fn tokens(count: usize) -> Self {
        Self {
            tokens: Some(count as u64),
            ..Self::default()
        }
    }
}

/// Positions that go through the transformer together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    pub(crate) rows: usize,
    /// Positions of each row before it.
    pub(crate) past: usize,
    /// Positions of each row in it.
    pub(crate) new: usize,
}

/// The costs of a model where it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs<'a> {
    pub(crate) model: &'a Manifest,
    pub(crate) provider: ExecutionProvider,
    /// Whether decode steps go through the transformer's form for many rows.
    pub(crate) wide_steps: bool,
}

impl Costs<'_> {
    /// A pass of the transformer.
    pub(crate) fn decoder(&self, pass: Pass) -> Cost {
        let language = &self.model.language;
        let bytes = self.in_pieces(pass).unwrap_or_else(|| {
            let float = match self.model.converter.activations {
                Activations::Fp32 => size_of::<f32>(),
                Activations::Fp16 | Activations::Bf16 => size_of::<u16>(),
            };
            let rotary = language.context_length * language.head_dim * float;
            let form = match self.wide_steps && pass.new == 1 {
                true => GraphKind::Prefill,
                false => GraphKind::LanguageModel,
            };
            let weights = self.widened(self.file(form).saturating_sub(rotary as u64));
            weights + (cache_elements(language, pass) * float) as u64
        });
        Cost {
            tokens: Some((pass.rows * pass.new) as u64),
            bytes: Some(bytes),
            operations: Some(operations(language, pass)),
        }
    }

    /// Bytes that a pass reads where sizes are fixed: each piece of each row reads the weights, and all
    /// of the smallest cache that holds the row.
    fn in_pieces(&self, pass: Pass) -> Option<u64> {
        let mut sizes = self.model.cache_sizes().into_iter();
        let size = sizes.find(|&size| size >= pass.past + pass.new)?;
        let cache = cache_elements(
            &self.model.language,
            Pass {
                rows: 1,
                past: size,
                new: 0,
            },
        );
        let weights = self.widened(self.file(GraphKind::LanguageModel));
        let prefill = self.model.graphs.get(&GraphKind::Prefill);
        let piece = prefill.and_then(GraphEntry::positions).unwrap_or(1);
        let pieces = (pass.rows * pass.new.div_ceil(piece)) as u64;
        Some(pieces * (weights + (cache * size_of::<f32>()) as u64))
    }

    /// A call of a head on so many rows.
    pub(crate) fn head(&self, head: Head, rows: usize) -> Cost {
        let graph = match head {
            Head::Text => GraphKind::LmHead,
            Head::Image => GraphKind::GenHead,
        };
        Cost {
            tokens: Some(rows as u64),
            bytes: Some(self.widened(self.file(graph))),
            operations: None,
        }
    }

    /// A pass of the transformer and a head after it; `tokens` come of it.
    pub(crate) fn step(&self, pass: Pass, head: Head, tokens: usize) -> Cost {
        let (decoder, head) = (self.decoder(pass), self.head(head, pass.rows));
        Cost {
            tokens: Some(tokens as u64),
            bytes: decoder.bytes.zip(head.bytes).map(|(a, b)| a + b),
            operations: None,
        }
    }

    /// Bytes of a graph's weights in its files.
    fn file(&self, graph: GraphKind) -> u64 {
        let entry = self.model.graphs.get(&graph);
        let name = entry.map(|entry| entry.data.as_ref().unwrap_or(&entry.file));
        let file = name.and_then(|name| self.model.files.get(name));
        file.map_or(0, |file| file.bytes)
    }

    /// Bytes of weights as they are read: the CPU computes in 32 bits, and widens 16-bit weights
    /// once, when a graph is opened.
    fn widened(&self, bytes: u64) -> u64 {
        let dtype = self.model.converter.dtype;
        let halves = matches!(dtype, DType::Fp16 | DType::Bf16);
        match halves && self.provider == ExecutionProvider::Cpu {
            true => 2 * bytes,
            false => bytes,
        }
    }
}

/// Keys and values that a pass reads.
fn cache_elements(language: &LanguageConfig, pass: Pass) -> usize {
    let position = 2 * language.num_layers * language.num_kv_heads * language.head_dim;
    position * (pass.past + pass.new) * pass.rows
}

/// Operations of a pass, two for each multiplication and addition; norms and the like left out.
fn operations(language: &LanguageConfig, pass: Pass) -> u64 {
    let LanguageConfig {
        hidden_size,
        intermediate_size,
        num_layers,
        num_heads,
        num_kv_heads,
        head_dim,
        ..
    } = *language;
    let attention_weights = 2 * hidden_size * head_dim * (num_heads + num_kv_heads);
    let mlp_weights = 3 * hidden_size * intermediate_size;
    let linear = pass.new * (attention_weights + mlp_weights);
    // Position i sees the past, those before it and itself: a product for its scores and one for
    // the values.
    let seen = pass.new * pass.past + pass.new * (pass.new + 1) / 2;
    let attention = 2 * num_heads * head_dim * seen;
    2 * (num_layers * pass.rows) as u64 * (linear + attention) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use janus_runtime::ModelDir;

    /// Sizes of Janus-Pro-1B.
    fn pro_1b() -> LanguageConfig {
        LanguageConfig {
            hidden_size: 2048,
            intermediate_size: 5632,
            num_layers: 24,
            num_heads: 16,
            num_kv_heads: 16,
            head_dim: 128,
            vocab_size: 102_400,
            context_length: 16_384,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-6,
        }
    }

    /// The layers have 1,233,225,728 parameters, of which the norms are 100,352.
    #[test]
    fn a_token_of_the_1b_takes_two_operations_for_each_weight() {
        let one = Pass {
            rows: 1,
            past: 0,
            new: 1,
        };
        let attention = 2 * 24 * 2 * 2048;
        let weights = 1_233_225_728 - 100_352;
        assert_eq!(operations(&pro_1b(), one), 2 * weights + attention);
        let three = Pass { new: 3, ..one };
        assert_eq!(
            operations(&pro_1b(), three),
            3 * 2 * weights + (1 + 2 + 3) * attention
        );
    }

    #[test]
    fn keys_and_values_are_counted_for_every_row() {
        let pass = Pass {
            rows: 2,
            past: 299,
            new: 1,
        };
        let position = 2 * 24 * 2048 * 4;
        assert_eq!(
            (cache_elements(&pro_1b(), pass) * size_of::<f32>()) as u64,
            2 * 300 * position
        );
    }

    #[test]
    fn weights_are_those_of_the_files() {
        let dir = ModelDir::open(janus_tests::demo_model()).unwrap();
        let costs = Costs {
            model: dir.manifest(),
            provider: ExecutionProvider::Cpu,
            wide_steps: false,
        };
        let pass = Pass {
            rows: 1,
            past: 0,
            new: 1,
        };
        let language = &dir.manifest().language;
        let linear = operations(language, pass) / 2;
        let bytes = costs.decoder(pass).bytes.unwrap();
        // 32-bit floats, norms, and what lies between tensors: not little in so small a model.
        let ratio = bytes as f64 / (4 * linear) as f64;
        assert!((1.0..1.1).contains(&ratio), "{ratio}");
        let head = costs.head(Head::Image, 1).bytes.unwrap();
        assert_eq!(costs.step(pass, Head::Image, 1).bytes, Some(bytes + head));
    }

    #[test]
    fn fixed_sizes_read_all_of_the_smallest_cache_for_each_row() {
        let tiny = janus_tests::data("janus-tiny/released");
        let dir = ModelDir::open(janus_tests::standard_model(&tiny, None, "tiny")).unwrap();
        let costs = Costs {
            model: dir.manifest(),
            provider: ExecutionProvider::Cpu,
            wide_steps: false,
        };
        let of = |rows, past, new| costs.decoder(Pass { rows, past, new }).bytes.unwrap();
        assert_eq!(of(1, 0, 1), of(1, 255, 1));
        let language = &dir.manifest().language;
        let position = 2 * language.num_layers * language.num_kv_heads * language.head_dim;
        // The buckets are of 256 and 512 positions.
        assert_eq!(of(1, 256, 1) - of(1, 255, 1), (4 * 256 * position) as u64);
        assert_eq!(of(3, 9, 1), 3 * of(1, 9, 1));
        assert_eq!(of(1, 0, 65), 2 * of(1, 0, 64));
    }
}
