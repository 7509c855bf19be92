//! The demo model and its world: embedded checkpoint, drawn scenes, questions and their judge.
