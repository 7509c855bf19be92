//! Pictures to image embeddings: the preprocessing and the understanding encoder of Janus.
