//! The networks of Janus, one per file, each to be read from its input to its output.
//!
//! | graph | file | released prefix |
//! |---|---|---|
//! | `vision_encoder` | `siglip`, `aligner` | `vision_model.vision_tower`, `aligner` |
//! | `embed_tokens` | `llama` | `language_model.model.embed_tokens` |
//! | `language_model`, `prefill`, their buckets | `llama`, `fixed_attention` | `language_model.model.layers`, `.norm` |
//! | `lm_head` | `heads` | `language_model.lm_head` |
//! | `gen_head` | `heads` | `gen_head` |
//! | `gen_embed` | `aligner` | `gen_embed`, `gen_aligner` |
//! | `vq_decoder` | `vq_decoder`, `vq_blocks` | `gen_vision_model.{quantize,post_quant_conv,decoder}` |
//! | `vq_encoder` | `vq_encoder`, `vq_blocks` | `gen_vision_model.{encoder,quant_conv,quantize}` |
//!
//! JanusFlow has no image tokens, and other names for its vision encoder:
//!
//! | graph | file | released prefix |
//! |---|---|---|
//! | `vision_encoder` | `siglip` | `vision_und_enc_model.vision_tower`, `vision_und_enc_aligner` |
//! | `flow_encoder` | `flow_encoder`, `convnext` | `vision_gen_enc_model`, `vision_gen_enc_aligner` |
//! | `flow_decoder` | `flow_decoder`, `convnext` | `vision_gen_dec_aligner`, `vision_gen_dec_model` |
//! | `vae_decoder` | `vae_decoder` | `vae`, a checkpoint of its own |
//!
//! Where the layout of the `transformers` library has another name, it stands beside the released
//! one: `m.at(["norm1", "layer_norm1"])`.

pub(crate) mod aligner;
mod convnext;
mod fixed_attention;
pub(crate) mod flow_decoder;
pub(crate) mod flow_encoder;
pub(crate) mod heads;
pub(crate) mod llama;
pub(crate) mod siglip;
mod vae_decoder;
pub(crate) mod vq_blocks;
pub(crate) mod vq_decoder;
pub(crate) mod vq_encoder;

use janus_runtime::GraphKind;
use janus_runtime::manifest::{Activations, DrawingConfig, Operators, VqConfig};

use crate::checkpoint::Ignored;
use crate::config::{DrawingSizes, FlowSizes, Sizes};
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
pub(crate) const IGNORED: [Ignored; 3] = [
    Ignored {
        pattern: "vision_model.vision_tower.attn_pool.*",
        reason: POOLING_HEAD,
    },
    Ignored {
        pattern: "vision_und_enc_model.vision_tower.attn_pool.*",
        reason: POOLING_HEAD,
    },
    Ignored {
        pattern: "gen_vision_model.quantize.codebook_used",
        reason: "statistics from the training of the codebook",
    },
];
const POOLING_HEAD: &str = "the pooling head of SigLIP; Janus takes all patches";

/// Tensors of a VAE that no computation uses.
pub(crate) const IGNORED_OF_VAE: [Ignored; 2] = [
    Ignored {
        pattern: "encoder.*",
        reason: "pictures are drawn, not read",
    },
    Ignored {
        pattern: "quant_conv.*",
        reason: "the end of the encoder",
    },
];

/// Parts that only models have which draw by image tokens.
const PARTS_OF_TOKENS: [&str; 6] = [
    "aligner",
    "gen_aligner",
    "gen_embed",
    "gen_head",
    "gen_vision_model",
    "vision_model",
];
/// Parts that only models have which draw by rectified flow.
const PARTS_OF_FLOW: [&str; 9] = [
    "beg_of_und_embed",
    "vae",
    "vision_gen_dec_aligner",
    "vision_gen_dec_aligner_norm",
    "vision_gen_dec_model",
    "vision_gen_enc_aligner",
    "vision_gen_enc_model",
    "vision_und_enc_aligner",
    "vision_und_enc_model",
];

