//! Why an export could not be compared.

use std::io;
use std::path::PathBuf;

use crate::tensor_file::MAX_FILE_BYTES;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an export could not be compared with a golden file or another export, or a file of tensors
/// not be read or written.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A graph could not be opened or run.
    #[error(transparent)]
    Runtime(#[from] janus_runtime::Error),
    /// The language model could not do a step.
    #[error(transparent)]
    LanguageModel(#[from] janus_llm::Error),
    /// Image tokens could not be decoded, or pixels not be encoded.
    #[error(transparent)]
    Vq(#[from] janus_vq::Error),
    /// A prompt could not be tokenised, or is too long.
    #[error(transparent)]
    Pipeline(#[from] janus_pipeline::Error),
    /// A latent could not be moved or shown.
    #[error(transparent)]
    Flow(#[from] janus_flow::Error),
    /// A graph's file could not be read.
    #[error(transparent)]
    Graph(#[from] janus_onnx::Error),
    /// The file is missing or unreadable.
    #[error("cannot read the tensors of `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any that is read.
    #[error("`{}` has more than {MAX_FILE_BYTES} bytes, the limit of a file of tensors", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is not safetensors.
    #[error("`{}` is not a safetensors file", path.display())]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// The file could not be written.
    #[error("cannot write the tensors to `{}`", path.display())]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Tensors could not be brought into the form of a safetensors file.
    #[error("cannot make a safetensors file `{}`", path.display())]
    Serialize {
        /// The file.
        path: PathBuf,
        /// What is wrong with the tensors.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// The file lacks a tensor.
    #[error("`{}` has no tensor `{}`; it has {found}", path.display(), tensor.escape_debug())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Names of the tensors that it has.
        found: String,
    },
    /// The elements of a tensor are of a type that is not taken for it.
    #[error("`{}`: tensor `{}` has elements of type {found}; expected {expected}", path.display(), tensor.escape_debug())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The types that it may have.
        expected: &'static str,
        /// The type that it has.
        found: String,
    },
    /// A tensor has a shape that is not the one asked for.
    #[error("`{}`: tensor `{}` has shape {found:?}; expected {expected}", path.display(), tensor.escape_debug())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: Vec<usize>,
    },
    /// An element of a tensor is out of range.
    #[error("`{}`: tensor `{}` has {found} at {at}; expected {expected}", path.display(), tensor.escape_debug())]
    Element {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Position of the element in row-major order.
        at: usize,
        /// Its value.
        found: i64,
        /// What it may be.
        expected: String,
    },
    /// The prompt does not have one whole picture.
    #[error(
        "`{}`: `{tensor}` has {found} picture placeholders{}; expected none, or {expected} in a row",
        path.display(),
        if *whole { "" } else { ", not in a row" }
    )]
    Placeholders {
        /// The file.
        path: PathBuf,
        /// The prompt's name.
        tensor: &'static str,
        /// Placeholders of the prompt.
        found: usize,
        /// Whether they stand in a row.
        whole: bool,
        /// Placeholders of one picture.
        expected: usize,
    },
    /// The file has nothing that could be compared.
    #[error(
        "`{}` has no output to compare with; known are {known}; it has {found}",
        path.display()
    )]
    NothingToCompare {
        /// The file.
        path: PathBuf,
        /// Names of the outputs that there are formulas for.
        known: String,
        /// Names of the tensors that it has.
        found: String,
    },
    /// Two exports were made from different weights.
    #[error(
        "`{}` and `{}` were not converted from the same weights: the hashes in their manifests \
         differ",
        model.display(),
        reference.display()
    )]
    OtherWeights {
        /// The model.
        model: PathBuf,
        /// What it was to be compared with.
        reference: PathBuf,
    },
    /// Two exports of the same weights were converted with different settings.
    #[error("the manifests of `{}` and `{}` differ in `{field}`", model.display(), reference.display())]
    OtherSizes {
        /// The model.
        model: PathBuf,
        /// What it was to be compared with.
        reference: PathBuf,
        /// Which part of the manifests.
        field: &'static str,
    },
    /// The graphs of a directory are none of a known layout.
    #[error(
        "`{}` has graphs of no known layout: {found}; known are {known}",
        path.display()
    )]
    UnknownLayout {
        /// The directory.
        path: PathBuf,
        /// Its graphs with their inputs and outputs.
        found: String,
        /// The layouts with the names of their files.
        known: String,
    },
    /// A graph of another exporter has other inputs or outputs than its name promises.
    #[error("`{}` has {found}; expected {expected}", path.display())]
    OtherTensors {
        /// The graph's file.
        path: PathBuf,
        /// Its inputs and outputs.
        found: String,
        /// Those that the layout has.
        expected: String,
    },
    /// There is no graph to look at.
    #[error("`{}` has {what}", path.display())]
    NoGraphs {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A graph of another exporter could not be opened or run.
    #[error("`{}` does not run", path.display())]
    ForeignGraph {
        /// The graph's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<janus_runtime::Error>,
    },
    /// A graph of another exporter gives a tensor of another type or shape than the reference.
    #[error("`{}` gives `{tensor}` as {found}; the reference as {expected}", path.display())]
    OtherOutput {
        /// The graph's file.
        path: PathBuf,
        /// The output.
        tensor: String,
        /// Its type and shape.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// Nothing is known of a provider's kernels.
    #[error(
        "there is no table of the kernels of {provider}: what it runs is known when it opens a graph"
    )]
    NoKernelTable {
        /// The provider.
        provider: String,
    },
    /// There is nothing to make sequences from.
    #[error("there are no {what} to compare with")]
    NoMaterial {
        /// What is missing.
        what: &'static str,
    },
    /// The comparison was stopped.
    #[error("the comparison was stopped")]
    Cancelled,
}
