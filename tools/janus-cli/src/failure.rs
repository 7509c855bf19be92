//! Errors as people and programs are told them: the chain of causes, a hint, an exit status.

mod exit;
mod hint;

use std::fmt::Write as _;
use std::io;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::error::ErrorKind;

use crate::args::ErrorFormat;
use crate::output;
use exit::Status;

/// What goes wrong in the command itself; everything else comes from the libraries.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The command line asks for something that cannot be.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// A file or directory that was given is not what it should be.
    #[error("{0}")]
    Input(String),
    /// A check that was asked for says no.
    #[error("{0}")]
    Check(String),
    /// A file is there already, and may not be replaced.
    #[error("`{}` exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An input is missing or unreadable.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Standard output takes no more.
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
}

impl Failure {
    /// The command line asks for something that cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: None,
        }
    }
}

/// Tells an error on standard error and gives its exit code.
pub(crate) fn report(error: &anyhow::Error, format: ErrorFormat) -> ExitCode {
    if is_closed_pipe(error) {
        // Whoever read standard output has seen enough.
        return ExitCode::SUCCESS;
    }
    let report = Report {
        status: exit::status(error),
        error: error.to_string(),
        causes: error.chain().skip(1).map(ToString::to_string).collect(),
        hint: hint::hint(error),
    };
    report.tell(format)
}

/// Tells what clap found wrong with the command line, or the help that was asked for.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    let asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if asked_for || !json_is_asked_for() {
        // Nobody may be reading.
        let _ = error.print();
        return ExitCode::from(error.exit_code() as u8);
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(on_one_line);
    let first = paragraphs.next().unwrap_or_default();
    let report = Report {
        status: Status::Usage,
        error: first.trim_start_matches("error: ").to_owned(),
        causes: Vec::new(),
        hint: paragraphs.find_map(|text| text.strip_prefix("tip: ").map(str::to_owned)),
    };
    report.tell(ErrorFormat::Json)
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the command line, which could not be parsed, asks for errors in JSON.
fn json_is_asked_for() -> bool {
    let words: Vec<_> = std::env::args().collect();
    let apart = ["--error-format", "json"];
    words.windows(2).any(|pair| pair == apart) || words.iter().any(|w| w == "--error-format=json")
}

static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps what a panic says for [`of_panic`]; one that is caught on the way is nobody's business.
pub(crate) fn keep_panics_quiet() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!(" ({place})"));
        let text = info.payload_as_str().unwrap_or("panic");
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = Some(format!("{text}{}", place.unwrap_or_default()));
        }
    }));
}

/// Tells of a panic that nobody caught.
pub(crate) fn of_panic(format: ErrorFormat) -> ExitCode {
    let text = LAST_PANIC.lock().ok().and_then(|mut last| last.take());
    let report = Report {
        status: Status::Bug,
        error: "this is a bug of janus".to_owned(),
        causes: text.into_iter().collect(),
        hint: Some("please report it with the command, the version and this message".to_owned()),
    };
    report.tell(format)
}

/// An error, ready to be told.
struct Report {
    status: Status,
    error: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Report {
    fn tell(&self, format: ErrorFormat) -> ExitCode {
        output::note(match format {
            ErrorFormat::Text => self.in_words(),
            ErrorFormat::Json => self.in_json(),
        });
        ExitCode::from(self.status.code())
    }

    fn in_words(&self) -> String {
        if self.status == Status::Interrupted {
            return self.error.clone();
        }
        let mut text = format!("error: {}", self.error);
        for cause in &self.causes {
            // Writing to a `String` cannot fail.
            let _ = write!(text, ": {cause}");
        }
        if let Some(hint) = &self.hint {
            let _ = write!(text, "\n\nhint: {hint}");
        }
        text
    }

    fn in_json(&self) -> String {
        serde_json::json!({
            "code": self.status.name(),
            "exit": self.status.code(),
            "error": self.error,
            "causes": self.causes,
            "hint": self.hint,
        })
        .to_string()
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let failure = error.chain().find_map(|e| e.downcast_ref::<Failure>());
    matches!(failure, Some(Failure::Stdout(e)) if e.kind() == io::ErrorKind::BrokenPipe)
}
