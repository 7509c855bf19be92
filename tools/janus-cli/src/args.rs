//! What can be asked of `janus`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use janus_runtime::ExecutionProvider;

use crate::commands;
use crate::export::Dtype;

const EXAMPLES: &str = "\
Examples:
  janus demo                                             draw and answer, without any download
  janus image \"a red circle left of a blue square\"       the embedded demo model draws
  janus convert ~/Janus-Pro-1B models/janus-pro-1b --dtype fp16
  janus text models/janus-pro-1b --image doge.png \"Explain this meme.\"
  janus image models/janus-pro-1b \"a red fox in fresh snow\" --images 4 --seed 7
  janus chat models/janus-pro-1b
  janus serve models/janus-pro-1b --listen 127.0.0.1:8080

MODEL is a directory that `janus convert` wrote, or the directory of a released checkpoint, which is
converted into the cache when it is first used. Without a MODEL the embedded demo model is used.

Results go to standard output, everything else to standard error. Exit status:
  0 done                    4 refused (a limit, a forbidden pickle, a path that leads outside)
  1 a bug of janus          5 the system (no room, no permission, no library)
  2 usage                   6 a check failed (a hash, a tolerance)
  3 unusable input          7 out of a resource (memory)
  130 interrupted by Ctrl-C   143 stopped, and requests were cut short";

/// Runs DeepSeek's Janus models on ONNX Runtime: answers questions about pictures, and draws.
#[derive(Debug, Parser)]
#[command(name = "janus", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where graphs run: cpu, cuda, tensorrt, directml, coreml, openvino or webgpu; cuda:1 is the second
    ///
    /// What is asked for is used, or the command fails: there is no silent move to the CPU.
    #[arg(
        long,
        visible_alias = "provider",
        global = true,
        value_name = "PROVIDER",
        default_value = "cpu"
    )]
    pub(crate) on: ExecutionProvider,
    /// A setting of PROVIDER, by the name that ONNX Runtime has for it; may be given several times
    ///
    /// For example gpu_mem_limit=8589934592 of cuda, or device_type=GPU of openvino.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) provider_option: Vec<(String, String)>,
    /// Run on the CPU what PROVIDER has no kernels for, and say what that is
    #[arg(long, global = true)]
    pub(crate) allow_fallback: bool,
    /// Threads that one operator may use [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// The ONNX Runtime library to load, or its directory, instead of looking for one
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) runtime_library: Option<PathBuf>,
    /// Where the library and converted models are kept [default: JANUS_CACHE_DIR, or per user]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Precision in which a checkpoint is exported [default: fp32]
    #[arg(long, global = true, value_name = "DTYPE", value_enum)]
    pub(crate) dtype: Option<Dtype>,
    /// Say nothing on standard error but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Tell what is done, and what ONNX Runtime says, on standard error
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// How errors are told
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value = "text"
    )]
    pub(crate) error_format: ErrorFormat,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it should be KEY=VALUE".to_owned()),
    }
}

/// How errors are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ErrorFormat {
    /// In words, with a hint
    Text,
    /// As one JSON object on one line
    Json,
}

/// What to do. A command is described where its arguments are.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::Args),
    Text(commands::text::Args),
    Chat(commands::chat::Args),
    Image(commands::image::Args),
    // Its settings are many.
    Serve(Box<commands::serve::Args>),
    Inspect(commands::inspect::Args),
    Convert(commands::convert::Args),
    Synth(commands::synth::Args),
    /// Check an export, and compare it with a reference's numbers
    Validate(commands::validate::Args),
    Eval(commands::eval::Args),
    Bench(commands::bench::Args),
    /// Prepare pictures as the understanding encoder sees them
    Preprocess(commands::preprocess::Args),
    /// Turn text into token ids
    Tokenize(commands::tokenize::Args),
    /// Turn pictures into image tokens
    Encode(commands::encode::Args),
    /// Turn image tokens into pictures
    Decode(commands::decode::Args),
    /// Run one graph on given tensors
    Run(commands::run::Args),
    Runtime(commands::runtime::Args),
    Doctor(commands::doctor::Args),
}
