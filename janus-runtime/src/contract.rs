//! The names that the converter writes and the components read: graphs and their tensors.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::manifest::DrawingConfig;

/// A graph of an exported model. The file is `<snake_case name>.onnx`.
///
/// `n` is a number of pictures, `b` of rows, `s` of positions, `H` the width of the language
/// model, `K` the size of the codebook, `V` of the text vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum GraphKind {
    /// `pixel_values [n, 3, h, w]` → `image_embeds [n, tokens, H]`.
    VisionEncoder,
    /// `input_ids [b, s]` → `inputs_embeds [b, s, H]`.
    EmbedTokens,
    /// `inputs_embeds [b, s, H]`, positions, the cache → `hidden_states [b, s, H]`, the cache.
    LanguageModel,
    /// As [`GraphKind::LanguageModel`], with a cache of so many positions, fewer than the context: a
    /// bucket. Only exports of fixed sizes have some.
    LanguageModelBucket(usize),
    /// As [`GraphKind::LanguageModel`], for many positions of a single row: the same network with
    /// its weights in a form that is faster there. Not every export has it.
    Prefill,
    /// As [`GraphKind::Prefill`], with the cache of a bucket.
    PrefillBucket(usize),
    /// `hidden_states [b, H]` → `logits [b, V]`.
    LmHead,
    /// `hidden_states [b, H]` → `logits [b, K]`.
    GenHead,
    /// `image_tokens [b, s]` → `inputs_embeds [b, s, H]`.
    GenEmbed,
    /// `image_tokens [n, tokens]` → `pixels [n, 3, h, w]`, about −1 to 1.
    VqDecoder,
    /// `pixels [n, 3, h, w]`, −1 to 1 → `image_tokens [n, tokens]`.
    VqEncoder,
    /// `latents [n, c, h, w]`, `timesteps [n]`, 0 to 1000 → `inputs_embeds [n, 1 + tokens, H]`, the
    /// first for the time; `time_embeds [n, H]` and `skip [n, w, rows, columns]` for the decoder.
    FlowEncoder,
    /// `hidden_states [n, tokens, H]`, `time_embeds`, `skip` → `velocity [n, c, h, w]`.
    FlowDecoder,
    /// `latents [n, c, h, w]`, as the flow leaves them → `pixels [n, 3, h, w]`, about −1 to 1.
    VaeDecoder,
}

impl GraphKind {
    /// Every graph that an exported model can have, but for the transformer's buckets, in the order in
    /// which they are written.
    pub const ALL: [Self; 12] = [
        Self::VisionEncoder,
        Self::EmbedTokens,
        Self::LanguageModel,
        Self::Prefill,
        Self::LmHead,
        Self::GenHead,
        Self::GenEmbed,
        Self::VqDecoder,
        Self::VqEncoder,
        Self::FlowEncoder,
        Self::FlowDecoder,
        Self::VaeDecoder,
    ];

    /// Whether a model that draws so may have it.
    pub fn belongs_to(self, drawing: &DrawingConfig) -> bool {
        match self {
            Self::GenHead | Self::GenEmbed | Self::VqDecoder | Self::VqEncoder => {
                matches!(drawing, DrawingConfig::Tokens(_))
            }
            Self::FlowEncoder | Self::FlowDecoder | Self::VaeDecoder => {
                matches!(drawing, DrawingConfig::Flow(_))
            }
            _ => true,
        }
    }

    /// Whether every exported model that draws so has it.
    pub fn is_required(self, drawing: &DrawingConfig) -> bool {
        self != Self::Prefill && self.belongs_to(drawing)
    }

    /// Positions of the cache, of a bucket's graph.
    pub fn bucket(self) -> Option<usize> {
        match self {
            Self::LanguageModelBucket(positions) | Self::PrefillBucket(positions) => {
                Some(positions)
            }
            _ => None,
        }
    }

    /// The name used in the manifest, on the command line and as the stem of the file. That of a bucket
    /// ends in its positions: `prefill_256`.
    pub fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::LanguageModelBucket(positions) => {
                return Cow::Owned(format!("{}_{positions}", Self::LanguageModel));
            }
            Self::PrefillBucket(positions) => {
                return Cow::Owned(format!("{}_{positions}", Self::Prefill));
            }
            Self::VisionEncoder => "vision_encoder",
            Self::EmbedTokens => "embed_tokens",
            Self::LanguageModel => "language_model",
            Self::Prefill => "prefill",
            Self::LmHead => "lm_head",
            Self::GenHead => "gen_head",
            Self::GenEmbed => "gen_embed",
            Self::VqDecoder => "vq_decoder",
            Self::VqEncoder => "vq_encoder",
            Self::FlowEncoder => "flow_encoder",
            Self::FlowDecoder => "flow_decoder",
            Self::VaeDecoder => "vae_decoder",
        })
    }

    /// The bucket of a name that ends in its positions.
    fn bucket_called(name: &str) -> Option<Self> {
        let (form, positions) = name.rsplit_once('_')?;
        let positions = positions.parse().ok().filter(|&positions| positions > 0)?;
        match form {
            "language_model" => Some(Self::LanguageModelBucket(positions)),
            "prefill" => Some(Self::PrefillBucket(positions)),
            _ => None,
        }
    }
}

