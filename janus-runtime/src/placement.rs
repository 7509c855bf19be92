//! Where ONNX Runtime put the nodes of a graph.
//!
//! Providers take the nodes that they have kernels for and leave the others to the CPU without a
//! word. ONNX Runtime keeps a record of it (since 1.24), which this module reads and judges.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::contract::GraphKind;
use crate::error::{Error, Result};
use crate::provider::ExecutionProvider;

/// Session setting without which there is no record.
pub(crate) const RECORD: &str = "session.record_ep_graph_assignment_info";
/// Operators that are the host's work wherever the others run: what computes shapes and positions
/// from numbers that the host has, and copies. Everything else has to be where it was asked for.
const HOST_OPERATORS: [&str; 22] = [
    "Add",
    "Cast",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Div",
    "Equal",
    "Expand",
    "Gather",
    "Identity",
    "MemcpyFromHost",
    "MemcpyToHost",
    "Mul",
    "Range",
    "ReduceSum",
    "Reshape",
    "Shape",
    "Slice",
    "Squeeze",
    "Sub",
    "Unsqueeze",
    "Where",
];

/// Where the nodes of a graph run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Placement {
    /// Nodes by the name that ONNX Runtime has for the provider. A node that a provider made of
    /// several is listed as those.
    pub providers: BTreeMap<String, Vec<PlacedNode>>,
}

/// A node of a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacedNode {
    /// Its name.
    pub name: String,
    /// The domain of its operator; empty for ONNX's own.
    pub domain: String,
    /// Its operator.
    pub op_type: String,
}

/// Its operator, with the domain before it where that is not ONNX's own.
impl fmt::Display for PlacedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.domain.as_str() {
            "" => f.write_str(&self.op_type),
            domain => write!(f, "{domain}.{}", self.op_type),
        }
    }
}

impl Placement {
    /// How many nodes `provider` runs.
    pub fn count(&self, provider: ExecutionProvider) -> usize {
        self.providers
            .get(provider.runtime_name())
            .map_or(0, Vec::len)
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.providers.values().map(Vec::len).sum()
    }

    /// Nodes that run elsewhere although `provider` was asked for, but for those that are the
    /// host's work wherever the others run.
    pub fn strays(&self, provider: ExecutionProvider) -> Vec<&PlacedNode> {
        let elsewhere = self.elsewhere(provider);
        elsewhere.filter(|node| !node.is_for_the_host()).collect()
    }

    /// Every node that runs elsewhere.
    pub fn elsewhere(&self, provider: ExecutionProvider) -> impl Iterator<Item = &PlacedNode> {
        let others = self.providers.iter();
        others
            .filter(move |(name, _)| {
                let name = name.as_str();
                name != provider.runtime_name() && !provider.also_runs_on().contains(&name)
            })
            .flat_map(|(_, nodes)| nodes)
    }

    /// Fails if a node that has to be on `provider` is not.
    pub(crate) fn check(&self, graph: GraphKind, provider: ExecutionProvider) -> Result<()> {
        if self.nodes() == 0 {
            // Who turns graphs into its own layout of pictures is not on record for what it took.
            return Err(Error::NoRecord { graph, provider });
        }
        if let Some(node) = self.wrong(provider) {
            return Err(Error::WrongKernel {
                graph,
                provider,
                operator: node.to_string(),
                node: node.name.clone(),
            });
        }
        let strays = self.strays(provider);
        if strays.is_empty() {
            return Ok(());
        }
        Err(Error::Fallback {
            graph,
            provider,
            nodes: strays.len(),
            operators: operators(strays.iter().copied()),
            example: strays[0].name.clone(),
        })
    }

    /// A node that `provider` runs and is known to compute wrongly.
    fn wrong(&self, provider: ExecutionProvider) -> Option<&PlacedNode> {
        let mut nodes = self.providers.get(provider.runtime_name())?.iter();
        nodes.find(|node| provider.wrong_kernel(&node.op_type).is_some())
    }

