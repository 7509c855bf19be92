//! Progress on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::context::Context;
use crate::output;

/// How often a log is told.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often a spinner turns.
const TURN_EVERY: Duration = Duration::from_millis(120);

/// Progress of one piece of work. It is taken off the terminal when it is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: String,
    /// Whether lines are told in the place of a bar.
    lines: bool,
    told: Instant,
}

impl Progress {
    /// Work in steps.
    pub(crate) fn steps(what: &str, context: &Context) -> Self {
        let style = "{msg} {bar:30} {pos}/{len}, {eta} left";
        Self::new(what, context, style)
    }

    /// Work on bytes.
    pub(crate) fn bytes(what: &str, context: &Context) -> Self {
        let style = "{msg} {bar:30} {binary_bytes}/{binary_total_bytes}, {eta} left";
        Self::new(what, context, style)
    }

    /// Work of which nobody knows how long it takes.
    pub(crate) fn unknown(what: &str, context: &Context) -> Self {
        let progress = Self::new(what, context, "{spinner} {msg}");
        progress.bar.enable_steady_tick(TURN_EVERY);
        progress
    }

    fn new(what: &str, context: &Context, style: &str) -> Self {
        let quiet = context.global.quiet;
        let terminal = io::stderr().is_terminal();
        let bar = match terminal && !quiet {
            true => ProgressBar::new(0).with_message(what.to_owned()),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self {
            bar,
            what: what.to_owned(),
            lines: !quiet && !terminal,
            told: Instant::now(),
        }
    }

    /// So much is done, of so much.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        if self.lines && self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let percent = 100.0 * done as f64 / total.max(1) as f64;
            output::note(format!("{}: {percent:.0} %", self.what));
        }
    }

    /// What is being done now.
    pub(crate) fn describe(&mut self, what: &str) {
        if what != self.what {
            what.clone_into(&mut self.what);
            self.bar.set_message(what.to_owned());
        }
    }

    /// Does something that prints, without tearing the bar.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
