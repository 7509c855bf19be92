//! Released Janus weights to ONNX graphs and a manifest.
