//! Where the nodes of a graph run, by ONNX Runtime's own record.
#![expect(
    unsafe_code,
    reason = "the record is part of the C interface, but not of `ort`'s safe one"
)]

use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr;

use ort::AsPointer;
use ort::session::Session;
use ort::sys::{OrtEpAssignedNode, OrtEpAssignedSubgraph, OrtStatusPtr};
use serde::Serialize;

/// Nodes of a graph by the provider that runs them, as ONNX Runtime recorded it when it opened the
/// graph. Prints as `OpenVINOExecutionProvider 34, CPUExecutionProvider 2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// One entry for each provider that has nodes.
    pub providers: Vec<Placed>,
}

/// The nodes that one provider runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// The provider, as ONNX Runtime names it.
    pub provider: String,
    /// Its nodes; those that optimisers made of others have names of their own.
    pub nodes: Vec<PlacedNode>,
}

/// A node and its operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacedNode {
    /// The node's name.
    pub name: String,
    /// Its operator.
    pub op_type: String,
}

impl Placement {
    /// What a session recorded; nothing if it was not told to.
    pub(crate) fn of(session: &Session) -> Self {
        let mut placement = Self::default();
        for subgraph in subgraphs(session) {
            let (Some(provider), nodes) = (provider(subgraph), nodes(subgraph)) else {
                continue;
            };
            let mut known = placement.providers.iter();
            match known.position(|placed| placed.provider == provider) {
                Some(place) => placement.providers[place].nodes.extend(nodes),
                None => placement.providers.push(Placed { provider, nodes }),
            }
        }
        placement
    }

    /// Nodes that another provider than this one runs.
    pub fn elsewhere<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a PlacedNode> {
        let others = self.providers.iter();
        let others = others.filter(move |placed| placed.provider != provider);
        others.flat_map(|placed| &placed.nodes)
    }

    /// Number of all nodes.
    pub fn nodes(&self) -> usize {
        self.providers.iter().map(|placed| placed.nodes.len()).sum()
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.providers.iter();
        let counts = counts.map(|placed| format!("{} {}", placed.provider, placed.nodes.len()));
        f.write_str(&counts.collect::<Vec<_>>().join(", "))
    }
}

/// Calls a function that gives a list of pointers: none where it fails.
fn list<T>(get: impl FnOnce(*mut *const *const T, *mut usize) -> OrtStatusPtr) -> Vec<*const T> {
    let (mut items, mut count) = (ptr::null(), 0);
    if failed(get(&mut items, &mut count)) || items.is_null() {
        return Vec::new();
    }
    // SAFETY: the call succeeded, so `items` points to `count` pointers, which live as long as the
    // session; they are copied here.
    unsafe { std::slice::from_raw_parts(items, count) }.to_vec()
}

/// Calls a function that gives a text: none where it fails.
fn text(get: impl FnOnce(*mut *const c_char) -> OrtStatusPtr) -> Option<String> {
    let mut text = ptr::null();
    if failed(get(&mut text)) || text.is_null() {
        return None;
    }
    // SAFETY: the call succeeded, so `text` is a string that ends with a zero and lives as long as
    // the session; it is copied here.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}

/// Whether a call failed. Its status is freed.
fn failed(status: OrtStatusPtr) -> bool {
    if status.0.is_null() {
        return false;
    }
    // SAFETY: a status that is not null belongs to the caller, who frees it once.
    unsafe { (ort::api().ReleaseStatus)(status.0) };
    true
}

fn subgraphs(session: &Session) -> Vec<*const OrtEpAssignedSubgraph> {
    // SAFETY: the session is alive, and both pointers can be written.
    list(|items, count| unsafe {
        (ort::api().Session_GetEpGraphAssignmentInfo)(session.ptr(), items, count)
    })
}

fn provider(subgraph: *const OrtEpAssignedSubgraph) -> Option<String> {
    // SAFETY: the subgraph is one of a session that is alive.
    text(|out| unsafe { (ort::api().EpAssignedSubgraph_GetEpName)(subgraph, out) })
}

fn nodes(subgraph: *const OrtEpAssignedSubgraph) -> Vec<PlacedNode> {
    // SAFETY: the subgraph is one of a session that is alive.
    let nodes: Vec<*const OrtEpAssignedNode> = list(|items, count| unsafe {
        (ort::api().EpAssignedSubgraph_GetNodes)(subgraph, items, count)
    });
    let read = |node: *const OrtEpAssignedNode| PlacedNode {
        // SAFETY: the node is one of a session that is alive.
        name: text(|out| unsafe { (ort::api().EpAssignedNode_GetName)(node, out) })
            .unwrap_or_default(),
        // SAFETY: as above.
        op_type: text(|out| unsafe { (ort::api().EpAssignedNode_GetOperatorType)(node, out) })
            .unwrap_or_default(),
    };
    nodes.into_iter().map(read).collect()
}
