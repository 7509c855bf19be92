//! The sizes of the family, as data.

use crate::checkpoint::Container;

/// The sizes of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelShape {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The container that DeepSeek released it in.
    pub released_in: Container,
    /// The language model.
    pub language: LanguageShape,
    /// The understanding encoder.
    pub vision: VisionShape,
    /// What it draws with.
    pub drawing: DrawingShape,
    /// Where the special tokens are in the vocabulary.
    pub tokens: TokenIds,
}

/// The sizes of a Llama with as many key heads as query heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanguageShape {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width inside the gated MLP.
    pub intermediate: usize,
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Positions that the configuration states.
    pub context: usize,
}

/// The sizes of a SigLIP tower with an attention pooling head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisionShape {
    /// What the configuration calls it.
    pub model_name: &'static str,
    /// Width of the residual stream; the MLPs are four times as wide.
    pub width: usize,
    /// Blocks.
    pub blocks: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of a picture in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
}

/// The sizes of what draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawingShape {
    /// An image tokenizer.
    Tokens(VqShape),
    /// A rectified flow, and the VAE that it draws into.
    Flow(FlowShape),
}

/// The sizes of a LlamaGen image tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VqShape {
    /// What the configuration calls it.
    pub class: &'static str,
    /// Channels at full resolution.
    pub channels: usize,
    /// Channels of each level, from full resolution down, in multiples of the above.
    pub multipliers: &'static [usize],
    /// Channels between encoder and codebook.
    pub latent: usize,
    /// Width of a codebook entry.
    pub embedding: usize,
    /// Codebook entries.
    pub codebook: usize,
    /// Entries of a statistic that training left behind.
    pub codebook_used: usize,
}

/// The sizes of JanusFlow's generation encoder and decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowShape {
    /// Side of the square of a latent that becomes one position.
    pub patch: usize,
    /// Channels between encoder and decoder.
    pub width: usize,
    /// ConvNeXt blocks of each.
    pub blocks: usize,
    /// The VAE.
    pub vae: VaeShape,
}

/// The sizes of a VAE of the SDXL layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VaeShape {
    /// Channels of each level, from full resolution down.
    pub channels: &'static [usize],
    /// Channels of a latent.
    pub latent: usize,
    /// Side of a picture in pixels that the configuration states.
    pub sample_size: usize,
}

/// Where the special tokens are in the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenIds {
    /// `<｜begin▁of▁sentence｜>`
    pub bos: u32,
    /// `<｜end▁of▁sentence｜>`
    pub eos: u32,
    /// `<｜▁pad▁｜>`
    pub pad: u32,
    /// `<begin_of_image>`
    pub begin_of_image: u32,
    /// `<image_placeholder>`
    pub image_placeholder: u32,
    /// `<end_of_image>`
    pub end_of_image: u32,
    /// `<|User|>`
    pub user: u32,
    /// `<|Assistant|>`
    pub assistant: u32,
}

impl ModelShape {
    /// All of them.
    pub const ALL: [&'static Self; 6] = [
        &Self::JANUS_1_3B,
        &Self::JANUS_PRO_1B,
        &Self::JANUS_PRO_7B,
        &Self::JANUS_FLOW_1_3B,
        &Self::TINY,
        &Self::TINY_FLOW,
    ];

    /// Janus-1.3B.
    pub const JANUS_1_3B: Self = Self {
        name: "janus-1.3b",
        released_in: Container::Safetensors,
        language: LLAMA_1B,
        vision: SIGLIP_LARGE,
        drawing: DrawingShape::Tokens(VQ_16),
        tokens: RELEASED_TOKENS,
    };

    /// Janus-Pro-1B: the same sizes in the other container.
    pub const JANUS_PRO_1B: Self = Self {
        name: "janus-pro-1b",
        released_in: Container::PyTorch,
        ..Self::JANUS_1_3B
    };

