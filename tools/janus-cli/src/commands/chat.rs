//! `janus chat`

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use image::RgbImage;
use janus_pipeline::{Janus, Prompt, TextParams};
use serde::Serialize;

use super::{sampling, text};
use crate::args::ErrorFormat;
use crate::context::Context;
use crate::drawing::Drawing;
use crate::failure::{self, Failure};
use crate::files::{self, Pattern};
use crate::model::Model;
use crate::{interrupt, output};

const COMMANDS: &str = "\
/image FILE   show a picture (PNG, JPEG or WebP) with the next message
/draw PROMPT  draw a picture and save it; the next message can be about it
/system TEXT  start again, with this text before the conversation
/reset        start again
/save FILE    save the conversation as JSON
/help         tell these commands
/quit         leave";

const EXAMPLES: &str = "\
Commands:
  /image FILE   show a picture (PNG, JPEG or WebP) with the next message
  /draw PROMPT  draw a picture and save it; the next message can be about it
  /system TEXT  start again, with this text before the conversation
  /reset        start again
  /save FILE    save the conversation as JSON
  /help         tell these commands
  /quit         leave

Examples:
  janus chat models/janus-pro-1b
  printf '/draw two red circles\\nwhat is in the picture?\\n' | janus chat";

/// Converse: ask, show pictures, have some drawn
///
/// Every line is a message, or a command that begins with a slash. The model sees the whole
/// conversation so far. Ctrl-C stops an answer or a drawing; at the prompt it leaves. Lines may also
/// come from a pipe; then the first error ends the conversation.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// An exported directory or a checkpoint [default: the embedded demo model]
    model: Option<PathBuf>,
    /// Text before the conversation, in the place of the model's own; empty for none
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: usize,
    #[command(flatten)]
    sampling: sampling::Flags,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let params = TextParams {
        max_new_tokens: args.max_tokens,
        sampling: args.sampling.for_text()?,
    };
    let model = Model::open(args.model.as_deref(), context)?;
    let mut chat = Chat {
        janus: model.janus(context)?,
        model,
        params,
        context,
        seed: args.sampling.seed,
        record: Record::new(args.system.clone()),
        prompt: prompt(args.system.as_deref()),
        pending: Vec::new(),
    };
    let terminal = io::stdin().is_terminal();
    if terminal {
        context.note("/help tells the commands, /quit leaves");
    }
    while let Some(line) = read_line(terminal)? {
        if line == "/quit" {
            break;
        }
        if let Err(error) = chat.take(&line) {
            recover(error, terminal)?;
        }
    }
    Ok(())
}

/// The next line of standard input, trimmed; none at its end.
fn read_line(terminal: bool) -> Result<Option<String>, Failure> {
    if terminal {
        output::piece("> ")?;
    }
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    let read = read.map_err(|source| Failure::Read {
        path: "standard input".into(),
        source,
    })?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

/// Tells an error and goes on, where somebody is there to read it.
fn recover(error: anyhow::Error, terminal: bool) -> anyhow::Result<()> {
    let closed = matches!(error.downcast_ref(), Some(Failure::Stdout(_)));
    if !terminal || closed {
        return Err(error);
    }
    interrupt::forget();
    // The exit code is that of the whole conversation.
    let _ = failure::report(&error, ErrorFormat::Text);
    Ok(())
}

/// A conversation under way.
struct Chat<'a> {
    model: Model,
    janus: Janus,
    params: TextParams,
    context: &'a Context,
    /// Seed of the next drawing.
    seed: u64,
    prompt: Prompt,
    record: Record,
    /// Pictures that the next message shows.
    pending: Vec<Shown>,
}

/// A picture that the next message shows.
struct Shown {
    file: PathBuf,
    picture: RgbImage,
    drawn: bool,
}

