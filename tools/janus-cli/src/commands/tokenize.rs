//! `janus tokenize`

use janus_pipeline::{TokenId, Tokenizer};
use serde_json::json;

use super::text::model_and_text;
use crate::context::Context;
use crate::failure::BadInput;
use crate::{model, output};

const EXAMPLES: &str = "\
Examples:
  janus tokenize \"a red circle\"                                  with the embedded demo model
  janus tokenize models/janus-pro-1b \"a red fox\" --json
  janus tokenize models/janus-pro-1b --decode \"64 3098 21779\"

The text is taken as it stands: nothing is added, and control tokens that it spells out are letters.";

/// Arguments of `janus tokenize`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The text, after the model if there is one
    #[arg(required = true, num_args = 1..=2, value_names = ["MODEL", "TEXT"])]
    words: Vec<String>,
    /// The text is ids, with spaces or commas between them: print what they spell
    #[arg(long)]
    decode: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (model, text) = model_and_text(&args.words);
    let model = model::open(model, context)?;
    let tokenizer = Tokenizer::open(&model)?;
    if args.decode {
        let text = tokenizer.decode(&ids(text, &tokenizer)?)?;
        return match args.json {
            true => output::json(&json!({ "text": text })),
            false => Ok(output::line(text)?),
        };
    }
    let ids: Vec<_> = tokenizer.encode(text)?.iter().map(|id| id.0).collect();
    match args.json {
        true => output::json(&json!({ "ids": ids })),
        false => {
            let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
            Ok(output::line(ids.join(" "))?)
        }
    }
}

/// The ids that a text lists.
fn ids(text: &str, tokenizer: &Tokenizer) -> Result<Vec<TokenId>, BadInput> {
    let limit = tokenizer.special().tokenizer_size;
    text.split([' ', ',', '\n', '\t'])
        .filter(|word| !word.is_empty())
        .map(|word| match word.parse() {
            Ok(id) if id < limit => Ok(TokenId(id)),
            _ => {
                let word = word.escape_debug();
                Err(BadInput(format!("`{word}` is not a token id from 0 to {}", limit - 1)))
            }
        })
        .collect()
}
