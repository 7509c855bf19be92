//! A model of the family, ready for both of its tasks.

use std::path::Path;

use janus_flow::{FlowDecoder, FlowEncoder, VaeDecoder};
use janus_llm::LanguageModel;
use janus_runtime::manifest::DrawingConfig;
use janus_runtime::{Error as RuntimeError, Manifest, ModelDir, SessionOptions};
use janus_vision::{Convention, VisionEncoder};
use janus_vq::VqDecoder;

use crate::error::{Error, Result};
use crate::scheduler::Scheduler;
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
    /// What it draws with beside the language model.
    pub drawing: Drawing,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    pub(crate) manifest: Manifest,
    convention: Convention,
}

/// What a model draws with beside the language model.
#[derive(Debug)]
pub enum Drawing {
    /// Image tokens to pictures.
    Tokens(Box<VqDecoder>),
    /// A rectified flow from noise to pictures.
    Flow(Box<Flow>),
}

/// The parts of a rectified flow (JanusFlow) on either side of the language model.
#[derive(Debug)]
pub struct Flow {
    /// Latents to positions of the language model.
    pub encoder: FlowEncoder,
    /// Hidden states to velocities of the latents.
    pub decoder: FlowDecoder,
    /// Latents to pictures.
    pub vae: VaeDecoder,
}

impl Flow {
    /// The flow of an export. Each of its graphs is opened when it is first needed.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        Ok(Self {
            encoder: FlowEncoder::open(model, options)?,
            decoder: FlowDecoder::open(model, options)?,
            vae: VaeDecoder::open(model, options)?,
        })
    }
}

impl Janus {
    /// Opens an exported model.
    pub fn open(path: impl AsRef<Path>, options: &SessionOptions) -> Result<Self> {
        Self::from_dir(&ModelDir::open(path)?, options)
    }

    /// Opens an exported model whose manifest has been read.
    pub fn from_dir(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let drawing = match model.manifest().drawing {
            DrawingConfig::Tokens(_) => Drawing::Tokens(Box::new(VqDecoder::open(model, options)?)),
            DrawingConfig::Flow(_) => Drawing::Flow(Box::new(Flow::open(model, options)?)),
        };
        Ok(Self {
            vision: VisionEncoder::open(model, options)?,
            llm: LanguageModel::open(model, options)?,
            drawing,
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

    /// Image tokens to pictures.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::OtherDrawing`] where the model does not draw by image tokens.
    pub fn vq(&mut self) -> Result<&mut VqDecoder> {
        self.drawing.vq(&self.manifest)
    }

    /// A scheduler for this model's answers and pictures.
    pub fn scheduler(&self) -> Scheduler {
        // The embedding table may have more rows than the tokenizer has tokens.
        Scheduler::new(&self.llm, self.manifest.tokens.tokenizer_size as usize)
    }
}

impl Drawing {
    /// What draws by image tokens; the error names what `manifest` says of the model.
    pub(crate) fn vq(&mut self, manifest: &Manifest) -> Result<&mut VqDecoder> {
        match self {
            Self::Tokens(vq) => Ok(vq),
            Self::Flow(_) => Err(other(manifest, "image tokens")),
        }
    }

    /// What draws by rectified flow.
    pub(crate) fn flow(&mut self, manifest: &Manifest) -> Result<&mut Flow> {
        match self {
            Self::Flow(flow) => Ok(flow),
            Self::Tokens(_) => Err(other(manifest, "rectified flow")),
        }
    }
}

fn other(manifest: &Manifest, expected: &'static str) -> Error {
    let found = manifest.drawing.to_string();
    let family = manifest.family;
    RuntimeError::OtherDrawing {
        family,
        found,
        expected,
    }
    .into()
}
