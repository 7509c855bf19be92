//! An exported Janus model directory, opened: manifest, graphs, execution providers.
