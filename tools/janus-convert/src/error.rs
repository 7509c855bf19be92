//! Why a conversion could not be done.

use std::io;
use std::path::PathBuf;

use janus_runtime::manifest::Family;

use crate::checkpoint::{CheckpointError, Fault};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a conversion could not be done. Whatever it is, nothing is left of the export.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The weights could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file beside the weights is missing or unreadable.
    #[error("cannot read `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file beside the weights is larger than any of its kind.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// A file is not the JSON that it should be.
    #[error("cannot parse `{}`", path.display())]
    ParseJson {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        #[source]
        source: serde_json::Error,
    },
    /// A graph's file could not be read.
    #[error(transparent)]
    Graph(#[from] janus_onnx::Error),
    /// A setting that has no default is not there.
    #[error("`{}`: `{field}` is missing", path.display())]
    MissingField {
        /// The file.
        path: PathBuf,
        /// Which setting.
        field: String,
    },
    /// A setting has a value that no model of the family has, or that is not supported.
    #[error("`{}`: `{}` is {}; it should be {expected}", path.display(), field.escape_debug(), shortened(found))]
    Field {
        /// The file.
        path: PathBuf,
        /// Which setting.
        field: String,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A setting that this version does not know might change what the model computes.
    #[error("`{}`: `{}` is {}, of which nothing is known", path.display(), field.escape_debug(), shortened(found))]
    UnknownField {
        /// The file.
        path: PathBuf,
        /// Which setting.
        field: String,
        /// Its value.
        found: String,
    },
    /// A setting and the weights disagree.
    #[error("`{}`: `{field}` is {stated}, but {found}", path.display())]
    Disagreement {
        /// The file.
        path: PathBuf,
        /// Which setting.
        field: String,
        /// Its value.
        stated: usize,
        /// What the weights say.
        found: String,
    },
    /// A JanusFlow model draws into the latents of a VAE, which is a checkpoint of its own.
    #[error("`{}` is a JanusFlow model: the SDXL VAE has to be given too", path.display())]
    VaeMissing {
        /// The configuration.
        path: PathBuf,
    },
    /// A VAE was given for a model that has none.
    #[error("`{}` is not a JanusFlow model: it has no use for a VAE", path.display())]
    VaeUnwanted {
        /// The configuration.
        path: PathBuf,
    },
    /// The VAE's tensors have other names than those that are read.
    #[error("`{}` has the tensor names of {whose}; what is read is a VAE in diffusers' layout, `diffusion_pytorch_model.safetensors`", path.display())]
    VaeNames {
        /// The VAE.
        path: PathBuf,
        /// Whose names.
        whose: String,
    },
    /// The caller and the configuration disagree on what the model is.
    #[error("`{}` is the configuration of another model than {stated}", path.display())]
    OtherFamily {
        /// The configuration.
        path: PathBuf,
        /// What the caller said.
        stated: Family,
    },
    /// The directory holds some other model.
    #[error("`{}` is a model of type `{}`; those of the Janus family have `multi_modality` (as released) or `janus` (transformers)", path.display(), shortened(model_type))]
    NotJanus {
        /// The configuration.
        path: PathBuf,
        /// What it calls itself.
        model_type: String,
    },
    /// A special token is not in the tokenizer.
    #[error("`{}` has no token `{token}`", path.display())]
    MissingToken {
        /// The tokenizer.
        path: PathBuf,
        /// The token.
        token: &'static str,
    },
    /// A part of the network is not built as those of the family are.
    #[error("`{module}` has {found}; it should have {expected}")]
    Structure {
        /// The module, by its released name.
        module: String,
        /// What the weights say.
        found: String,
        /// What the network needs.
        expected: String,
    },
    /// A tensor has too few axes, or one without extent.
    #[error("tensor `{tensor}` has shape {shape:?}; axis {axis} should be 1 or more")]
    Axis {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Which axis is needed.
        axis: usize,
    },
    /// A weight does not fit in 16 bits.
    #[error(
        "tensor `{tensor}` has the value {value:e}, which 16-bit floats cannot hold; convert with fp32"
    )]
    HalfRange {
        /// The tensor.
        tensor: String,
        /// The first such value.
        value: f32,
    },
    /// A weight that is to be quantised is not a number.
    #[error(
        "tensor `{tensor}` has the value {value}, which cannot be quantised; convert with fp32"
    )]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// The first such value.
        value: f32,
    },
    /// A file is not a recipe.
    #[error("`{}` is not a recipe", path.display())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A field of a recipe has a value that it cannot have.
    #[error("`{}`: `{field}` is `{}`; expected {expected}", path.display(), shortened(found))]
    RecipeField {
        /// The file.
        path: PathBuf,
        /// The field, or the place in the model.
        field: String,
        /// Its value.
        found: String,
        /// What it can be.
        expected: &'static str,
    },
    /// A recipe says nothing of a weight.
    #[error("the recipe says nothing of `{module}`; a rule for \"*\" is for everything else")]
    RecipeSilent {
        /// The module with the weight.
        module: String,
    },
    /// A recipe asks for integers where only floats can be.
    #[error("the recipe stores `{module}` as {format}; it can be fp32 or fp16")]
    RecipeFloat {
        /// The module with the weight.
        module: String,
        /// What the recipe says.
        format: String,
    },
    /// A recipe asks for what the standard's operators do not have.
    #[error("the recipe stores `{module}` as {format}; for this target it can be fp32 or fp16")]
    RecipeOperators {
        /// The module with the weight.
        module: String,
        /// What the recipe says.
        format: String,
    },
    /// A rule of a recipe is for no weight.
    #[error("the recipe's rule for `{place}` is for no weight of this model")]
    RecipeUnused {
        /// The place of the rule.
        place: String,
    },
    /// Something stands where the export should go.
    #[error("`{}` exists", path.display())]
    OutputExists {
        /// The export.
        path: PathBuf,
    },
    /// What stands where the export should go is not an export that could be replaced.
    #[error("`{}` exists and is not an exported model; it is not replaced", path.display())]
    NotAnExport {
        /// What was to be replaced.
        path: PathBuf,
    },
    /// The export would lie within the checkpoint.
    #[error("the export `{}` would lie in the checkpoint `{}`", out.display(), checkpoint.display())]
    OutputInCheckpoint {
        /// The export.
        out: PathBuf,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// Another conversion writes the same export.
    #[error("another conversion is writing `{}`", path.display())]
    OutputLocked {
        /// The export.
        path: PathBuf,
    },
    /// The disk has not enough room.
    #[error("the export needs {needed} bytes; `{}` has {free} free", path.display())]
    Space {
        /// The directory around the export.
        path: PathBuf,
        /// Size of the export.
        needed: u64,
        /// Room on the disk.
        free: u64,
    },
    /// A file or directory of the export could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The manifest, once written, could not be read again.
    #[error("the export does not satisfy its own reader")]
    SelfCheck(#[source] janus_runtime::Error),
    /// The caller ended the conversion.
    #[error("the conversion was cancelled")]
    Cancelled,
}

impl Error {
    /// What kind of fault this is, for exit codes.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Checkpoint(source) => source.fault(),
            Self::ReadFile { .. }
            | Self::OutputExists { .. }
            | Self::OutputLocked { .. }
            | Self::Space { .. }
            | Self::Write { .. }
            | Self::Cancelled => Fault::Environment,
            Self::FileTooLarge { .. }
            | Self::NotAnExport { .. }
            | Self::OutputInCheckpoint { .. } => Fault::Refused,
            Self::SelfCheck(_) => Fault::Verification,
            _ => Fault::Malformed,
        }
    }
}

/// A value out of a file, for a message: without control characters, and cut when it is long.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 120;
    let mut shown = String::new();
    for c in text.chars().take(SHOWN) {
        if matches!(c, '"' | '\'') {
            shown.push(c)
        } else {
            shown.extend(c.escape_debug())
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