/// Positions of a graph of fixed size for prompts.
const PIECE: usize = 64;

/// What graphs are made of, and in which sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'a> {
    /// Which operators.
    pub(crate) operators: Operators,
    /// What they compute in.
    pub(crate) activations: Activations,
    /// Positions of the transformer's caches below the context, where sizes are fixed.
    pub(crate) buckets: &'a [usize],
}

/// Builds every graph of an export. Weights are checked and named, not read.
pub(crate) fn graphs(
    model: &Module<'_>,
    sizes: &Sizes<'_>,
    form: Form<'_>,
) -> Result<Vec<(GraphKind, GraphFile)>> {
    let prefill = model.recipe().prefill();
    let drawing = sizes.drawing.config();
    let mut graphs: Vec<(GraphKind, GraphFile)> = Vec::new();
    for kind in kinds(form.buckets, &drawing) {
        let model = match (kind, &prefill) {
            (GraphKind::Prefill, None) if form.operators == Operators::Fused => continue,
            (GraphKind::Prefill, Some(recipe)) => model.by(recipe),
            (GraphKind::PrefillBucket(_), Some(recipe)) => model.by(recipe),
            _ => model.clone(),
        };
        let g = builder(kind, form);
        match &sizes.drawing {
            DrawingSizes::Tokens(vq) => with_tokens(kind, &g, &model, sizes, vq)?,
            DrawingSizes::Flow(flow) => with_flow(kind, &g, &model, sizes, flow)?,
        }
        let mut file = GraphFile::new(&kind.name(), g);
        if let Some(first) = shares_with(kind, prefill.is_some())
            && let Some((_, first)) = graphs.iter().find(|(other, _)| *other == first)
        {
            file = file.sharing(first);
        }
        graphs.push((kind, file));
    }
    // One recipe serves every member of the family.
    let of_others: &[&str] = match &sizes.drawing {
        DrawingSizes::Tokens(_) => &PARTS_OF_FLOW,
        DrawingSizes::Flow(_) => &PARTS_OF_TOKENS,
    };
    model.recipe().expect_all_used(of_others)?;
    Ok(graphs)
}

/// The graphs of a model that draws so, in the order in which they are written.
fn kinds(buckets: &[usize], drawing: &DrawingConfig) -> Vec<GraphKind> {
    let buckets = buckets.iter().flat_map(|&positions| {
        [
            GraphKind::LanguageModelBucket(positions),
            GraphKind::PrefillBucket(positions),
        ]
    });
    let all = GraphKind::ALL.into_iter().chain(buckets);
    let mut kinds: Vec<_> = all.filter(|kind| kind.belongs_to(drawing)).collect();
    kinds.sort_unstable();
    kinds
}

/// The graph, written before, whose weights `kind` has: all forms of the transformer are of the same,
/// unless those for prompts have a format of their own.
fn shares_with(kind: GraphKind, prefill_of_its_own: bool) -> Option<GraphKind> {
    match kind {
        GraphKind::LanguageModelBucket(_) => Some(GraphKind::LanguageModel),
        GraphKind::Prefill if !prefill_of_its_own => Some(GraphKind::LanguageModel),
        GraphKind::PrefillBucket(_) if !prefill_of_its_own => Some(GraphKind::LanguageModel),
        GraphKind::PrefillBucket(_) => Some(GraphKind::Prefill),
        _ => None,
    }
}