impl fmt::Display for GraphKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl From<GraphKind> for String {
    fn from(kind: GraphKind) -> Self {
        kind.name().into_owned()
    }
}

impl TryFrom<String> for GraphKind {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        name.parse()
    }
}

impl FromStr for GraphKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .chain(Self::bucket_called(name))
            // One spelling: not `prefill_0256`.
            .find(|kind| kind.name() == name)
            .ok_or_else(|| Error::UnknownGraph {
                name: name.to_owned(),
            })
    }
}

/// Tensor names, shared by every graph that has such an input or output.
pub mod tensors {
    /// Preprocessed pictures, `[n, 3, h, w]`.
    pub const PIXEL_VALUES: &str = "pixel_values";
    /// Pictures in the space of the language model, `[n, tokens, H]`.
    pub const IMAGE_EMBEDS: &str = "image_embeds";
    /// Text token ids, `[b, s]`, 64-bit.
    pub const INPUT_IDS: &str = "input_ids";
    /// What the language model reads, `[b, s, H]`.
    pub const INPUTS_EMBEDS: &str = "inputs_embeds";
    /// What the language model writes, after its last norm.
    pub const HIDDEN_STATES: &str = "hidden_states";
    /// Rotary position of every input position, `[b, s]`, 64-bit.
    pub const POSITION_IDS: &str = "position_ids";
    /// Positions in the cache after this step, less one, `[b]`, 32-bit.
    pub const SEQLENS_K: &str = "seqlens_k";
    /// The longest row after this step, a 32-bit scalar.
    pub const TOTAL_SEQUENCE_LENGTH: &str = "total_sequence_length";
    /// Cosines of the angles of every input position, `[1, 1, s, d / 2]`; in graphs of the
    /// standard's operators.
    pub const ROTARY_COS: &str = "rotary_cos";
    /// Their sines.
    pub const ROTARY_SIN: &str = "rotary_sin";
    /// What is added to the scores of attention, `[1, 1, s, capacity + s]`: 0 where a new position
    /// sees one of the cache, or a new one, and a large negative number elsewhere; in graphs of the
    /// standard's operators.
    pub const ATTENTION_MASK: &str = "attention_mask";
    /// Scores over a vocabulary, `[b, vocabulary]`.
    pub const LOGITS: &str = "logits";
    /// Codebook indices, 64-bit.
    pub const IMAGE_TOKENS: &str = "image_tokens";
    /// Pictures of the VQ tokenizer or of the VAE, `[n, 3, h, w]`, −1 to 1.
    pub const PIXELS: &str = "pixels";
    /// Pictures in the space of the flow, `[n, c, h, w]`.
    pub const LATENTS: &str = "latents";
    /// Where on its way from noise to picture each latent is, `[n]`, 0 to 1000.
    pub const TIMESTEPS: &str = "timesteps";
    /// The same as cosines and sines ([`time_waves`](crate::time_waves)), `[n, w]`; in the place of
    /// the timesteps in graphs of the standard's operators.
    pub const TIME_WAVES: &str = "time_waves";
    /// The time, embedded, `[n, H]`.
    pub const TIME_EMBEDS: &str = "time_embeds";
    /// What the flow encoder hands to the flow decoder past the language model.
    pub const SKIP: &str = "skip";
    /// Where each latent moves, `[n, c, h, w]` per unit of time.
    pub const VELOCITY: &str = "velocity";

    /// Keys of a layer before the step, `[b, heads, capacity, head_dim]`.
    pub fn past_key(layer: usize) -> String {
        format!("past_key_values.{layer}.key")
    }

    /// Values of a layer before the step.
    pub fn past_value(layer: usize) -> String {
        format!("past_key_values.{layer}.value")
    }

    /// Keys of a layer after the step.
    pub fn present_key(layer: usize) -> String {
        format!("present.{layer}.key")
    }

    /// Values of a layer after the step.
    pub fn present_value(layer: usize) -> String {
        format!("present.{layer}.value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        let buckets = [
            GraphKind::LanguageModelBucket(256),
            GraphKind::PrefillBucket(1),
        ];
        for kind in GraphKind::ALL.into_iter().chain(buckets) {
            assert_eq!(kind.name().parse::<GraphKind>().unwrap(), kind);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<GraphKind>(&json).unwrap(), kind);
        }
        for name in [
            "decoder",
            "prefill_",
            "prefill_0",
            "prefill_0256",
            "prefill_+9",
            "lm_head_256",
        ] {
            assert!(name.parse::<GraphKind>().is_err(), "{name}");
        }
    }
}
