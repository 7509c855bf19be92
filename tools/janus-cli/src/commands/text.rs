//! `janus text`

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use janus_pipeline::{FinishReason, Janus, Prompt, TextParams};
use serde_json::json;

use super::sampling;
use crate::context::Context;
use crate::{interrupt, model, output};

const EXAMPLES: &str = "\
Examples:
  janus text \"is there a red circle?\" --image board.png          the embedded demo model
  janus text models/janus-pro-1b --image doge.png \"Explain this meme.\"
  janus text models/janus-pro-1b \"Write a haiku.\" --temperature 0.7 --seed 3";

/// Arguments of `janus text`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The question, after the model if there is one
    #[arg(required = true, num_args = 1..=2, value_names = ["MODEL", "QUESTION"])]
    words: Vec<String>,
    /// A picture that the question is about (PNG, JPEG, WebP); may be repeated
    #[arg(long, short, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// Text before the conversation, in the place of the model's own; empty for none
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Tokens of the answer at most
    #[arg(long, value_name = "N", default_value_t = 512)]
    max_tokens: usize,
    #[command(flatten)]
    sampling: sampling::Flags,
    /// Print one JSON object instead of streaming text
    #[arg(long)]
    json: bool,
}

/// The model, if one was named, and the text after it.
pub(crate) fn model_and_text(words: &[String]) -> (Option<&Path>, &str) {
    match words {
        [model, text] => (Some(Path::new(model)), text),
        [text] => (None, text),
        _ => (None, ""),
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (model, question) = model_and_text(&args.words);
    let pictures = args
        .image
        .iter()
        .map(|path| Ok(janus_vision::open_image(path)?))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut prompt = Prompt::new();
    if let Some(system) = &args.system {
        prompt = prompt.system(system);
    }
    let prompt = prompt.user_with(pictures, question);
    let params = TextParams {
        max_new_tokens: args.max_tokens,
        sampling: args.sampling.sampling(0.0),
    };

    let mut janus = model::janus(model, context)?;
    if args.json {
        return answer_as_json(&mut janus, &prompt, &params, args);
    }
    let mut stream = janus.generate_text(&prompt, &params)?;
    for piece in &mut stream {
        output::piece(&piece?)?;
        interrupt::check()?;
    }
    let cut = stream.finish_reason() == Some(FinishReason::Length);
    output::line("")?;
    if cut {
        context.note(&format!(
            "cut after {} tokens; --max-tokens allows more",
            args.max_tokens
        ));
    }
    Ok(())
}

fn answer_as_json(
    janus: &mut Janus,
    prompt: &Prompt,
    params: &TextParams,
    args: &Args,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut stream = janus
        .generate_text(prompt, params)
        .context("cannot answer")?;
    let mut text = String::new();
    for piece in &mut stream {
        text.push_str(&piece?);
        interrupt::check()?;
    }
    output::json(&json!({
        "text": text,
        "tokens": stream.tokens().iter().map(|token| token.0).collect::<Vec<_>>(),
        "prompt_tokens": stream.prompt_tokens(),
        "finish_reason": match stream.finish_reason() {
            Some(FinishReason::Length) => "length",
            _ => "stop",
        },
        "seed": args.sampling.seed,
        "seconds": begun.elapsed().as_secs_f64(),
    }))
}
