//! Values: each made once, before it is read; and nothing made or stored for nobody.

use std::collections::{BTreeMap, BTreeSet};

use janus_onnx::proto::Node;

use super::{Check, Fault};

pub(super) fn check(check: &mut Check<'_>) {
    let graph = check.model.graph();
    check.report.nodes += graph.node.len();
    check.report.weights += graph.initializer.len();

    let mut made: BTreeSet<&str> = BTreeSet::new();
    let stored = graph.initializer.iter().map(|weight| weight.name());
    for name in graph.input.iter().map(|value| value.name()).chain(stored) {
        if !made.insert(name) {
            // In the format it is a weight that whoever runs the graph may replace.
            check.odd(Fault::Value, name, "stands twice among inputs and weights");
        }
    }
    // Who makes a value: a node that reads it before can be told from one that nobody makes.
    let makers: BTreeMap<&str, &str> = graph
        .node
        .iter()
        .flat_map(|node| {
            node.output
                .iter()
                .map(|value| (value.as_str(), node.name()))
        })
        .collect();
    for node in &graph.node {
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            if made.contains(name.as_str()) {
                continue;
            }
            let message = match makers.get(name.as_str()) {
                Some(maker) => format!("reads `{name}` before `{maker}` makes it"),
                None => format!("reads `{name}`, which nothing makes"),
            };
            check.found(Fault::Value, node.name(), message);
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if !made.insert(name) {
                let message = format!("makes `{name}`, which is there already");
                check.found(Fault::Value, node.name(), message);
            }
        }
    }
    for value in &graph.output {
        if !made.contains(value.name()) {
            check.found(
                Fault::Value,
                value.name(),
                "is an output that nothing makes",
            );
        }
    }
    unused(check);
}

/// Nodes and weights on no way to an output.
fn unused(check: &mut Check<'_>) {
    let graph = check.model.graph();
    let mut read: BTreeSet<&str> = graph.output.iter().map(|value| value.name()).collect();
    let mut idle = Vec::new();
    for node in graph.node.iter().rev() {
        if node
            .output
            .iter()
            .any(|value| read.contains(value.as_str()))
        {
            reads(node, &mut read);
        } else {
            idle.push(node.name());
        }
    }
    for name in idle.into_iter().rev() {
        check.odd(Fault::Unused, name, "is a node whose outputs nothing reads");
    }
    for weight in &graph.initializer {
        if !read.contains(weight.name()) {
            check.odd(
                Fault::Unused,
                weight.name(),
                "is a weight that nothing reads",
            );
        }
    }
}

/// What a node reads, and what the branches and loops in it read of the graph around them.
fn reads<'a>(node: &'a Node, read: &mut BTreeSet<&'a str>) {
    read.extend(node.input.iter().map(String::as_str));
    let inner = node.attribute.iter().filter_map(|it| it.g.as_deref());
    for graph in inner {
        read.extend(graph.output.iter().map(|value| value.name()));
        graph.node.iter().for_each(|node| reads(node, read));
    }
}
