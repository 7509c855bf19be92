//! Embeddings to hidden states to the logits of either vocabulary: the language model of Janus.
