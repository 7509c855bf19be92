//! `manifest.json`: what an exported directory contains and what the model's numbers are.
//!
//! The converter writes it last, so its presence marks a complete export. Every size comes from
//! the released files; docs/export-format.md has the fields one by one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::contract::GraphKind;
use crate::error::{Error, Result};

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.json";
/// The version of the format that this build reads and writes.
pub const FORMAT_VERSION: u32 = 2;
/// A manifest is small; a larger file is something else.
const MAX_BYTES: u64 = 16 << 20;

/// What an exported directory contains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Which model of the family this is.
    pub family: Family,
    /// Where the weights came from.
    pub source: Source,
    /// What wrote the graphs, and how.
    pub converter: Converter,
    /// Sizes of the language model.
    pub language: LanguageConfig,
    /// Sizes of the understanding encoder, and the preprocessing before it.
    pub vision: VisionConfig,
    /// How the model draws, and the sizes of what it draws with.
    pub drawing: DrawingConfig,
    /// Ids of the special tokens, looked up by their strings in `tokenizer.json`.
    pub tokens: SpecialTokens,
    /// How a conversation is spelled.
    pub chat: ChatConfig,
    /// Settings that the model is meant to be used with.
    pub generation: GenerationConfig,
    /// The graphs, by name.
    pub graphs: BTreeMap<GraphKind, GraphEntry>,
    /// Every file of the directory but this one.
    pub files: BTreeMap<String, FileEntry>,
}

/// The members of the family that this version runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Janus-1.3B: roles `User` and `Assistant`.
    Janus,
    /// Janus-Pro-1B and 7B: roles `<|User|>` and `<|Assistant|>`.
    JanusPro,
    /// JanusFlow-1.3B: roles `User` and `Assistant`; draws by rectified flow.
    JanusFlow,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Janus => "janus",
            Self::JanusPro => "janus-pro",
            Self::JanusFlow => "janus-flow",
        })
    }
}

/// Where the weights came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Which of the two published layouts the checkpoint had.
    pub layout: Layout,
    /// Weight files of the checkpoint, with their hashes.
    pub files: BTreeMap<String, FileEntry>,
    /// What the converter decided on evidence that a reader should know.
    pub notes: Vec<String>,
}

/// The two published layouts of tensor names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// deepseek-ai's own.
    Released,
    /// The port to the `transformers` library.
    Transformers,
}

/// What wrote the graphs, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Converter {
    /// Version of the converter.
    pub version: String,
    /// Opset of the `ai.onnx` operators.
    pub opset: u32,
    /// Precision of the weights.
    pub dtype: DType,
    /// Which operators the graphs are made of.
    #[serde(default, skip_serializing_if = "Operators::is_fused")]
    pub operators: Operators,
    /// What the transformer, its heads and the vision encoder compute in.
    #[serde(default, skip_serializing_if = "Activations::is_fp32")]
    pub activations: Activations,
}

/// Type of the floats between the inputs and the outputs of graphs, and of the cache of keys and
/// values. Every other input and output is of 32-bit floats whatever this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activations {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats.
    Fp16,
    /// 16-bit floats with the exponent of 32-bit ones.
    Bf16,
}

impl Activations {
    fn is_fp32(&self) -> bool {
        *self == Self::Fp32
    }
}

/// Which operators graphs are made of. An execution provider has one set or the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operators {
    /// Those of the standard and ONNX Runtime's own, which do attention and norms in one; sizes may
    /// differ from run to run, and the cache is extended in place.
    #[default]
    Fused,
    /// Those of the standard alone, and one fixed size: a single picture, a single row, as many
    /// positions as the graph is for. The transformer gives the new keys and values, and whoever runs
    /// it keeps the cache.
    Standard,
}

impl Operators {
    fn is_fused(&self) -> bool {
        *self == Self::Fused
    }
}

