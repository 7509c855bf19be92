//! Janus: prompts in, text or pictures out.
