//! `janus serve`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;

use clap::{Args as _, FromArgMatches as _};
use janus_pipeline::WideSteps;
use janus_server::{Drained, Served, Server, Settings};
use serde::{Deserialize as _, Serialize};
use toml::Table;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt;
use crate::model::Model;
use crate::progress::Progress;

/// Exit status where requests had to be cut short, as shells have it after SIGTERM.
const CUT: i32 = 143;

const EXAMPLES: &str = "\
Examples:
  janus serve                                            the embedded demo model, and a page to try it
  janus serve models/janus-pro-1b --listen 127.0.0.1:8080
  JANUS_API_KEY=secret janus serve models/janus-pro-1b --listen 0.0.0.0:8080
  janus serve models/janus-pro-1b --settings janus.toml

  curl http://127.0.0.1:8080/v1/images/generations -H 'content-type: application/json' \\
    -d '{\"prompt\": \"a red circle\", \"seed\": 7}'

Every setting is a flag, a variable JANUS_… and a line of the settings file, which has the flag's
name with underscores (`max_rows = 16`); a flag counts before a variable, a variable before the file.
docs/serving.md tells of the endpoints and of running it for others.";

/// Serve a model over HTTP: chat with pictures and drawing, for many at once
///
/// Clients of OpenAI's interfaces can use it, and a browser at the address it tells. SIGTERM or
/// Ctrl-C stops it when the requests under way are done; a second one stops it at once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An exported directory or a checkpoint [default: the embedded demo model]
    model: Option<PathBuf>,
    /// A file with settings (TOML)
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// What clients call the model [default: the last part of its path]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

/// The settings of `janus_server::Settings`, none of which has to be given.
#[derive(Clone, Debug, Default, clap::Args, Serialize)]
struct Flags {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// What clients have to send as `Authorization: Bearer KEY`; better set as JANUS_API_KEY
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Let other machines come without a key
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    insecure: Option<bool>,
    /// Origins of web pages that may call, beside the server's own page
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    allowed_origins: Option<Vec<String>>,
    /// Host names by which a server behind a proxy is called
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    allowed_hosts: Option<Vec<String>>,
    /// Requests under way; further ones get status 429 [default: 128]
    #[arg(long, value_name = "N")]
    max_requests: Option<usize>,
    /// Rows of the decode batch: an answer has one, a guided picture two [default: 32]
    #[arg(long, value_name = "N")]
    max_rows: Option<usize>,
    /// Memory of the cache of keys and values [default: 4096]
    #[arg(long, value_name = "MIB")]
    cache_mib: Option<usize>,
    /// Positions of a prompt that are run between two steps of the others [default: 64]
    #[arg(long, value_name = "N")]
    prompt_piece: Option<usize>,
    /// What takes its steps by the transformer's form for many rows, which exports in q8 and q4 have:
    /// never, pictures, always [default: pictures]
    #[arg(long, value_name = "WHAT")]
    wide_steps: Option<WideSteps>,
    /// Connections at a time [default: 1024]
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// Length of a request's body [default: 32000000]
    #[arg(long, value_name = "BYTES")]
    max_body_bytes: Option<usize>,
    /// Pictures in a request [default: 8]
    #[arg(long, value_name = "N")]
    max_pictures: Option<usize>,
    /// Pixels of a picture in a request [default: 40000000]
    #[arg(long, value_name = "N")]
    max_pixels: Option<u64>,
    /// Fetch pictures that requests name by addresses of other servers, of the public internet alone
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    allow_remote_images: Option<bool>,
    /// Hosts that may be asked for pictures; without this, every public one
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    remote_image_hosts: Option<Vec<String>>,
    /// Hosts that may be asked for pictures though their addresses are not public
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    private_image_hosts: Option<Vec<String>>,
    /// Seconds in which the pictures of a request have to be there [default: 10]
    #[arg(long, value_name = "S")]
    remote_image_seconds: Option<u64>,
    /// Length of a drawing prompt [default: 32768]
    #[arg(long, value_name = "BYTES")]
    max_prompt_bytes: Option<usize>,
    /// Answers or pictures to one request [default: 4]
    #[arg(long, value_name = "N")]
    max_n: Option<usize>,
    /// Tokens of an answer where the request does not say [default: 512]
    #[arg(long, value_name = "N")]
    default_max_tokens: Option<usize>,
    /// Seconds after which a request is given up [default: 600]
    #[arg(long, value_name = "S")]
    request_seconds: Option<u64>,
    /// Seconds in which the head of a request has to arrive [default: 10]
    #[arg(long, value_name = "S")]
    header_seconds: Option<u64>,
    /// Seconds in which the body of a request has to arrive [default: 30]
    #[arg(long, value_name = "S")]
    body_seconds: Option<u64>,
    /// Seconds in which a client has to take something of what is sent to it [default: 30]
    #[arg(long, value_name = "S")]
    write_seconds: Option<u64>,
    /// Seconds after which a stream without events gets a comment [default: 15]
    #[arg(long, value_name = "S")]
    ping_seconds: Option<u64>,
    /// Seconds that requests under way are given when the server is to stop [default: 30]
    #[arg(long, value_name = "S")]
    drain_seconds: Option<u64>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let settings = settings(args)?;
    // The address first: that it is taken should not be found after a minute of loading.
    let server = Server::bind(settings)?;
    let model = Model::open(args.model.as_deref(), context)?;
    let served = Served {
        name: args.name.clone().unwrap_or_else(|| model.name.clone()),
        dir: &model.dir,
        options: context.session_options()?,
    };
    let name = served.name.clone();
    let opening = Progress::unknown(&format!("opening {name}"), context);
    // Ctrl-C waits for what is under way, as SIGTERM does.
    let _steps = interrupt::steps();
    let ready = |address| {
        drop(opening);
        context.note(format!("{name} answers at http://{address}"));
    };
    let Drained { cut } = server.run(served, ready, stop(context))?;
    if cut > 0 {
        context.note(format!("{cut} requests were cut short"));
        process::exit(CUT);
    }
    Ok(())
}

