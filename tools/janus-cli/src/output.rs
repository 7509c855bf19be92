//! Lines, pieces of lines and JSON on standard output; notes on standard error.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// A line on standard output.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}").map_err(Failure::Stdout)
}

/// Part of a line on standard output, shown at once.
pub(crate) fn piece(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::Stdout)
}

/// Indented JSON on standard output.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string_pretty(value)?)?)
}

/// A line on standard error; nobody may be listening.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A number of bytes as people read it.
pub(crate) fn bytes(count: u64) -> impl Display {
    indicatif::BinaryBytes(count)
}