    /// Reads the record of a session that was opened with [`RECORD`].
    pub(crate) fn of(session: &ort::session::Session) -> ort::Result<Self> {
        Ok(Self {
            providers: record::read(session)?,
        })
    }
}

/// Operators and how often each is there, the most frequent first: `MatMul (96), Softmax (24)`.
fn operators<'a>(nodes: impl IntoIterator<Item = &'a PlacedNode>) -> String {
    let mut counts = BTreeMap::<_, usize>::new();
    for node in nodes {
        *counts.entry(node.to_string()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = counts
        .iter()
        .map(|(operator, count)| format!("{operator} ({count})"));
    told.collect::<Vec<_>>().join(", ")
}

impl PlacedNode {
    fn is_for_the_host(&self) -> bool {
        self.domain.is_empty() && HOST_OPERATORS.contains(&self.op_type.as_str())
    }
}

/// One line: `openvino 214, cpu 12: Gather (8), Shape (4)`.
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (provider, nodes)) in self.providers.iter().enumerate() {
            let before = if i == 0 { "" } else { "; " };
            write!(f, "{before}{} {}", short(provider), nodes.len())?;
            if provider == ExecutionProvider::Cpu.runtime_name() && self.providers.len() > 1 {
                write!(f, ": {}", operators(nodes))?;
            }
        }
        Ok(())
    }
}

/// A provider's name without the words that every one has.
fn short(provider: &str) -> &str {
    provider
        .strip_suffix("ExecutionProvider")
        .unwrap_or(provider)
}

/// The C interface to the record, for which `ort` has no wrapper.
#[allow(unsafe_code, reason = "ONNX Runtime's C interface")]
mod record {
    use std::collections::BTreeMap;
    use std::ffi::{CStr, c_char};
    use std::ptr;

    use ort::AsPointer;
    use ort::session::Session;
    use ort::sys::{OrtApi, OrtEpAssignedNode, OrtStatusPtr};

    use super::PlacedNode;

    /// Nodes by provider.
    pub(super) fn read(session: &Session) -> ort::Result<BTreeMap<String, Vec<PlacedNode>>> {
        let api = ort::api();
        let (mut subgraphs, mut count) = (ptr::null(), 0);
        // SAFETY: the session lives, and both places are ours to be written to.
        let status = unsafe {
            (api.Session_GetEpGraphAssignmentInfo)(
                session.ptr(),
                &raw mut subgraphs,
                &raw mut count,
            )
        };
        checked(status)?;
        let mut providers = BTreeMap::<_, Vec<_>>::new();
        for i in 0..count {
            // SAFETY: there are `count` of them, which belong to the session.
            let subgraph = unsafe { *subgraphs.add(i) };
            // SAFETY: `subgraph` lives as long as the session.
            let name = unsafe { text(api.EpAssignedSubgraph_GetEpName, subgraph)? };
            let (mut nodes, mut nodes_count) = (ptr::null(), 0);
            // SAFETY: as above, and both places are ours to be written to.
            let status = unsafe {
                (api.EpAssignedSubgraph_GetNodes)(subgraph, &raw mut nodes, &raw mut nodes_count)
            };
            checked(status)?;
            let placed = providers.entry(name).or_default();
            for j in 0..nodes_count {
                // SAFETY: there are `nodes_count` of them, which belong to the session.
                placed.push(unsafe { node(api, *nodes.add(j))? });
            }
        }
        Ok(providers)
    }

    /// # Safety
    ///
    /// The session that `node` belongs to lives.
    unsafe fn node(api: &OrtApi, node: *const OrtEpAssignedNode) -> ort::Result<PlacedNode> {
        // SAFETY: the caller's promise.
        let (name, domain, op_type) = unsafe {
            (
                text(api.EpAssignedNode_GetName, node)?,
                text(api.EpAssignedNode_GetDomain, node)?,
                text(api.EpAssignedNode_GetOperatorType, node)?,
            )
        };
        let domain = if domain == "ai.onnx" {
            String::new()
        } else {
            domain
        };
        Ok(PlacedNode {
            name,
            domain,
            op_type,
        })
    }

    type Getter<T> = unsafe extern "system" fn(*const T, *mut *const c_char) -> OrtStatusPtr;

