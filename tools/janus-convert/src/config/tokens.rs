//! The special tokens, found in `tokenizer.json` by their strings.

use std::collections::BTreeMap;
use std::path::Path;

use janus_runtime::manifest::SpecialTokens;
use serde::Deserialize;

use super::unique::UniqueMap;
use crate::beside;
use crate::error::{Error, Result};

/// Name of the file.
pub(crate) const TOKENIZER: &str = "tokenizer.json";
/// No tokenizer of the family comes near this.
const LIMIT: u64 = 128 << 20;

/// Strings and ids of a tokenizer.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    ids: BTreeMap<String, u32>,
    special: SpecialTokens,
}

impl Vocabulary {
    /// Reads the tokenizer of a model with `vocab_size` embeddings.
    pub(crate) fn read(released: &Path, vocab_size: usize) -> Result<Self> {
        let path = released.join(TOKENIZER);
        let bytes = beside::read(released, TOKENIZER, LIMIT)?;
        let file: TokenizerFile =
            serde_json::from_slice(&bytes).map_err(|source| Error::ParseJson {
                path: path.clone(),
                source,
            })?;
        let ids = file.ids(&path)?;
        let tokenizer_size = ids.values().max().map_or(0, |id| id.saturating_add(1));
        if tokenizer_size as usize > vocab_size {
            let expected = format!("below the model's vocab_size = {vocab_size}");
            let greatest = tokenizer_size - 1;
            return Err(unfit(
                &path,
                "id",
                format!("{greatest} for one token"),
                &expected,
            ));
        }
        let id = |token: &'static str| {
            ids.get(token).copied().ok_or(Error::MissingToken {
                path: path.clone(),
                token,
            })
        };
        let special = SpecialTokens {
            bos: id("<｜begin▁of▁sentence｜>")?,
            eos: id("<｜end▁of▁sentence｜>")?,
            pad: id("<｜▁pad▁｜>")?,
            begin_of_image: id("<begin_of_image>")?,
            end_of_image: id("<end_of_image>")?,
            image_placeholder: id("<image_placeholder>")?,
            tokenizer_size,
        };
        Ok(Self { ids, special })
    }

    /// Ids of the tokens with a meaning of their own.
    pub(crate) fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// Whether a text is one token.
    pub(crate) fn has(&self, token: &str) -> bool {
        self.ids.contains_key(token)
    }
}

/// The parts of `tokenizer.json` that name tokens.
#[derive(Deserialize)]
struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    model: TokenizerModel,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct TokenizerModel {
    vocab: UniqueMap<u32>,
}

impl TokenizerFile {
    /// Every token with its id, of which no two are the same.
    fn ids(self, path: &Path) -> Result<BTreeMap<String, u32>> {
        let UniqueMap(mut ids) = self.model.vocab;
        for AddedToken { id, content } in self.added_tokens {
            if content.is_empty() {
                return Err(unfit(
                    path,
                    "content",
                    format!("empty in added token {id}"),
                    "a text",
                ));
            }
            match ids.insert(content, id) {
                Some(other) if other != id => {
                    let found = format!("{id} among the added tokens");
                    return Err(unfit(
                        path,
                        "id",
                        found,
                        &format!("{other}, as in the vocabulary"),
                    ));
                }
                _ => {}
            }
        }
        let mut seen: Vec<u32> = ids.values().copied().collect();
        seen.sort_unstable();
        match seen.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(unfit(
                path,
                "id",
                format!("{} for two tokens", pair[0]),
                "another for each",
            )),
            None => Ok(ids),
        }
    }
}

fn unfit(path: &Path, field: &str, found: String, expected: &str) -> Error {
    let (path, field) = (path.to_owned(), field.to_owned());
    Error::Field {
        path,
        field,
        found,
        expected: expected.to_owned(),
    }
}