    /// Janus-Pro-7B.
    pub const JANUS_PRO_7B: Self = Self {
        name: "janus-pro-7b",
        language: LanguageShape {
            hidden: 4096,
            layers: 30,
            heads: 32,
            intermediate: 11008,
            ..LLAMA_1B
        },
        ..Self::JANUS_PRO_1B
    };

    /// JanusFlow-1.3B, with the SDXL VAE.
    pub const JANUS_FLOW_1_3B: Self = Self {
        name: "janusflow-1.3b",
        drawing: DrawingShape::Flow(FlowShape {
            patch: 2,
            width: 768,
            blocks: 2,
            vae: VaeShape {
                channels: &[128, 256, 512, 512],
                latent: 4,
                sample_size: 1024,
            },
        }),
        ..Self::JANUS_1_3B
    };

    /// A JanusFlow of a few megabytes.
    pub const TINY_FLOW: Self = Self {
        name: "tiny-flow",
        drawing: DrawingShape::Flow(FlowShape {
            patch: 2,
            width: 32,
            blocks: 2,
            vae: VaeShape {
                channels: &[32, 32, 64, 64],
                latent: 4,
                sample_size: 64,
            },
        }),
        ..Self::TINY
    };

    /// A model of a few megabytes with every kind of tensor that the others have.
    pub const TINY: Self = Self {
        name: "tiny",
        released_in: Container::Safetensors,
        language: LanguageShape {
            hidden: 96,
            layers: 2,
            heads: 4,
            intermediate: 160,
            vocabulary: 640,
            context: 512,
        },
        vision: VisionShape {
            model_name: "siglip_tiny",
            width: 128,
            blocks: 2,
            heads: 2,
            image_size: 64,
            patch: 16,
        },
        drawing: DrawingShape::Tokens(VqShape {
            class: "VQ-tiny",
            channels: 32,
            multipliers: &[1, 1, 2, 2, 2],
            latent: 32,
            embedding: 8,
            codebook: 128,
            codebook_used: 65536,
        }),
        tokens: TokenIds {
            bos: 600,
            eos: 601,
            pad: 615,
            begin_of_image: 616,
            user: 617,
            assistant: 618,
            image_placeholder: 621,
            end_of_image: 633,
        },
    };

    /// The shape called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|shape| shape.name == name)
    }
}

impl VisionShape {
    /// Patches of a picture.
    pub fn patches(&self) -> usize {
        (self.image_size / self.patch).pow(2)
    }
}

impl VqShape {
    /// Channels of a level; 0 is full resolution.
    pub(super) fn level(&self, level: usize) -> usize {
        self.channels * self.multipliers[level]
    }

    /// The level of lowest resolution.
    pub(super) fn last(&self) -> usize {
        self.multipliers.len() - 1
    }
}

const LLAMA_1B: LanguageShape = LanguageShape {
    hidden: 2048,
    layers: 24,
    heads: 16,
    intermediate: 5632,
    vocabulary: 102_400,
    context: 16_384,
};

const SIGLIP_LARGE: VisionShape = VisionShape {
    model_name: "siglip_large_patch16_384",
    width: 1024,
    blocks: 24,
    heads: 16,
    image_size: 384,
    patch: 16,
};

const VQ_16: VqShape = VqShape {
    class: "VQ-16",
    channels: 128,
    multipliers: &[1, 1, 2, 2, 4],
    latent: 256,
    embedding: 8,
    codebook: 16_384,
    codebook_used: 65_536,
};

/// The ids of the released tokenizers as far as they are known. The two roles are known as strings only; they are put
/// where nothing else is.
const RELEASED_TOKENS: TokenIds = TokenIds {
    bos: 100_000,
    eos: 100_001,
    pad: 100_015,
    begin_of_image: 100_016,
    user: 100_577,
    assistant: 100_578,
    image_placeholder: 100_581,
    end_of_image: 100_593,
};
