//! The table from errors to exit statuses. `janus --help` lists them; scripts rely on them.

use std::error::Error as StdError;
use std::io;

use janus_convert::synth::SynthError;

use super::Failure;
use crate::interrupt;

/// Exit statuses of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// A bug of janus.
    Bug,
    /// The command line, or a setting in it.
    Usage,
    /// An input is missing, malformed or of a kind that is not supported.
    Malformed,
    /// An input asks for what is never done: a limit, a pickle's global, a path outside.
    Refused,
    /// The system: no room, no permission, a lock, no library.
    System,
    /// A hash, a tolerance.
    Check,
    /// Memory.
    Resource,
    /// Ctrl-C.
    Interrupted,
}

impl Status {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Malformed => 3,
            Self::Refused => 4,
            Self::System => 5,
            Self::Check => 6,
            Self::Resource => 7,
            Self::Interrupted => interrupt::STATUS,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bug => "bug",
            Self::Usage => "usage",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::System => "system",
            Self::Check => "check",
            Self::Resource => "resource",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The status of an error: that of the first in the chain of causes that has one.
pub(super) fn status(error: &anyhow::Error) -> Status {
    if error.chain().any(is_out_of_memory) {
        return Status::Resource;
    }
    error.chain().find_map(of_cause).unwrap_or(Status::Bug)
}

fn of_cause(cause: &(dyn StdError + 'static)) -> Option<Status> {
    /// `if let Some(error) = cause.downcast_ref() { return of(error); }` for each kind of error.
    macro_rules! first_of {
        ($($of:path),+ $(,)?) => {
            $(if let Some(status) = cause.downcast_ref().map($of) { return Some(status); })+
        };
    }
    first_of![
        of_failure,
        of_runtime,
        of_pipeline,
        of_language_model,
        of_vq,
        of_flow,
        of_picture,
        of_convert,
        of_synth,
        of_install,
        of_validate,
        of_server,
        of_io,
    ];
    let of_demo = || cause.downcast_ref().and_then(of_demo);
    cause.downcast_ref().and_then(of_bench).or_else(of_demo)
}

fn of_failure(error: &Failure) -> Status {
    match error {
        Failure::Interrupted => Status::Interrupted,
        Failure::Usage { .. } => Status::Usage,
        Failure::Input(_) => Status::Malformed,
        Failure::Check(_) => Status::Check,
        Failure::Read { source, .. } => of_io(source),
        Failure::Exists { .. } | Failure::Write { .. } | Failure::Stdout(_) => Status::System,
    }
}

fn of_runtime(error: &janus_runtime::Error) -> Status {
    use janus_runtime::Error as E;
    match error {
        E::ReadManifest { source, .. } | E::ReadFile { source, .. } => of_io(source),
        E::FileSize { .. } | E::FileHash { .. } | E::NotFinite { .. } => Status::Check,
        E::FileOutside { .. } => Status::Refused,
        E::UnknownGraph { .. } | E::UnknownProvider { .. } => Status::Usage,
        E::ProviderNotInLibrary { .. }
        | E::LoadLibrary { .. }
        | E::NoLibrary
        | E::LibraryInUse { .. }
        | E::SetUp { .. }
        | E::Fallback { .. }
        | E::NoRecord { .. }
        | E::CannotCapture { .. }
        | E::WrongKernel { .. } => Status::System,
        E::Run { .. } | E::Tensor { .. } | E::Placement { .. } => Status::Bug,
        // The manifest, a graph, or a tensor that somebody handed over.
        _ => Status::Malformed,
    }
}

fn of_pipeline(error: &janus_pipeline::Error) -> Status {
    use janus_pipeline::Error as E;
    match error {
        E::Runtime(error) => of_runtime(error),
        E::LanguageModel(error) => of_language_model(error),
        E::Vq(error) => of_vq(error),
        E::Flow(error) => of_flow(error),
        E::Setting { .. } => Status::Usage,
        E::QueueFull { .. } => Status::Resource,
        E::ReadTokenizer { source, .. } => of_io(source),
        E::Tokenize { .. } | E::PictureInAnswer { .. } => Status::Bug,
        _ => Status::Malformed,
    }
}

fn of_language_model(error: &janus_llm::Error) -> Status {
    use janus_llm::Error as E;
    match error {
        E::Runtime(error) => of_runtime(error),
        E::Setting { .. } => Status::Usage,
        E::Token { .. } | E::OutputShape { .. } => Status::Malformed,
        _ => Status::Bug,
    }
}

fn of_flow(error: &janus_flow::Error) -> Status {
    use janus_flow::Error as E;
    match error {
        E::Runtime(error) => of_runtime(error),
        E::Setting { .. } => Status::Usage,
        _ => Status::Malformed,
    }
}

fn of_vq(error: &janus_vq::Error) -> Status {
    match error {
        janus_vq::Error::Runtime(error) => of_runtime(error),
        _ => Status::Malformed,
    }
}

fn of_picture(error: &janus_vision::ImageError) -> Status {
    use janus_vision::ImageError as E;
    match error {
        E::Read { source, .. } => of_io(source),
        E::TooManyBytes { .. } | E::TooLong { .. } | E::TooManyPixels { .. } => Status::Refused,
        _ => Status::Malformed,
    }
}

fn of_convert(error: &janus_convert::Error) -> Status {
    use janus_convert::Error as E;
    use janus_convert::checkpoint::{CheckpointError, Fault};
    match error {
        E::Cancelled => return Status::Interrupted,
        E::OutputInCheckpoint { .. } => return Status::Usage,
        E::ReadFile { source, .. } | E::Checkpoint(CheckpointError::Open { source, .. }) => {
            return of_io(source);
        }
        E::Checkpoint(CheckpointError::OutOfMemory { .. }) => return Status::Resource,
        _ => {}
    }
    match error.fault() {
        Fault::Malformed => Status::Malformed,
        Fault::Refused => Status::Refused,
        Fault::Environment => Status::System,
        Fault::Verification => Status::Check,
    }
}

fn of_synth(_: &SynthError) -> Status {
    // It reads nothing: whatever goes wrong is the disk's.
    Status::System
}

/// Where a graph failed, the next cause says how.
fn of_bench(error: &janus_bench::Error) -> Option<Status> {
    use janus_bench::Error as E;
    match error {
        E::Measure { .. } => None,
        E::UnknownStage { .. }
        | E::StageMissing { .. }
        | E::HeadMissing { .. }
        | E::WideFormMissing => Some(Status::Usage),
        E::BandwidthBuffer { .. } => Some(Status::Resource),
    }
}

/// Where the model or the converter failed, the next cause says how.
fn of_demo(error: &janus_demo::Error) -> Option<Status> {
    use janus_demo::Error as E;
    match error {
        E::Draw { .. } | E::Answer { .. } | E::RoundTrip { .. } | E::Export { .. } => None,
        E::Write { .. } | E::Lock { .. } => Some(Status::System),
        _ => Some(Status::Bug),
    }
}

fn of_install(error: &janus_install::Error) -> Status {
    use janus_install::Error as E;
    match error {
        E::UnknownFlavour { .. } | E::ParseVersion { .. } => Status::Usage,
        E::OtherFile { .. }
        | E::FetchedSize { .. }
        | E::FetchedHash { .. }
        | E::InstalledSize { .. }
        | E::InstalledHash { .. } => Status::Check,
        E::WritableByOthers { .. } => Status::Refused,
        _ => Status::System,
    }
}

fn of_validate(error: &janus_validate::Error) -> Status {
    use janus_validate::Error as E;
    match error {
        E::Runtime(error) => of_runtime(error),
        E::LanguageModel(error) => of_language_model(error),
        E::Vq(error) => of_vq(error),
        E::Flow(error) => of_flow(error),
        E::Pipeline(error) => of_pipeline(error),
        E::ReadFile { source, .. } => of_io(source),
        E::WriteFile { .. } => Status::System,
        E::FileTooLarge { .. } => Status::Refused,
        E::NoKernelTable { .. } => Status::Usage,
        // Whoever wrote the graph has the bug.
        E::ForeignGraph { source, .. } => match of_runtime(source) {
            Status::Bug => Status::Malformed,
            status => status,
        },
        _ => Status::Malformed,
    }
}

fn of_server(error: &janus_server::Error) -> Status {
    use janus_server::Error as E;
    match error {
        E::Setting { .. } | E::NoKey { .. } => Status::Usage,
        E::Model(error) => of_pipeline(error),
        _ => Status::System,
    }
}

/// What the system says of an input: it is not one, or it cannot be read.
fn of_io(error: &io::Error) -> Status {
    use io::ErrorKind as K;
    match error.kind() {
        K::NotFound
        | K::NotADirectory
        | K::IsADirectory
        | K::InvalidInput
        | K::InvalidData
        | K::InvalidFilename
        | K::UnexpectedEof => Status::Malformed,
        K::OutOfMemory => Status::Resource,
        _ => Status::System,
    }
}

/// ONNX Runtime says only in words that an allocation failed.
fn is_out_of_memory(cause: &(dyn StdError + 'static)) -> bool {
    let text = cause.to_string();
    let told = [
        "Failed to allocate memory",
        "bad allocation",
        "std::bad_alloc",
    ];
    told.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_first_cause_that_has_a_status_decides() {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let manifest = || janus_runtime::Error::ReadManifest {
            path: "m".into(),
            source: missing(),
        };
        let export = janus_demo::Error::Export {
            path: "m".into(),
            source: janus_convert::Error::Cancelled.into(),
        };
        let read = Failure::Read {
            path: "x".into(),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        let memory = io::Error::other("Failed to allocate memory for requested buffer of size 9");
        let cases: [(anyhow::Error, u8); 8] = [
            (Failure::usage("two models").into(), 2),
            (manifest().into(), 3),
            (janus_pipeline::Error::from(manifest()).into(), 3),
            (export.into(), 130),
            (read.into(), 5),
            (anyhow::anyhow!("who knows"), 1),
            (Err::<(), _>(missing()).context("reading").unwrap_err(), 3),
            (Err::<(), _>(memory).context("running").unwrap_err(), 7),
        ];
        for (error, code) in cases {
            assert_eq!(status(&error).code(), code, "{error:#}");
        }
    }
}
