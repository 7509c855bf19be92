//! The names of a golden file, and what each stands for.

use janus_runtime::GraphKind;
use janus_runtime::manifest::DrawingConfig;

/// Names of the inputs.
pub(crate) mod inputs {
    /// Preprocessed pictures, `[n, 3, s, s]`.
    pub(crate) const PIXEL_VALUES: &str = "pixel_values";
    /// A prompt for text, with a picture's placeholders or without, `[1, positions]`.
    pub(crate) const TEXT_INPUT_IDS: &str = "text_input_ids";
    /// An answer, `[1, ids]`.
    pub(crate) const TEXT_FORCED_IDS: &str = "text_forced_ids";
    /// A prompt for pictures, `[positions]`.
    pub(crate) const IMAGE_PROMPT_IDS: &str = "image_prompt_ids";
    /// Pictures as tokens, `[n, tokens]`.
    pub(crate) const IMAGE_FORCED_TOKENS: &str = "image_forced_tokens";
    /// Pictures of the VQ tokenizer, −1 to 1, `[n, 3, s, s]`.
    pub(crate) const VQ_PIXELS: &str = "vq_pixels";
    /// A prompt for pictures that are drawn by rectified flow, `[positions]`; the time takes the
    /// place of the last.
    pub(crate) const PROMPT_IDS: &str = "prompt_ids";
    /// The noise that these pictures begin with, `[n, c, h, w]`.
    pub(crate) const Z0: &str = "z0";
    /// How many steps of Euler's rule they are drawn in, `[]`.
    pub(crate) const NUM_STEPS: &str = "num_steps";
    /// Weight of their guidance, `[]`.
    pub(crate) const GUIDANCE: &str = "guidance";
    /// A latent to be decoded by itself, `[n, c, h, w]`.
    pub(crate) const VAE_LATENT: &str = "vae_latent";

    pub(crate) const ALL: [&str; 11] = [
        PIXEL_VALUES,
        TEXT_INPUT_IDS,
        TEXT_FORCED_IDS,
        IMAGE_PROMPT_IDS,
        IMAGE_FORCED_TOKENS,
        VQ_PIXELS,
        PROMPT_IDS,
        Z0,
        NUM_STEPS,
        GUIDANCE,
        VAE_LATENT,
    ];
}

/// An output of a golden file, and the formula that gives it.
///
/// `E` is the token embedding, `LM` the decoder after its last norm, `head_t` and `head_i` the two
/// heads, `G` the generation embedding with its aligner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Formula {
    /// Vision encoder and aligner of `pixel_values`, `[n, tokens, hidden]`.
    ImageEmbeds,
    /// `E(text_input_ids)`, the rows of the picture overwritten by `image_embeds[0]`.
    TextInputsEmbeds,
    /// `head_t(LM(text_inputs_embeds))` at every position, in one pass.
    TextLogits,
    /// `head_t` at the last position of that prompt and at each of `text_forced_ids` after it, one
    /// step at a time.
    TextForcedLogits,
    /// `head_i(LM(E(image_prompt_ids), G(image_forced_tokens)))` where each image token is
    /// predicted, one step at a time, `[n, tokens, codebook]`.
    ImageForcedLogitsCond,
    /// The same where the prompt has pads, attended to, from position 1 to the last but one.
    ImageForcedLogitsUncond,
    /// `uncond + 5 (cond − uncond)`.
    ImageForcedLogitsCfg5,
    /// VQ decoder of `image_forced_tokens`, `[n, 3, s, s]`.
    DecodedPixels,
    /// VQ encoder of `vq_pixels`, `[n, tokens]`.
    VqTokens,
    /// What the flow encoder hands past the language model at the second step, rows with the prompt
    /// and those without, `[2 n, width, rows, columns]`.
    EncTokensStep1,
    /// The embedding of that step's time, `[2 n, H]`.
    TEmbStep1,
    /// `w · v_cond − (w − 1) · v_uncond` at every step from `z0` on, `[steps, n, c, h, w]`.
    Velocities,
    /// Where these velocities lead, `[n, c, h, w]`.
    Z1,
    /// VAE decoder of `z1`, `[n, 3, s, s]`.
    VaePixels,
    /// VAE decoder of `vae_latent`, `[n, 3, s, s]`.
    VaeLatentPixels,
}

impl Formula {
    /// Every formula, in the order in which the outputs build on one another.
    pub(crate) const ALL: [Self; 15] = [
        Self::ImageEmbeds,
        Self::TextInputsEmbeds,
        Self::TextLogits,
        Self::TextForcedLogits,
        Self::ImageForcedLogitsCond,
        Self::ImageForcedLogitsUncond,
        Self::ImageForcedLogitsCfg5,
        Self::DecodedPixels,
        Self::VqTokens,
        Self::EncTokensStep1,
        Self::TEmbStep1,
        Self::Velocities,
        Self::Z1,
        Self::VaePixels,
        Self::VaeLatentPixels,
    ];

    /// Name of the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ImageEmbeds => "image_embeds",
            Self::TextInputsEmbeds => "text_inputs_embeds",
            Self::TextLogits => "text_logits",
            Self::TextForcedLogits => "text_forced_logits",
            Self::ImageForcedLogitsCond => "image_forced_logits_cond",
            Self::ImageForcedLogitsUncond => "image_forced_logits_uncond",
            Self::ImageForcedLogitsCfg5 => "image_forced_logits_cfg5",
            Self::DecodedPixels => "decoded_pixels",
            Self::VqTokens => "vq_tokens",
            Self::EncTokensStep1 => "enc_tokens_step1",
            Self::TEmbStep1 => "t_emb_step1",
            Self::Velocities => "velocities",
            Self::Z1 => "z1",
            Self::VaePixels => "vae_pixels",
            Self::VaeLatentPixels => "vae_latent_pixels",
        }
    }

    /// The graphs that it goes through.
    pub(crate) fn graphs(self) -> &'static [GraphKind] {
        use GraphKind::{
            EmbedTokens, FlowDecoder, FlowEncoder, GenEmbed, GenHead, LanguageModel, LmHead,
            VaeDecoder, VisionEncoder, VqDecoder, VqEncoder,
        };
        match self {
            Self::ImageEmbeds => &[VisionEncoder],
            Self::TextInputsEmbeds => &[VisionEncoder, EmbedTokens],
            Self::TextLogits | Self::TextForcedLogits => {
                &[VisionEncoder, EmbedTokens, LanguageModel, LmHead]
            }
            Self::ImageForcedLogitsCond
            | Self::ImageForcedLogitsUncond
            | Self::ImageForcedLogitsCfg5 => &[EmbedTokens, GenEmbed, LanguageModel, GenHead],
            Self::DecodedPixels => &[VqDecoder],
            Self::VqTokens => &[VqEncoder],
            Self::EncTokensStep1 | Self::TEmbStep1 | Self::Velocities | Self::Z1 => {
                &[EmbedTokens, FlowEncoder, LanguageModel, FlowDecoder]
            }
            Self::VaePixels => &[
                EmbedTokens,
                FlowEncoder,
                LanguageModel,
                FlowDecoder,
                VaeDecoder,
            ],
            Self::VaeLatentPixels => &[VaeDecoder],
        }
    }

    /// Whether the transformer is among them.
    pub(crate) fn has_cache(self) -> bool {
        self.graphs().contains(&GraphKind::LanguageModel)
    }

    /// Whether it can be computed by a model that draws so.
    pub(crate) fn belongs_to(self, drawing: &DrawingConfig) -> bool {
        self.graphs().iter().all(|graph| graph.belongs_to(drawing))
    }
}