    /// # Safety
    ///
    /// `of` is what `get` takes, and lives.
    unsafe fn text<T>(get: Getter<T>, of: *const T) -> ort::Result<String> {
        let mut text = ptr::null();
        // SAFETY: the caller's promise, and the place is ours to be written to.
        checked(unsafe { get(of, &raw mut text) })?;
        if text.is_null() {
            return Ok(String::new());
        }
        // SAFETY: a string of ONNX Runtime ends with a zero, and belongs to `of`.
        let text = unsafe { CStr::from_ptr(text) };
        Ok(text.to_string_lossy().into_owned())
    }

    fn checked(status: OrtStatusPtr) -> ort::Result<()> {
        // SAFETY: the status came from ONNX Runtime and is not used again.
        unsafe { ort::Error::<()>::result_from_status(status) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: &str = "CPUExecutionProvider";

    fn placement(nodes: &[(&str, &str)]) -> Placement {
        let mut placement = Placement::default();
        for (i, (provider, operator)) in nodes.iter().enumerate() {
            let (domain, op_type) = operator.rsplit_once('.').unwrap_or(("", operator));
            let node = PlacedNode {
                name: format!("node {i}"),
                domain: domain.to_owned(),
                op_type: op_type.to_owned(),
            };
            let of = placement.providers.entry((*provider).to_owned());
            of.or_default().push(node);
        }
        placement
    }

    #[test]
    fn heavy_nodes_on_the_cpu_are_strays_and_shapes_are_not() {
        let cuda = ExecutionProvider::Cuda { device: 0 };
        let mixed = placement(&[
            ("CUDAExecutionProvider", "MatMul"),
            (CPU, "Shape"),
            (CPU, "com.microsoft.MatMulNBits"),
            (CPU, "Softmax"),
            (CPU, "com.microsoft.MatMulNBits"),
        ]);
        assert_eq!(mixed.count(cuda), 1);
        assert_eq!(mixed.elsewhere(cuda).count(), 4);
        let error = mixed.check(GraphKind::LanguageModel, cuda).unwrap_err();
        assert_eq!(
            error.to_string(),
            "graph `language_model` is not all on `cuda:0`: ONNX Runtime left 3 nodes to others, \
             com.microsoft.MatMulNBits (2), Softmax (1), `node 2` for one"
        );
        assert!(
            mixed
                .check(GraphKind::LanguageModel, ExecutionProvider::Cpu)
                .is_err()
        );
        let clean = placement(&[("CUDAExecutionProvider", "MatMul"), (CPU, "Shape")]);
        clean.check(GraphKind::LanguageModel, cuda).unwrap();
        assert_eq!(clean.to_string(), "CPU 1: Shape (1); CUDA 1");
    }

    #[test]
    fn an_empty_record_proves_nothing_and_wrong_kernels_are_refused() {
        let webgpu = ExecutionProvider::WebGpu;
        let attention = "com.microsoft.GroupQueryAttention";
        let wrong = placement(&[("WebGpuExecutionProvider", attention)]);
        assert_eq!(
            wrong
                .check(GraphKind::LanguageModel, webgpu)
                .unwrap_err()
                .to_string(),
            "graph `language_model`: `webgpu` is known to compute com.microsoft.GroupQueryAttention wrongly, \
             `node 0` for one"
        );
        let error = Placement::default().check(GraphKind::LmHead, webgpu);
        assert_eq!(
            error.unwrap_err().to_string(),
            "graph `lm_head`: ONNX Runtime recorded no node of it, on `webgpu` or elsewhere"
        );
    }

    /// TensorRT leaves to CUDA what it cannot do: still the GPU that was asked for.
    #[test]
    fn tensorrt_shares_with_cuda() {
        let tensorrt = ExecutionProvider::TensorRt { device: 0 };
        let shared = placement(&[
            ("TensorrtExecutionProvider", "MatMul"),
            ("CUDAExecutionProvider", "Softmax"),
        ]);
        assert!(shared.strays(tensorrt).is_empty());
    }
}
