//! The networks of Janus, one per file, each to be read from its input to its output.
//!
//! | graph | file | released prefix |
//! |---|---|---|
//! | `vision_encoder` | `siglip`, `aligner` | `vision_model.vision_tower`, `aligner` |
//! | `embed_tokens` | `llama` | `language_model.model.embed_tokens` |
//! | `language_model` | `llama` | `language_model.model.layers`, `.norm` |
//! | `lm_head` | `heads` | `language_model.lm_head` |
//! | `gen_head` | `heads` | `gen_head` |
//! | `gen_embed` | `aligner` | `gen_embed`, `gen_aligner` |
//! | `vq_decoder` | `vq_decoder`, `vq_blocks` | `gen_vision_model.{quantize,post_quant_conv,decoder}` |
//! | `vq_encoder` | `vq_encoder`, `vq_blocks` | `gen_vision_model.{encoder,quant_conv,quantize}` |
//!
//! Where the layout of the `transformers` library has another name, it stands beside the released
//! one: `m.at(["norm1", "layer_norm1"])`.

pub(crate) mod aligner;
pub(crate) mod heads;
pub(crate) mod llama;
pub(crate) mod siglip;
pub(crate) mod vq_blocks;
pub(crate) mod vq_decoder;
pub(crate) mod vq_encoder;

use janus_runtime::GraphKind;

use crate::checkpoint::Ignored;
use crate::config::Sizes;
use crate::error::Result;
use crate::module::Module;
use crate::onnx::{GraphBuilder, GraphFile};

/// Number of rows, each with its own text.
const BATCH: &str = "batch";
/// Number of new positions in each row.
const SEQUENCE: &str = "sequence";
/// Number of positions that the cache has room for.
const CAPACITY: &str = "capacity";
/// Number of pictures.
const IMAGES: &str = "images";

/// Tensors of released checkpoints that no computation uses.
pub(crate) const IGNORED: [Ignored; 2] = [
    Ignored {
        pattern: "vision_model.vision_tower.attn_pool.*",
        reason: "the pooling head of SigLIP; Janus takes all patches",
    },
    Ignored {
        pattern: "gen_vision_model.quantize.codebook_used",
        reason: "statistics from the training of the codebook",
    },
];

/// Builds every graph of an export. Weights are checked and named, not read.
pub(crate) fn graphs(model: &Module<'_>, sizes: &Sizes) -> Result<Vec<(GraphKind, GraphFile)>> {
    GraphKind::ALL
        .into_iter()
        .map(|kind| {
            let g = GraphBuilder::default();
            build(kind, &g, model, sizes)?;
            Ok((kind, GraphFile::new(kind.name(), g)))
        })
        .collect()
}

fn build(kind: GraphKind, g: &GraphBuilder, model: &Module<'_>, sizes: &Sizes) -> Result<()> {
    let Sizes {
        language,
        tied_head,
        siglip,
        vq,
    } = sizes;
    let llama = llama::language_model_of(model);
    let (width, codes) = (language.hidden_size, vq.codebook_size);
    match kind {
        GraphKind::VisionEncoder => siglip::vision_encoder(g, model, siglip, width),
        GraphKind::EmbedTokens => llama::embed_tokens(g, &llama, language),
        GraphKind::LanguageModel => llama::language_model(g, &llama, language),
        GraphKind::LmHead => heads::lm_head(g, model, language, *tied_head),
        GraphKind::GenHead => heads::gen_head(g, model, language, codes),
        GraphKind::GenEmbed => aligner::gen_embed(g, model, codes, width),
        GraphKind::VqDecoder => vq_decoder::vq_decoder(g, model, vq),
        GraphKind::VqEncoder => vq_encoder::vq_encoder(g, model, vq),
    }
}
