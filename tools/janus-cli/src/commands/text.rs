//! `janus text`

use std::path::PathBuf;
use std::time::Instant;

use janus_pipeline::{FinishReason, Prompt, TextParams, TextStream};
use serde_json::json;

use super::operands::Operands;
use super::sampling;
use crate::context::Context;
use crate::failure::Failure;
use crate::model::Model;
use crate::progress::Progress;
use crate::{interrupt, output, picture};

const EXAMPLES: &str = "\
Examples:
  janus text --image board.png \"is there a red circle?\"          the embedded demo model
  janus text models/janus-pro-1b --image doge.png \"Explain this meme.\"
  janus text models/janus-pro-1b \"Write a haiku.\" --temperature 0.7 --seed 3
  git log -5 | janus text models/janus-pro-1b -

One word is the question to the demo model; two are a model and the question to it.";

/// Answer a question, about pictures or not
///
/// The answer streams to standard output as it is generated. Pictures are shown to the model before
/// the question, in the order given. Without sampling options the most probable answer is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "janus text [OPTIONS] [MODEL] <QUESTION>")]
pub(crate) struct Args {
    #[command(flatten)]
    operands: Operands,
    /// A picture that the question is about (PNG, JPEG or WebP); may be repeated
    #[arg(long, short, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// Text before the conversation, in the place of the model's own; empty for none
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Tokens of the answer at most
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: usize,
    /// Print one JSON object with text, tokens and time instead of streaming
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sampling: sampling::Flags,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let begun = Instant::now();
    let question = args.operands.text("QUESTION")?;
    let params = TextParams {
        max_new_tokens: args.max_tokens,
        sampling: args.sampling.for_text()?,
    };
    let pictures = picture::open_all(&args.image)?;
    let mut prompt = Prompt::new().user_with(pictures, question);
    if let Some(system) = &args.system {
        prompt = prompt.system(system);
    }

    let model = Model::open(args.operands.model(), context)?;
    let mut janus = model.janus(context)?;
    let mut stream = janus.generate_text(&prompt, &params)?;
    read_prompt(&mut stream, context)?;
    match args.json {
        true => answer_in_json(stream, &model.name, begun),
        false => answer(stream, context),
    }
}

/// Runs the prompt, which takes a while where pictures are in it.
pub(crate) fn read_prompt(stream: &mut TextStream<'_>, context: &Context) -> anyhow::Result<()> {
    let _steps = interrupt::steps();
    let mut bar = Progress::steps("reading the prompt", context);
    while let Some((done, total)) = stream.read_prompt()? {
        bar.set(done as u64, total as u64);
        interrupt::check()?;
    }
    Ok(())
}

/// Prints an answer as it comes, and gives it.
pub(crate) fn stream(stream: &mut TextStream<'_>) -> anyhow::Result<String> {
    let _steps = interrupt::steps();
    let mut answer = String::new();
    for piece in stream {
        let piece = piece?;
        output::piece(&piece)?;
        answer.push_str(&piece);
        if interrupt::asked() {
            output::line("")?;
            return Err(Failure::Interrupted.into());
        }
    }
    output::line("")?;
    Ok(answer)
}

fn answer(mut answer: TextStream<'_>, context: &Context) -> anyhow::Result<()> {
    stream(&mut answer)?;
    if answer.finish_reason() == Some(FinishReason::Length) {
        let tokens = answer.tokens().len();
        context.note(format!(
            "cut after {tokens} tokens; --max-tokens allows more"
        ));
    }
    Ok(())
}

fn answer_in_json(mut stream: TextStream<'_>, model: &str, begun: Instant) -> anyhow::Result<()> {
    let _steps = interrupt::steps();
    let mut text = String::new();
    for piece in &mut stream {
        text.push_str(&piece?);
        interrupt::check()?;
    }
    let tokens: Vec<_> = stream.tokens().iter().map(|token| token.0).collect();
    output::json(&json!({
        "model": model,
        "text": text,
        "tokens": tokens,
        "prompt_tokens": stream.prompt_tokens(),
        "finish_reason": match stream.finish_reason() {
            Some(FinishReason::Length) => "length",
            _ => "stop",
        },
        "seconds": begun.elapsed().as_secs_f64(),
    }))
}
