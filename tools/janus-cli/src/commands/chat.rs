//! `janus chat`

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image::RgbImage;
use janus_pipeline::{Janus, Prompt, TextParams};

use super::sampling;
use crate::context::Context;
use crate::progress::Progress;
use crate::{interrupt, model, output};

const COMMANDS: &str = "\
/image FILE   show a picture with the next message
/draw PROMPT  draw a picture; it is shown with the next message
/save FILE    save the last picture drawn
/system TEXT  start again with another system text
/reset        start again
/help         this list
/quit         leave";

/// Arguments of `janus chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMMANDS)]
pub(crate) struct Args {
    /// The model [default: the embedded demo model]
    model: Option<PathBuf>,
    /// Text before the conversation, in the place of the model's own
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Tokens of an answer at most
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: usize,
    #[command(flatten)]
    sampling: sampling::Flags,
}

/// A conversation under way.
struct Chat<'a> {
    janus: Janus,
    params: TextParams,
    context: &'a Context,
    prompt: Prompt,
    system: Option<String>,
    /// Pictures that the next message shows.
    shown: Vec<RgbImage>,
    /// The last picture drawn, and how many there were.
    drawn: (Option<RgbImage>, u64),
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let sampling = args.sampling.sampling(0.0);
    let mut chat = Chat {
        janus: model::janus(args.model.as_deref(), context)?,
        params: TextParams {
            max_new_tokens: args.max_tokens,
            sampling,
        },
        context,
        prompt: Prompt::new(),
        system: args.system.clone(),
        shown: Vec::new(),
        drawn: (None, args.sampling.seed),
    };
    chat.reset();
    let terminal = io::stdin().is_terminal();
    if terminal {
        context.note("/help lists the commands, /quit leaves");
    }
    let mut lines = io::stdin().lock().lines();
    loop {
        if terminal {
            output::piece("> ")?;
        }
        let Some(line) = lines.next() else {
            return Ok(());
        };
        let line = line.context("cannot read standard input")?;
        if line.trim() == "/quit" {
            return Ok(());
        }
        // A picture that cannot be read must not end a conversation.
        if let Err(error) = chat.take(line.trim()) {
            interrupt::check()?;
            output::note(&format!("error: {error:#}"));
        }
    }
}

impl Chat<'_> {
    fn take(&mut self, line: &str) -> anyhow::Result<()> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "" => Ok(()),
            "/image" => {
                self.shown.push(janus_vision::open_image(rest.trim())?);
                Ok(())
            }
            "/draw" => self.draw(rest.trim()),
            "/save" => self.save(Path::new(rest.trim())),
            "/system" => {
                self.system = Some(rest.trim().to_owned());
                self.reset();
                Ok(())
            }
            "/reset" => {
                self.reset();
                Ok(())
            }
            "/help" => Ok(output::line(COMMANDS)?),
            _ if command.starts_with('/') => {
                anyhow::bail!("there is no command `{command}`; /help lists them")
            }
            _ => self.answer(line),
        }
    }

    fn reset(&mut self) {
        self.prompt = Prompt::new();
        if let Some(system) = &self.system {
            self.prompt = std::mem::take(&mut self.prompt).system(system);
        }
        self.shown.clear();
    }

    fn answer(&mut self, message: &str) -> anyhow::Result<()> {
        let prompt = self.prompt.clone().user_with(self.shown.clone(), message);
        let mut answer = String::new();
        for piece in self.janus.generate_text(&prompt, &self.params)? {
            let piece = piece?;
            output::piece(&piece)?;
            answer.push_str(&piece);
            interrupt::check()?;
        }
        output::line("")?;
        self.prompt = prompt.assistant(answer);
        self.shown.clear();
        Ok(())
    }

    fn draw(&mut self, prompt: &str) -> anyhow::Result<()> {
        let seed = self.drawn.1;
        let params = self.janus.image_params(seed);
        let mut stream = self.janus.generate_image_tokens(prompt, &params)?;
        let total = stream.len() as u64;
        let mut bar = Progress::steps("drawing", total, self.context.global.quiet);
        while let Some(step) = stream.next() {
            step?;
            interrupt::check()?;
            bar.set(total - stream.len() as u64);
        }
        let picture = stream.pictures()?.swap_remove(0);
        drop(bar);
        let path = PathBuf::from(format!("janus-chat-{seed}.png"));
        output::write_png(&path, &picture, None, true)?;
        output::line(path.display())?;
        self.shown.push(picture.clone());
        self.drawn = (Some(picture), seed + 1);
        Ok(())
    }

    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let picture = self.drawn.0.as_ref().context("nothing was drawn yet")?;
        output::write_png(path, picture, None, false)?;
        Ok(output::line(path.display())?)
    }
}
