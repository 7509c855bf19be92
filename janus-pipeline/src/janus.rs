//! A model of the family, ready for both of its tasks.

use std::path::Path;

use janus_llm::LanguageModel;
use janus_runtime::{Manifest, ModelDir, SessionOptions};
use janus_vision::{Convention, VisionEncoder};
use janus_vq::VqDecoder;

use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// A model of the family, ready to answer and to draw.
///
/// The parts are public: each can be used by itself.
#[derive(Debug)]
pub struct Janus {
    /// Pictures to image embeddings.
    pub vision: VisionEncoder,
    /// Embeddings to hidden states to logits.
    pub llm: LanguageModel,
    /// Image tokens to pictures.
    pub vq: VqDecoder,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    manifest: Manifest,
    convention: Convention,
}

impl Janus {
    /// Opens an exported model.
    pub fn open(path: impl AsRef<Path>, options: &SessionOptions) -> Result<Self> {
        Self::from_dir(&ModelDir::open(path)?, options)
    }

    /// Opens an exported model whose manifest has been read.
    pub fn from_dir(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        Ok(Self {
            vision: VisionEncoder::open(model, options)?,
            llm: LanguageModel::open(model, options)?,
            vq: VqDecoder::open(model, options)?,
            tokenizer: Tokenizer::open(model)?,
            manifest: model.manifest().clone(),
            convention: Convention::default(),
        })
    }

    /// Follows another convention.
    pub fn with_convention(self, convention: Convention) -> Self {
        Self {
            vision: self.vision.with_convention(convention),
            convention,
            ..self
        }
    }

    /// Spells turns with other role strings than those that the converter found.
    pub fn with_roles(mut self, user: &str, assistant: &str) -> Self {
        user.clone_into(&mut self.manifest.chat.user);
        assistant.clone_into(&mut self.manifest.chat.assistant);
        self
    }

    /// What the model consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whose habits are followed.
    pub fn convention(&self) -> Convention {
        self.convention
    }

    /// Ids that the tokenizer can spell.
    pub(crate) fn vocabulary(&self) -> usize {
        self.manifest.tokens.tokenizer_size as usize
    }
}