impl Chat<'_> {
    fn take(&mut self, line: &str) -> anyhow::Result<()> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match command {
            "" => Ok(()),
            "/image" => self.show(needed(rest, "/image FILE")?.into()),
            "/draw" => self.draw(needed(rest, "/draw PROMPT")?),
            "/save" => self.save(needed(rest, "/save FILE")?.as_ref()),
            "/system" => self.restart(Some(rest.to_owned())),
            "/reset" => self.restart(self.record.system.clone()),
            "/help" => Ok(output::line(COMMANDS)?),
            _ if command.starts_with('/') => {
                let message =
                    format!("there is no command `{command}`; /help tells which there are");
                Err(Failure::usage(message).into())
            }
            _ => self.answer(line),
        }
    }

    fn answer(&mut self, message: &str) -> anyhow::Result<()> {
        let pictures = self.pending.iter().map(|shown| shown.picture.clone());
        let prompt = self.prompt.clone().user_with(pictures.collect(), message);
        let mut stream = self.janus.generate_text(&prompt, &self.params)?;
        text::read_prompt(&mut stream, self.context)?;
        let answer = text::stream(&mut stream)?;
        // A turn that failed or was stopped is no part of the conversation.
        let files = self.pending.drain(..).map(|shown| shown.file);
        self.record.turn(message, files, &answer);
        self.prompt = prompt.assistant(answer);
        Ok(())
    }

    fn show(&mut self, file: PathBuf) -> anyhow::Result<()> {
        let picture = janus_vision::open_image(&file)?;
        self.pending.push(Shown {
            file,
            picture,
            drawn: false,
        });
        Ok(())
    }

    /// Draws a picture, which takes the place of one that was drawn and not asked about.
    fn draw(&mut self, prompt: &str) -> anyhow::Result<()> {
        let drawing = Drawing {
            prompt,
            params: self.janus.image_params(self.seed),
        };
        let mut drawn = drawing.draw(&mut self.janus, self.context, |_, _| Ok(()))?;
        let files = Pattern::free(&format!("janus-chat-{}", self.seed), 1)?;
        let picture = drawn.pictures.swap_remove(0);
        let history = drawing.history(&self.model, 0, &drawn.tokens[0]);
        let file = files.write(0, &picture, &history)?;
        output::line(file.display())?;
        self.seed = self.seed.wrapping_add(1);
        self.pending.retain(|shown| !shown.drawn);
        self.pending.push(Shown {
            file,
            picture,
            drawn: true,
        });
        Ok(())
    }

    fn restart(&mut self, system: Option<String>) -> anyhow::Result<()> {
        self.prompt = prompt(system.as_deref());
        self.record = Record::new(system);
        self.pending.clear();
        Ok(())
    }

    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&self.record)?;
        files::write(path, false, |file| {
            io::Write::write_all(file, text.as_bytes())
        })?;
        Ok(output::line(path.display())?)
    }
}

fn needed<'a>(rest: &'a str, usage: &str) -> Result<&'a str, Failure> {
    match rest {
        "" => Err(Failure::usage(format!("something is missing: {usage}"))),
        rest => Ok(rest),
    }
}

fn prompt(system: Option<&str>) -> Prompt {
    match system {
        Some(system) => Prompt::new().system(system),
        None => Prompt::new(),
    }
}

/// What was said, for a file.
#[derive(Serialize)]
struct Record {
    system: Option<String>,
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pictures: Vec<String>,
}

impl Record {
    fn new(system: Option<String>) -> Self {
        Self {
            system,
            messages: Vec::new(),
        }
    }

    fn turn(&mut self, message: &str, pictures: impl Iterator<Item = PathBuf>, answer: &str) {
        self.messages.push(Message {
            role: "user",
            text: message.to_owned(),
            pictures: pictures.map(|path| path.display().to_string()).collect(),
        });
        self.messages.push(Message {
            role: "assistant",
            text: answer.to_owned(),
            pictures: Vec::new(),
        });
    }
}
