//! Pictures to image tokens and back: the VQ tokenizer of Janus.
