//! Prompts as ids, as `janus-pipeline` makes them when it draws and answers.

use image::RgbImage;
use janus_pipeline::{Convention, Tokenizer};
use janus_runtime::manifest::ChatConfig;
use janus_runtime::{ModelDir, TokenId};

use crate::error::Result;

/// The ids of a prompt, and where its picture goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) ids: Vec<TokenId>,
    /// The first placeholder of its picture.
    pub(crate) picture: Option<usize>,
}

/// Spells prompts for one model.
#[derive(Debug)]
pub(crate) struct Speller<'a> {
    chat: &'a ChatConfig,
    tokenizer: Tokenizer,
}

impl<'a> Speller<'a> {
    pub(crate) fn open(model: &'a ModelDir) -> Result<Self> {
        Ok(Self {
            chat: &model.manifest().chat,
            tokenizer: Tokenizer::open(model)?,
        })
    }

    /// What is to be drawn, up to where the picture begins.
    pub(crate) fn drawing(&self, prompt: &str) -> Result<Prompt> {
        let ids = self.tokenizer.encode_drawing(prompt, self.chat)?.ids;
        Ok(Prompt { ids, picture: None })
    }

    /// The unconditional twin of a drawing.
    pub(crate) fn unconditional(&self, drawing: &Prompt) -> Prompt {
        Prompt {
            ids: self.tokenizer.unconditional(&drawing.ids),
            picture: None,
        }
    }

    /// A question, about a picture or about none, up to where the answer begins.
    pub(crate) fn question(&self, question: &str, with_picture: bool) -> Result<Prompt> {
        // Only that there is a picture counts here, not which.
        let pictures = vec![RgbImage::new(1, 1); usize::from(with_picture)];
        let prompt = janus_pipeline::Prompt::new().user_with(pictures, question);
        let convention = Convention::default();
        let encoded = self
            .tokenizer
            .encode_conversation(&prompt, self.chat, convention)?;
        Ok(Prompt {
            ids: encoded.ids,
            picture: encoded.pictures.first().copied(),
        })
    }
}
