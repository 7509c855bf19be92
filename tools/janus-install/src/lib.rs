//! Finds the ONNX Runtime library, or fetches it once.
