//! Checkpoints that are not converted, and what is said of them.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../common/mod.rs"]
mod common;
mod files;
mod flow;
mod settings;
mod weights;

use common::{Altered, chain};
use janus_convert::{ConvertOptions, convert};

/// Converts an altered copy; it must fail, leave nothing, and say why.
#[track_caller]
pub(crate) fn refusal(layout: &str, alter: impl FnOnce(&Altered)) -> String {
    let checkpoint = Altered::copy(layout);
    alter(&checkpoint);
    let result = convert(
        &checkpoint.released(),
        &checkpoint.out(),
        &ConvertOptions::default(),
    );
    assert!(
        checkpoint.around().is_empty(),
        "{result:?} left {:?}",
        checkpoint.around()
    );
    let message = result.map_or_else(|error| chain(&error), |_| "it was converted".to_owned());
    let place = checkpoint
        .released()
        .canonicalize()
        .unwrap()
        .display()
        .to_string();
    message.replace(&place, "…")
}

#[track_caller]
pub(crate) fn check(layout: &str, alter: impl FnOnce(&Altered), expected: &str) {
    assert_eq!(refusal(layout, alter), expected);
}