/// An empty graph. One of the standard's operators has a size of its own, but for the table of words,
/// of which a prompt has any number.
fn builder(kind: GraphKind, form: Form<'_>) -> GraphBuilder {
    let one = [(BATCH, 1), (SEQUENCE, 1), (IMAGES, 1)];
    let piece = [(BATCH, 1), (SEQUENCE, PIECE)];
    match (form.operators, kind) {
        (Operators::Fused, _) => GraphBuilder::computing_in(floats_of(kind, form.activations)),
        (Operators::Standard, GraphKind::EmbedTokens) => GraphBuilder::standard(&[]),
        (Operators::Standard, GraphKind::Prefill) => GraphBuilder::standard(&piece),
        (Operators::Standard, GraphKind::PrefillBucket(positions)) => {
            GraphBuilder::standard(&[&piece[..], &[(CAPACITY, positions)]].concat())
        }
        (Operators::Standard, GraphKind::LanguageModelBucket(positions)) => {
            GraphBuilder::standard(&[&one[..], &[(CAPACITY, positions)]].concat())
        }
        (Operators::Standard, _) => GraphBuilder::standard(&one),
    }
}

/// What a graph computes in where the transformer does so in `activations`. Pictures are drawn in 32
/// bits: the sums of the tokenizer's, the VAE's and the flow's norms leave the range of 16. The vision
/// encoder has a convolution, which no provider has in bf16.
fn floats_of(kind: GraphKind, activations: Activations) -> Activations {
    match (kind, activations) {
        (
            GraphKind::VqDecoder
            | GraphKind::VqEncoder
            | GraphKind::FlowEncoder
            | GraphKind::FlowDecoder
            | GraphKind::VaeDecoder,
            _,
        )
        | (GraphKind::VisionEncoder, Activations::Bf16) => Activations::Fp32,
        _ => activations,
    }
}

/// A graph of a model that draws by image tokens.
fn with_tokens(
    kind: GraphKind,
    g: &GraphBuilder,
    model: &Module<'_>,
    sizes: &Sizes<'_>,
    vq: &VqConfig,
) -> Result<()> {
    let (width, codes) = (sizes.language.hidden_size, vq.codebook_size);
    match kind {
        GraphKind::VisionEncoder => siglip::vision_encoder(g, model, &sizes.siglip, width),
        GraphKind::GenHead => heads::gen_head(g, model, &sizes.language, codes),
        GraphKind::GenEmbed => aligner::gen_embed(g, model, codes, width),
        GraphKind::VqDecoder => vq_decoder::vq_decoder(g, model, vq),
        GraphKind::VqEncoder => vq_encoder::vq_encoder(g, model, vq),
        _ => language(kind, g, model, sizes),
    }
}

/// A graph of a model that draws by rectified flow.
fn with_flow(
    kind: GraphKind,
    g: &GraphBuilder,
    model: &Module<'_>,
    sizes: &Sizes<'_>,
    flow: &FlowSizes<'_>,
) -> Result<()> {
    let (width, eps) = (sizes.language.hidden_size, sizes.language.rms_norm_eps);
    match kind {
        GraphKind::VisionEncoder => {
            siglip::vision_encoder_with_begin(g, model, &sizes.siglip, width)
        }
        GraphKind::FlowEncoder => flow_encoder::flow_encoder(g, model, flow, width),
        GraphKind::FlowDecoder => flow_decoder::flow_decoder(g, model, flow, width, eps),
        GraphKind::VaeDecoder => vae_decoder::vae_decoder(g, flow),
        _ => language(kind, g, model, sizes),
    }
}

/// A graph of the language model.
fn language(
    kind: GraphKind,
    g: &GraphBuilder,
    model: &Module<'_>,
    sizes: &Sizes<'_>,
) -> Result<()> {
    let llama = llama::language_model_of(model);
    let c = &sizes.language;
    match kind {
        GraphKind::EmbedTokens => llama::embed_tokens(g, &llama, c),
        GraphKind::LanguageModel
        | GraphKind::LanguageModelBucket(_)
        | GraphKind::Prefill
        | GraphKind::PrefillBucket(_) => llama::language_model(g, &llama, c),
        GraphKind::LmHead => heads::lm_head(g, model, c, sizes.tied_head),
        _ => unreachable!("{kind} is a graph of another model"),
    }
}