/// Precision of the weights, as the command line spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DType {
    /// 32-bit floats.
    Fp32,
    /// 16-bit floats; computed in 32 bits on the CPU.
    Fp16,
    /// 16-bit floats with the exponent of 32-bit ones; computed in 32 bits on the CPU.
    Bf16,
    /// 8-bit integers for the matrices.
    Q8,
    /// 4-bit integers for the transformer, 8-bit ones for the heads and the vision encoder.
    Q4,
    /// As [`DType::Q4`], with 16-bit floats for everything else.
    Q4f16,
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
            Self::Q4f16 => "q4f16",
        })
    }
}

/// Sizes of the language model, a Llama.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageConfig {
    /// Width `H` of the embeddings and hidden states.
    pub hidden_size: usize,
    /// Width inside the gated MLP.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Heads of the queries.
    pub num_heads: usize,
    /// Heads of the keys and values.
    pub num_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Rows `V` of the embedding table and of the text head.
    pub vocab_size: usize,
    /// Positions that the rotary tables cover: no sequence may be longer.
    pub context_length: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Epsilon of the root mean square norms.
    pub rms_norm_eps: f32,
}

/// Sizes of the understanding encoder, and the preprocessing before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Side of the square picture in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Patches of one picture, each of which becomes an embedding.
    pub num_tokens: usize,
    /// Whether a learnt embedding comes before those of the patches, in the place of the
    /// begin-of-image token.
    pub begin_embed: bool,
    /// Mean of each channel after rescaling to 0…1.
    pub image_mean: [f32; 3],
    /// Standard deviation of each channel.
    pub image_std: [f32; 3],
    /// Factor that takes a byte to 0…1.
    pub rescale_factor: f32,
    /// Colour of the padding, bytes.
    pub background: [u8; 3],
    /// Least length of the short side in pixels.
    pub min_size: usize,
}

impl VisionConfig {
    /// Embeddings of one picture.
    pub fn num_embeds(&self) -> usize {
        self.num_tokens + usize::from(self.begin_embed)
    }
}

/// How a model draws.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawingConfig {
    /// The language model writes the tokens of a VQ tokenizer, one after the other.
    Tokens(VqConfig),
    /// The language model is the velocity of a rectified flow from noise to a VAE's latents.
    Flow(FlowConfig),
}

impl DrawingConfig {
    /// Positions of one picture.
    pub fn num_tokens(&self) -> usize {
        match self {
            Self::Tokens(vq) => vq.num_tokens(),
            Self::Flow(flow) => flow.num_tokens(),
        }
    }
}

impl fmt::Display for DrawingConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens(_) => "image tokens",
            Self::Flow(_) => "rectified flow",
        })
    }
}

/// Sizes of the VQ tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VqConfig {
    /// Number of codes `K`.
    pub codebook_size: usize,
    /// Rows and columns of the grid of tokens.
    pub grid: [usize; 2],
    /// Side of the square picture in pixels.
    pub image_size: usize,
}

impl VqConfig {
    /// Tokens of one picture.
    pub fn num_tokens(&self) -> usize {
        self.grid[0] * self.grid[1]
    }
}

/// Sizes of a rectified flow and of the VAE that its latents are from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// Channels of a latent.
    pub latent_channels: usize,
    /// Side of the square latent.
    pub latent_size: usize,
    /// Rows and columns of the grid of positions that the language model sees.
    pub grid: [usize; 2],
    /// Side of the square picture in pixels.
    pub image_size: usize,
    /// Steps that pictures are meant to be drawn in.
    pub steps: usize,
}

impl FlowConfig {
    /// Positions of one picture, that of the time not counted.
    pub fn num_tokens(&self) -> usize {
        self.grid[0] * self.grid[1]
    }
}

/// Ids of the special tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecialTokens {
    /// `<｜begin▁of▁sentence｜>`, before every prompt.
    pub bos: u32,
    /// `<｜end▁of▁sentence｜>`, after every answer.
    pub eos: u32,
    /// `<｜▁pad▁｜>`, which fills the unconditional prompt. Not the tokenizer's own pad token.
    pub pad: u32,
    /// `<begin_of_image>`.
    pub begin_of_image: u32,
    /// `<end_of_image>`.
    pub end_of_image: u32,
    /// `<image_placeholder>`.
    pub image_placeholder: u32,
    /// Ids that the tokenizer knows; the embedding table may have more rows.
    pub tokenizer_size: u32,
}

