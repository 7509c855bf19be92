//! Progress on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// How often a log is told.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress of one piece of work.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: String,
    lines: bool,
    told: Instant,
}

impl Progress {
    /// Work of `total` steps.
    pub(crate) fn steps(what: &str, total: u64, quiet: bool) -> Self {
        Self::new(
            what,
            total,
            quiet,
            "{msg} {bar:30} {pos}/{len} {elapsed} left {eta}",
        )
    }

    /// Work of `total` bytes.
    pub(crate) fn bytes(what: &str, total: u64, quiet: bool) -> Self {
        let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} left {eta}";
        Self::new(what, total, quiet, style)
    }

    fn new(what: &str, total: u64, quiet: bool, style: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(total)
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_length(total);
        bar.set_message(what.to_owned());
        Self {
            bar,
            what: what.to_owned(),
            lines: !quiet && !terminal,
            told: Instant::now(),
        }
    }

    /// So much is done.
    pub(crate) fn set(&mut self, done: u64) {
        self.bar.set_position(done);
        if self.lines && self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let total = self.bar.length().unwrap_or(0).max(1);
            output::note(&format!("{}: {} %", self.what, done * 100 / total));
        }
    }

    /// How much there is to do.
    pub(crate) fn set_total(&mut self, total: u64) {
        self.bar.set_length(total);
    }

    /// What is being done now.
    pub(crate) fn describe(&mut self, what: &str) {
        what.clone_into(&mut self.what);
        self.bar.set_message(what.to_owned());
    }

    /// Says something without tearing the bar.
    pub(crate) fn say(&self, text: &str) {
        self.bar.suspend(|| output::note(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
