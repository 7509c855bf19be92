//! Text to token ids and back.

use std::path::Path;

use janus_runtime::manifest::{ChatConfig, SpecialTokens};
use janus_runtime::{ModelDir, TokenId};
use janus_vision::Convention;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::prompt::{Part, Prompt, Spelling, spell_drawing};

/// The tokenizer of a model, and the ids that stand for things that are not text.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: SpecialTokens,
    /// Positions that one picture takes between its begin and end tokens.
    picture_len: usize,
}

/// The ids of a prompt, and where its pictures go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids; a picture is so many placeholders.
    pub ids: Vec<TokenId>,
    /// The first placeholder of each picture.
    pub pictures: Vec<usize>,
}

impl Tokenizer {
    /// Loads `tokenizer.json` of an exported model.
    pub fn open(model: &ModelDir) -> Result<Self> {
        let path = model.path().join("tokenizer.json");
        let manifest = model.manifest();
        Self::load(&path, manifest.tokens.clone(), manifest.vision.num_tokens)
    }

    /// Loads a tokenizer from a file.
    pub fn load(path: &Path, special: SpecialTokens, picture_len: usize) -> Result<Self> {
        let text = std::fs::read(path).map_err(|source| Error::ReadTokenizer {
            path: path.to_owned(),
            source,
        })?;
        let fail = |source| Error::LoadTokenizer {
            path: path.to_owned(),
            source,
        };
        let mut json: Value = serde_json::from_slice(&text).map_err(|e| fail(e.into()))?;
        mark_special(&mut json, &special);
        let text = serde_json::to_vec(&json).map_err(|e| fail(e.into()))?;
        let mut inner = tokenizers::Tokenizer::from_bytes(text).map_err(fail)?;
        // Only what this crate places is a control token, never what somebody typed.
        inner.set_encode_special_tokens(true);
        Ok(Self {
            inner,
            special,
            picture_len,
        })
    }

    /// Ids of the tokens that are not text.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// The ids of a text as it stands: nothing is added, and control tokens that it spells out
    /// are letters.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|source| Error::Tokenize { source })?;
        Ok(encoding.get_ids().iter().copied().map(TokenId).collect())
    }

    /// The text of ids; control tokens are left out.
    pub fn decode(&self, ids: &[TokenId]) -> Result<String> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        self.inner
            .decode(&ids, true)
            .map_err(|source| Error::Tokenize { source })
    }

    /// The ids of a conversation, up to where the model's turn begins.
    ///
    /// # Errors
    ///
    /// As for [`Tokenizer::encode`], and where a message cannot be spelled.
    pub fn encode_conversation(
        &self,
        prompt: &Prompt,
        chat: &ChatConfig,
        convention: Convention,
    ) -> Result<Encoded> {
        self.encode_spelling(&prompt.spell(chat, convention)?)
    }

    /// The ids of what is to be drawn, up to where the picture begins.
    pub fn encode_drawing(&self, prompt: &str, chat: &ChatConfig) -> Result<Encoded> {
        self.encode_spelling(&spell_drawing(prompt, chat))
    }

    /// The ids of a prompt, its begin-of-sentence token first.
    fn encode_spelling(&self, spelling: &Spelling) -> Result<Encoded> {
        let special = &self.special;
        let mut ids = vec![TokenId(special.bos)];
        let mut pictures = Vec::new();
        for part in merge_plain_roles(&self.inner, spelling) {
            match part {
                Part::Text(text) => ids.extend(self.encode(&text)?),
                Part::Role(role) => ids.extend(self.inner.token_to_id(&role).map(TokenId)),
                Part::EndOfSentence => ids.push(TokenId(special.eos)),
                Part::BeginOfImage => ids.push(TokenId(special.begin_of_image)),
                Part::Picture => {
                    ids.push(TokenId(special.begin_of_image));
                    pictures.push(ids.len());
                    let placeholder = TokenId(special.image_placeholder);
                    ids.extend(std::iter::repeat_n(placeholder, self.picture_len));
                    ids.push(TokenId(special.end_of_image));
                }
            }
        }
        Ok(Encoded { ids, pictures })
    }

    /// The unconditional twin of a drawing prompt: everything between its first token and its
    /// last becomes the pad token, which is attended to like any other.
    pub fn unconditional(&self, ids: &[TokenId]) -> Vec<TokenId> {
        let last = ids.len().saturating_sub(1);
        let pad = TokenId(self.special.pad);
        ids.iter()
            .enumerate()
            .map(|(i, &id)| if i == 0 || i == last { id } else { pad })
            .collect()
    }
}

/// A role that is no token of its own is text, and part of the text around it: tokens may reach
/// across.
fn merge_plain_roles(tokenizer: &tokenizers::Tokenizer, spelling: &Spelling) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for part in &spelling.parts {
        let is_token = |role: &str| {
            tokenizer
                .get_added_vocabulary()
                .get_vocab()
                .contains_key(role)
        };
        let text = match part {
            Part::Text(text) => text,
            Part::Role(role) if !is_token(role) => role,
            other => {
                parts.push(other.clone());
                continue;
            }
        };
        match parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ => parts.push(Part::Text(text.clone())),
        }
    }
    parts
}

/// Control tokens are special whatever the file says: a token that is merely "added" would be
/// recognised in what people type.
fn mark_special(json: &mut Value, special: &SpecialTokens) {
    let control = [
        special.bos,
        special.eos,
        special.pad,
        special.begin_of_image,
        special.end_of_image,
        special.image_placeholder,
    ];
    for token in json["added_tokens"].as_array_mut().into_iter().flatten() {
        if token["id"]
            .as_u64()
            .is_some_and(|id| control.iter().any(|&c| u64::from(c) == id))
        {
            token["special"] = Value::Bool(true);
        }
    }
}

/// Text piece by piece. A character whose bytes come in several tokens is held back until it is
/// whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Detokenizer {
    ids: Vec<TokenId>,
    /// Where decoding starts: one told piece back, since a token's text may depend on the one
    /// before it.
    context: usize,
    /// Up to where the text has been told.
    told: usize,
}

impl Detokenizer {
    /// Takes the next id and gives the text that it completes, which may be empty.
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, id: TokenId) -> Result<String> {
        self.ids.push(id);
        let text = self.pending(tokenizer)?;
        if text.ends_with('\u{fffd}') {
            return Ok(String::new());
        }
        self.context = self.told;
        self.told = self.ids.len();
        Ok(text)
    }

    /// The text of bytes that never became a whole character.
    pub(crate) fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        let text = self.pending(tokenizer)?;
        self.told = self.ids.len();
        Ok(text)
    }

    fn pending(&self, tokenizer: &Tokenizer) -> Result<String> {
        let before = tokenizer.decode(&self.ids[self.context..self.told])?;
        let all = tokenizer.decode(&self.ids[self.context..])?;
        Ok(all.get(before.len()..).unwrap_or_default().to_owned())
    }
}