/// How a conversation is spelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatConfig {
    /// What the person's turns begin with.
    pub user: String,
    /// What the model's turns begin with.
    pub assistant: String,
    /// Text before a conversation about pictures; empty for none.
    pub system_prompt: String,
}

/// Settings that the model is meant to be used with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationConfig {
    /// Weight of classifier-free guidance when drawing.
    pub guidance_scale: f32,
    /// Temperature when drawing image tokens.
    pub temperature: f32,
}

/// One graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphEntry {
    /// File of the graph, in the directory.
    pub file: String,
    /// File of its weights, where they lie apart.
    pub data: Option<String>,
    /// Inputs, in order.
    pub inputs: Vec<TensorSpec>,
    /// Outputs, in order.
    pub outputs: Vec<TensorSpec>,
}

/// Name, type and shape of an input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Name in the graph.
    pub name: String,
    /// Type of the elements.
    pub dtype: ElementType,
    /// Extent of each axis.
    pub shape: Vec<Dim>,
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<_> = self.shape.iter().map(Dim::to_string).collect();
        write!(f, "{} [{}]", self.dtype, shape.join(", "))
    }
}

/// Type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// 16-bit float with the exponent of a 32-bit one.
    Bf16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// True or false: an input of graphs that other exporters wrote.
    Bool,
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::Bool => "bool",
        })
    }
}

/// Extent of an axis: a number, or the name of one that differs from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// Always this many.
    Fixed(usize),
    /// Any number, the same for every axis of the graph with this name.
    Named(String),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(extent) => extent.fmt(f),
            Self::Named(name) => name.fmt(f),
        }
    }
}

/// Size and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads the manifest of an exported directory and checks that its numbers fit together.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        let text = read_bounded(&path).map_err(|source| Error::ReadManifest {
            path: path.clone(),
            source,
        })?;
        Self::parse(&text, &path)
    }

    /// Parses a manifest; `path` is where it came from, for messages.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let malformed = |source| Error::ParseManifest {
            path: path.to_owned(),
            source,
        };
        let version: Version = serde_json::from_slice(text).map_err(malformed)?;
        if version.format_version != FORMAT_VERSION {
            return Err(Error::ManifestFormat {
                path: path.to_owned(),
                found: version.format_version,
            });
        }
        let manifest: Self = serde_json::from_slice(text).map_err(malformed)?;
        manifest.check(path)?;
        Ok(manifest)
    }

    /// Sizes of the VQ tokenizer.
    ///
    /// # Errors
    ///
    /// [`Error::OtherDrawing`] where the model does not draw by image tokens.
    pub fn vq(&self) -> Result<&VqConfig> {
        match &self.drawing {
            DrawingConfig::Tokens(vq) => Ok(vq),
            other => Err(Error::OtherDrawing {
                family: self.family,
                found: other.to_string(),
                expected: "image tokens",
            }),
        }
    }

    /// Sizes of the rectified flow.
    ///
    /// # Errors
    ///
    /// [`Error::OtherDrawing`] where the model does not draw by rectified flow.
    pub fn flow(&self) -> Result<&FlowConfig> {
        match &self.drawing {
            DrawingConfig::Flow(flow) => Ok(flow),
            other => Err(Error::OtherDrawing {
                family: self.family,
                found: other.to_string(),
                expected: "rectified flow",
            }),
        }
    }

    /// The manifest as it is written: indented, stable key order, a newline at the end.
    pub fn to_json(&self) -> Result<String> {
        let mut text =
            serde_json::to_string_pretty(self).map_err(|source| Error::ParseManifest {
                path: MANIFEST.into(),
                source,
            })?;
        text.push('\n');
        Ok(text)
    }
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other(format!(
            "larger than {MAX_BYTES} bytes"
        )));
    }
    Ok(text)
}

mod check;
mod forms;
