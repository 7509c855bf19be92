//! What can be measured by itself.

use std::fmt;
use std::str::FromStr;

use janus_runtime::manifest::DrawingConfig;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A part of the work of a model that is measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Each graph is opened, and the tokenizer. The files have been read before.
    Load,
    /// One picture is preprocessed and encoded.
    Vision,
    /// A prompt of one row is run.
    Prefill,
    /// One position of every row is run, and its head: the step of either loop.
    Decode,
    /// Each head by itself, called again and again.
    Heads,
    /// Each embedding by itself, one token a call.
    Embeddings,
    /// One token is drawn from the image vocabulary.
    Sampling,
    /// A picture is drawn with guidance.
    Image,
    /// The tokens of one picture are decoded to pixels.
    Vq,
    /// The latents of one picture are decoded to pixels.
    Vae,
}

impl Stage {
    /// Every stage, in the order in which they are measured.
    pub const ALL: [Self; 10] = [
        Self::Load,
        Self::Vision,
        Self::Prefill,
        Self::Decode,
        Self::Heads,
        Self::Embeddings,
        Self::Sampling,
        Self::Image,
        Self::Vq,
        Self::Vae,
    ];

    /// Whether models that draw like this have it.
    pub fn belongs_to(self, drawing: &DrawingConfig) -> bool {
        match self {
            Self::Sampling | Self::Vq => matches!(drawing, DrawingConfig::Tokens(_)),
            Self::Vae => matches!(drawing, DrawingConfig::Flow(_)),
            _ => true,
        }
    }

    /// The name used on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Vision => "vision",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Heads => "heads",
            Self::Embeddings => "embeddings",
            Self::Sampling => "sampling",
            Self::Image => "image",
            Self::Vq => "vq",
            Self::Vae => "vae",
        }
    }

    /// Every name, for messages.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Stage {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownStage {
            name: name.to_owned(),
        };
        Self::ALL
            .into_iter()
            .find(|stage| stage.name() == name)
            .ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for stage in Stage::ALL {
            assert_eq!(stage.name().parse::<Stage>().unwrap(), stage);
        }
        let error = "decoder".parse::<Stage>().unwrap_err().to_string();
        assert!(error.starts_with("`decoder` is not a stage; there are load, vision,"));
    }
}
