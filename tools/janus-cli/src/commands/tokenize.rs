//! `janus tokenize`

use janus_pipeline::{TokenId, Tokenizer};
use serde_json::json;

use super::operands::Operands;
use crate::context::Context;
use crate::failure::Failure;
use crate::model::Model;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  janus tokenize \"a red circle\"                                  with the embedded demo model
  janus tokenize models/janus-pro-1b \"a red fox\" --json
  janus tokenize models/janus-pro-1b --decode \"64 3098 21779\"

The text is taken as it stands: nothing is added, and control tokens that it spells out are letters.";

/// Turn text into token ids
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "janus tokenize [OPTIONS] [MODEL] <TEXT>")]
pub(crate) struct Args {
    #[command(flatten)]
    operands: Operands,
    /// The text is ids, with spaces or commas between them: print what they spell
    #[arg(long)]
    decode: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let text = args.operands.text("TEXT")?;
    let model = Model::open(args.operands.model(), context)?;
    let tokenizer = Tokenizer::open(&model.dir)?;
    if args.decode {
        let text = tokenizer.decode(&ids(&text, &tokenizer)?)?;
        return match args.json {
            true => output::json(&json!({ "text": text })),
            false => Ok(output::line(text)?),
        };
    }
    let ids: Vec<_> = tokenizer.encode(&text)?.iter().map(|id| id.0).collect();
    match args.json {
        true => output::json(&json!({ "ids": ids })),
        false => {
            let ids: Vec<_> = ids.iter().map(u32::to_string).collect();
            Ok(output::line(ids.join(" "))?)
        }
    }
}

/// The ids that a text lists.
fn ids(text: &str, tokenizer: &Tokenizer) -> Result<Vec<TokenId>, Failure> {
    let limit = tokenizer.special().tokenizer_size;
    text.split([' ', ',', '\n', '\t'])
        .filter(|word| !word.is_empty())
        .map(|word| match word.parse() {
            Ok(id) if id < limit => Ok(TokenId(id)),
            _ => {
                let (word, last) = (word.escape_debug(), limit.saturating_sub(1));
                Err(Failure::Input(format!(
                    "`{word}` is not a token id from 0 to {last}"
                )))
            }
        })
        .collect()
}
