//! Why a model directory could not be opened or a graph could not be run.

use std::io;
use std::path::PathBuf;

use crate::contract::GraphKind;
use crate::manifest::{FORMAT_VERSION, Family, TensorSpec};
use crate::provider::ExecutionProvider;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model directory could not be opened or a graph could not be run.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest is missing or unreadable.
    #[error("cannot read the manifest `{}`", path.display())]
    ReadManifest {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The manifest is not the JSON that it should be.
    #[error("cannot parse the manifest `{}`", path.display())]
    ParseManifest {
        /// Where it is.
        path: PathBuf,
        /// Line, column and field.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest was written by another version.
    #[error("manifest `{}` has format {found}; this build reads {FORMAT_VERSION}", path.display())]
    ManifestFormat {
        /// Where it is.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A number of the manifest is out of range.
    #[error("manifest `{}`: `{field}` is {found}; it should be {expected}", path.display())]
    ManifestField {
        /// Where it is.
        path: PathBuf,
        /// Which field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// The manifest names a file outside of its directory.
    #[error("manifest `{}`: file `{}` is not inside the directory", path.display(), file.escape_debug())]
    FileOutside {
        /// The manifest.
        path: PathBuf,
        /// The file's name.
        file: String,
    },
    /// A graph's file is not in the manifest's list of files.
    #[error("manifest `{}`: `{}` of graph `{graph}` is not listed in `files`", path.display(), file.escape_debug())]
    FileNotListed {
        /// The manifest.
        path: PathBuf,
        /// The graph.
        graph: GraphKind,
        /// The file's name.
        file: String,
    },
    /// A graph names a tensor twice.
    #[error("manifest `{}`: graph `{graph}` names `{}` twice", path.display(), tensor.escape_debug())]
    DuplicateTensor {
        /// The manifest.
        path: PathBuf,
        /// The graph.
        graph: GraphKind,
        /// The tensor.
        tensor: String,
    },
    /// A graph that every model has is not in the manifest.
    #[error("manifest `{}` has no graph `{graph}`", path.display())]
    MissingGraph {
        /// The manifest.
        path: PathBuf,
        /// The graph.
        graph: GraphKind,
    },
    /// The model draws in another way.
    #[error("a {family} model draws by {found}, not by {expected}")]
    OtherDrawing {
        /// The model.
        family: Family,
        /// How it draws.
        found: String,
        /// How it was to draw.
        expected: &'static str,
    },
    /// No graph has this name.
    #[error("no graph is called `{}`", name.escape_debug())]
    UnknownGraph {
        /// The name.
        name: String,
    },
    /// A file of the export is missing or unreadable.
    #[error("cannot read `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the export is not as long as the manifest says.
    #[error("`{}` has {found} bytes; the manifest says {expected}", path.display())]
    FileSize {
        /// The file.
        path: PathBuf,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes on disk.
        found: u64,
    },
    /// A file of the export has other contents than the manifest says.
    #[error("`{}` has SHA-256 {found}; the manifest says {expected}", path.display())]
    FileHash {
        /// The file.
        path: PathBuf,
        /// Hash by the manifest.
        expected: String,
        /// Hash on disk.
        found: String,
    },
    /// No execution provider is spelled so.
    #[error("`{}` is not an execution provider; there are {expected}", name.escape_debug())]
    UnknownProvider {
        /// The name.
        name: String,
        /// The names there are.
        expected: &'static str,
    },
    /// The loaded library was built without the provider.
    #[error("the ONNX Runtime library `{}` has no execution provider `{provider}`", library.display())]
    ProviderNotInLibrary {
        /// The provider.
        provider: ExecutionProvider,
        /// The library.
        library: PathBuf,
    },
    /// The ONNX Runtime library could not be loaded.
    #[error("cannot load the ONNX Runtime library `{}`", path.display())]
    LoadLibrary {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A graph was to be opened before a library was loaded.
    #[error("no ONNX Runtime library is loaded")]
    NoLibrary,
    /// Another library is in use already; a process has one.
    #[error("the ONNX Runtime library `{}` is in use already; a process has one", path.display())]
    LibraryInUse {
        /// The library in use.
        path: PathBuf,
    },
    /// ONNX Runtime did not take the session's options.
    #[error("cannot set up a session for graph `{graph}` on `{provider}`")]
    SetUp {
        /// The graph.
        graph: GraphKind,
        /// The provider.
        provider: ExecutionProvider,
        /// What it said.
        #[source]
        source: ort::Error,
    },
    /// ONNX Runtime did not open the graph.
    #[error("cannot open graph `{graph}` on `{provider}`")]
    OpenGraph {
        /// The graph.
        graph: GraphKind,
        /// The provider.
        provider: ExecutionProvider,
        /// What it said.
        #[source]
        source: ort::Error,
    },
    /// Nodes of a graph would not run where they were asked to.
    #[error("graph `{graph}` is not all on `{provider}`: ONNX Runtime left {nodes} nodes to others, {operators}, `{}` for one", example.escape_debug())]
    Fallback {
        /// The graph.
        graph: GraphKind,
        /// The provider.
        provider: ExecutionProvider,
        /// How many nodes.
        nodes: usize,
        /// Their operators, and how often each is there.
        operators: String,
        /// The name of one.
        example: String,
    },
    /// A provider has a kernel that is known to compute something else.
    #[error("graph `{graph}`: `{provider}` is known to compute {operator} wrongly, `{}` for one", node.escape_debug())]
    WrongKernel {
        /// The graph.
        graph: GraphKind,
        /// The provider.
        provider: ExecutionProvider,
        /// The operator.
        operator: String,
        /// The name of a node of it.
        node: String,
    },
    /// ONNX Runtime's record of a graph's nodes is empty, so that nothing says where they run.
    #[error("graph `{graph}`: ONNX Runtime recorded no node of it, on `{provider}` or elsewhere")]
    NoRecord {
        /// The graph.
        graph: GraphKind,
        /// The provider.
        provider: ExecutionProvider,
    },
    /// ONNX Runtime did not say where the nodes of a graph are.
    #[error("graph `{graph}`: cannot tell where its nodes run")]
    Placement {
        /// The graph.
        graph: GraphKind,
        /// What it said.
        #[source]
        source: ort::Error,
    },
    /// An input or output differs from the manifest.
    #[error("graph `{graph}`: tensor `{tensor}` should be {expected}, the file has {found}")]
    Signature {
        /// The graph.
        graph: GraphKind,
        /// The tensor.
        tensor: String,
        /// By the manifest.
        expected: String,
        /// In the file.
        found: String,
    },
    /// A tensor handed to a graph does not fit.
    #[error("graph `{graph}`: input `{tensor}` should be {expected}, it is {found}")]
    Input {
        /// The graph.
        graph: GraphKind,
        /// The tensor.
        tensor: String,
        /// What the graph takes.
        expected: Box<TensorSpec>,
        /// What it was given.
        found: String,
    },
    /// The graph has no such input or output.
    #[error("graph `{graph}` has no tensor `{}`; it has {expected}", tensor.escape_debug())]
    UnknownTensor {
        /// The graph.
        graph: GraphKind,
        /// The tensor.
        tensor: String,
        /// The names there are.
        expected: String,
    },
    /// ONNX Runtime failed inside the graph.
    #[error("graph `{graph}` failed to run")]
    Run {
        /// The graph.
        graph: GraphKind,
        /// What it said.
        #[source]
        source: ort::Error,
    },
    /// A tensor could not be made or read.
    #[error("graph `{graph}`: cannot access tensor `{tensor}`")]
    Tensor {
        /// The graph.
        graph: GraphKind,
        /// The tensor.
        tensor: String,
        /// What ONNX Runtime said.
        #[source]
        source: ort::Error,
    },
    /// Memory that graphs share could not be had.
    #[error("cannot allocate `{tensor}` of shape {shape:?}")]
    Allocate {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// What ONNX Runtime said.
        #[source]
        source: ort::Error,
    },
    /// A setting for a provider that has none of that name.
    #[error("`{provider}` has no setting `{key}`")]
    ProviderSetting {
        /// The provider.
        provider: ExecutionProvider,
        /// The setting.
        key: String,
    },
    /// A setting of a provider has a value that it does not take.
    #[error("`{provider}` has no value `{}` for `{key}`; there are {expected}", value.escape_debug())]
    ProviderSettingValue {
        /// The provider.
        provider: ExecutionProvider,
        /// The setting.
        key: String,
        /// Its value.
        value: String,
        /// The values there are.
        expected: String,
    },
    /// Steps of a graph should be captured that does not work on a cache in the memory of its provider.
    #[error(
        "graph `{graph}` cannot be captured: it works on no cache in the memory of `{provider}`"
    )]
    CannotCapture {
        /// The graph.
        graph: GraphKind,
        /// The provider.
        provider: ExecutionProvider,
    },
    /// A tensor that graphs share could not be copied.
    #[error("cannot copy `{tensor}`")]
    CopyResident {
        /// The tensor.
        tensor: String,
        /// What ONNX Runtime said.
        #[source]
        source: ort::Error,
    },
    /// A graph gave a number that is not finite.
    #[error("graph `{graph}` gave {value} in `{tensor}`")]
    NotFinite {
        /// The graph.
        graph: GraphKind,
        /// The tensor.
        tensor: &'static str,
        /// The number.
        value: f32,
    },
}
