//! What to do about an error, where there is something. Libraries know no commands; this does.

use std::error::Error as StdError;

use janus_convert::synth::SynthError;
use janus_runtime::ExecutionProvider;

use super::Failure;
use crate::context;

/// The hint of the first error in the chain of causes that has one.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(of_cause)
}

fn of_cause(cause: &(dyn StdError + 'static)) -> Option<String> {
    /// `cause.downcast_ref().and_then(of)` for each kind of error.
    macro_rules! first_of {
        ($($of:path),+ $(,)?) => {
            $(if let Some(hint) = cause.downcast_ref().and_then($of) { return Some(hint); })+
        };
    }
    first_of![
        of_failure,
        of_runtime,
        of_pipeline,
        of_language_model,
        of_picture,
        of_convert,
        of_synth,
        of_demo,
        of_install,
        of_validate,
        of_server,
    ];
    None
}

fn of_failure(error: &Failure) -> Option<String> {
    match error {
        Failure::Usage { hint, .. } => hint.clone(),
        Failure::Exists { .. } => Some("--force replaces it".to_owned()),
        _ => None,
    }
}

fn of_runtime(error: &janus_runtime::Error) -> Option<String> {
    use janus_runtime::Error as E;
    let hint = match error {
        E::ProviderNotInLibrary { provider, .. } => {
            let flavour = context::flavour(*provider)?;
            return Some(format!(
                "`janus runtime install --flavour {flavour}` fetches a library that has it; \
                 `--on cpu` runs everywhere"
            ));
        }
        E::SetUp {
            provider: ExecutionProvider::WebGpu,
            ..
        } => {
            "WebGPU wants a driver for Vulkan that Dawn takes: `vulkaninfo --summary` lists those that \
             are installed"
        }
        E::LoadLibrary { .. } | E::SetUp { .. } => {
            "`janus doctor` tells which library is used and what is missing"
        }
        E::ReadManifest { .. } | E::MissingGraph { .. } => {
            "`janus convert CHECKPOINT OUT` makes a model directory"
        }
        E::ManifestFormat { .. } => "convert the checkpoint again with this version of janus",
        E::Fallback { .. } => {
            "`janus convert CHECKPOINT OUT --target` writes graphs for a provider; \
             --allow-fallback runs these nodes on the CPU"
        }
        E::CannotCapture { .. } => {
            "only exports in ONNX Runtime's own operators can be captured, such as those of \
             `janus convert CHECKPOINT OUT --target cuda --dtype fp16`"
        }
        E::WrongKernel { .. } => "`janus convert CHECKPOINT OUT --target` writes graphs without it",
        E::FileSize { .. } | E::FileHash { .. } => {
            "the export is damaged: remove it, and convert the checkpoint again"
        }
        E::OpenGraph { .. } => "`janus inspect --verify MODEL` tells whether the files are whole",
        E::NotFinite { .. } => "an fp32 export may be able to hold what this one cannot",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_server(error: &janus_server::Error) -> Option<String> {
    use janus_server::Error as E;
    match error {
        E::NoKey { .. } => Some(
            "set JANUS_API_KEY, listen on 127.0.0.1, or let everybody in with --insecure"
                .to_owned(),
        ),
        E::Listen { .. } => Some("--listen 127.0.0.1:PORT takes another port".to_owned()),
        E::Model(error) => of_pipeline(error),
        _ => None,
    }
}

fn of_pipeline(error: &janus_pipeline::Error) -> Option<String> {
    use janus_pipeline::Error as E;
    match error {
        E::Runtime(error) => of_runtime(error),
        E::LanguageModel(error) => of_language_model(error),
        E::Vq(janus_vq::Error::Runtime(error)) => of_runtime(error),
        E::Flow(janus_flow::Error::Runtime(error)) => of_runtime(error),
        E::PromptTooLong { .. } => {
            Some("ask with fewer words or pictures; in a chat, /reset starts again".to_owned())
        }
        _ => None,
    }
}

fn of_language_model(error: &janus_llm::Error) -> Option<String> {
    match error {
        janus_llm::Error::Runtime(error) => of_runtime(error),
        _ => None,
    }
}

fn of_picture(error: &janus_vision::ImageError) -> Option<String> {
    use janus_vision::ImageError as E;
    match error {
        E::TooManyBytes { .. } | E::TooLong { .. } | E::TooManyPixels { .. } => {
            Some("scale it down first: the model sees a few hundred pixels a side".to_owned())
        }
        E::Format { .. } => Some("convert it to PNG, JPEG or WebP".to_owned()),
        _ => None,
    }
}

fn of_convert(error: &janus_convert::Error) -> Option<String> {
    use janus_convert::Error as E;
    let hint = match error {
        E::OutputExists { .. } => "--force replaces it",
        E::NotAnExport { .. } => "name another directory, or remove this one",
        E::OutputLocked { .. } => "wait until it is done",
        E::HalfRange { .. } => "convert with `--dtype fp32`",
        E::VaeMissing { .. } => "`janus convert CHECKPOINT OUT --vae DIR`",
        E::Space { .. } => "make room, or convert with `--dtype fp16`, which takes half",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_synth(error: &SynthError) -> Option<String> {
    match error {
        SynthError::Exists { .. } => Some("name another directory, or remove it".to_owned()),
        _ => None,
    }
}

fn of_demo(error: &janus_demo::Error) -> Option<String> {
    use janus_demo::Error as E;
    match error {
        E::Write { .. } | E::Lock { .. } => {
            Some("--cache or JANUS_CACHE_DIR name another place for converted models".to_owned())
        }
        _ => None,
    }
}

fn of_install(error: &janus_install::Error) -> Option<String> {
    use janus_install::Error as E;
    let hint = match error {
        E::TooOld { .. } | E::NoSuchLibrary { .. } => {
            "without --runtime-library and ORT_DYLIB_PATH janus looks for a library, or fetches one"
        }
        E::InstalledSize { .. } | E::InstalledHash { .. } | E::WritableByOthers { .. } => {
            "remove that directory, and run `janus runtime install`"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_validate(error: &janus_validate::Error) -> Option<String> {
    use janus_validate::Error as E;
    match error {
        E::Runtime(error) => of_runtime(error),
        E::ForeignGraph { source, .. } => of_runtime(source),
        E::LanguageModel(error) => of_language_model(error),
        E::Vq(janus_vq::Error::Runtime(error)) => of_runtime(error),
        E::Flow(janus_flow::Error::Runtime(error)) => of_runtime(error),
        E::Pipeline(error) => of_pipeline(error),
        _ => None,
    }
}