/// Until the server is told to stop; from then on it takes a second time to stop it at once.
async fn stop(context: &Context) {
    janus_server::stop_signal().await;
    context.note("stopping when the requests under way are done");
    tokio::spawn(async {
        janus_server::stop_signal().await;
        process::exit(CUT);
    });
}

/// The settings file, then variables, then flags.
fn settings(args: &Args) -> anyhow::Result<Settings> {
    let mut table = match &args.settings {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    table.extend(Table::try_from(from_environment()?)?);
    table.extend(Table::try_from(&args.flags)?);
    let settings = Settings::deserialize(table).map_err(|error| Failure::Usage {
        message: format!("settings: {}", error.message()),
        hint: Some("docs/serving.md lists the settings".to_owned()),
    })?;
    Ok(settings)
}

fn read(path: &Path) -> anyhow::Result<Table> {
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })?;
    let table = text.parse().map_err(|error: toml::de::Error| {
        let path = path.display();
        Failure::Input(format!("`{path}`: {}", error.message()))
    });
    Ok(table?)
}

/// The flags that variables give: JANUS_MAX_ROWS is --max-rows.
fn from_environment() -> anyhow::Result<Flags> {
    let command = Flags::augment_args(clap::Command::new("JANUS_… variables"));
    let mut words = vec!["janus".to_owned()];
    for flag in command.get_arguments() {
        let name = flag.get_id().as_str();
        if let Ok(value) = std::env::var(format!("JANUS_{}", name.to_uppercase())) {
            words.push(format!("--{}={value}", name.replace('_', "-")));
        }
    }
    let matches = command.try_get_matches_from(words).map_err(|error| {
        let text = error.render().to_string();
        let first = text.lines().next().unwrap_or_default();
        Failure::usage(format!(
            "a variable: {}",
            first.trim_start_matches("error: ")
        ))
    })?;
    Ok(Flags::from_arg_matches(&matches)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn flags_count_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("janus.toml");
        std::fs::write(&file, "max_rows = 8\nmax_n = 2\nlisten = \"127.0.0.1:9\"\n").unwrap();
        let words = [
            "janus",
            "--settings",
            file.to_str().unwrap(),
            "--max-rows",
            "16",
        ];
        let settings = settings(&Line::parse_from(words).args).unwrap();
        assert_eq!((settings.max_rows, settings.max_n), (16, 2));
        assert_eq!(settings.listen.port(), 9);
        assert_eq!(settings.max_requests, Settings::default().max_requests);
    }

    #[test]
    fn unknown_settings_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("janus.toml");
        std::fs::write(&file, "max_row = 8\n").unwrap();
        let words = ["janus", "--settings", file.to_str().unwrap()];
        let error = settings(&Line::parse_from(words).args).unwrap_err();
        assert!(error.to_string().contains("`max_row`"), "{error}");
    }

    /// What the help says is the default has to be.
    #[test]
    fn the_help_tells_the_defaults() {
        let defaults = format!("{:?}", Settings::default()).to_lowercase();
        let command = Flags::augment_args(clap::Command::new(""));
        let mut told = 0;
        for flag in command.get_arguments() {
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            if let Some((_, default)) = help.split_once("[default: ") {
                let default = default.trim_end_matches(']');
                let field = format!("{}: {default}", flag.get_id());
                assert!(defaults.contains(&field), "{field}: {defaults}");
                told += 1;
            }
        }
        assert!(told >= 14, "{told} defaults");
    }
}
