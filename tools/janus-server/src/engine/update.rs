//! What comes of requests, on its way to their clients.

use janus_pipeline::FinishReason;

use crate::error::ApiError;

/// What comes of an answer.
#[derive(Debug)]
pub(crate) enum TextUpdate {
    /// Positions of the prompt; nothing was generated yet.
    Begun { prompt_tokens: usize },
    /// Text of answer `index`.
    Piece { index: usize, text: String },
    /// Answer `index` is complete.
    Finished {
        index: usize,
        reason: FinishReason,
        tokens: usize,
    },
    /// There will be nothing more.
    Failed(ApiError),
}

/// What comes of pictures.
#[derive(Debug)]
pub(crate) enum ImageUpdate {
    /// Positions of the prompt; nothing was drawn yet.
    Begun { prompt_tokens: usize },
    /// Picture `index` as it is by now.
    Partial {
        index: usize,
        partial: usize,
        bytes: Vec<u8>,
    },
    /// Picture `index`.
    Picture { index: usize, bytes: Vec<u8> },
    /// There will be nothing more.
    Failed(ApiError),
}
