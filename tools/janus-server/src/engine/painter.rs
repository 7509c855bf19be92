//! The thread that turns image tokens into files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use janus_pipeline::{
    ImageParams, ImageToken, ImageTokens, ModelDir, Sampling, SessionOptions, VqDecoder,
};
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use super::model::ImageUpdate;
use super::picture::{self, Format};
use super::ticket::Ticket;
use crate::error::ApiError;
use crate::metrics::Metrics;

/// A picture to be shown, complete or not.
#[derive(Debug)]
pub(super) struct Painting {
    /// Which picture of the request.
    pub(super) index: usize,
    /// Which of its previews; none for the picture itself.
    pub(super) partial: Option<usize>,
    pub(super) tokens: Vec<ImageToken>,
    pub(super) prompt: Arc<str>,
    pub(super) params: ImageParams,
    pub(super) format: Format,
    pub(super) updates: UnboundedSender<ImageUpdate>,
    /// The request is under way until its pictures are painted.
    pub(super) ticket: Ticket,
}

/// The VQ decoder.
#[derive(Debug)]
pub(super) struct Painter {
    decoder: VqDecoder,
    model: String,
    metrics: Arc<Metrics>,
}

impl Painter {
    pub(super) fn open(
        dir: &ModelDir,
        options: &SessionOptions,
        model: String,
        metrics: Arc<Metrics>,
    ) -> janus_pipeline::Result<Self> {
        let decoder = VqDecoder::open(dir, options)?;
        Ok(Self {
            decoder,
            model,
            metrics,
        })
    }

    /// Paints until nobody asks any more.
    pub(super) fn run(mut self, paintings: &Receiver<Painting>) {
        for painting in paintings {
            if painting.updates.is_closed() || painting.ticket.is_stopped() {
                continue;
            }
            // What goes wrong, a panic included, is this request's alone.
            let painted = catch_unwind(AssertUnwindSafe(|| self.paint(&painting)));
            let update = match painted {
                Ok(Ok(bytes)) => update(&painting, bytes),
                Ok(Err(_)) | Err(_) => ImageUpdate::Failed(ApiError::internal()),
            };
            if painting.partial.is_none() {
                self.metrics.pictures.add(1);
            }
            let _ = painting.updates.send(update);
        }
    }

    fn paint(&mut self, painting: &Painting) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        // The last token of a picture that is not complete stands for those to come.
        let fill = painting.tokens.last().copied().unwrap_or(ImageToken(0));
        let config = self.decoder.config();
        let tokens = ImageTokens::padded(&[&painting.tokens[..]], fill, config)?;
        let pictures = self.decoder.decode(&tokens)?;
        let history = self.history(painting).to_string();
        picture::encode(&pictures[0], painting.format, &history)
    }

    /// How a picture came about: everything that is needed to draw it again.
    fn history(&self, painting: &Painting) -> serde_json::Value {
        let (temperature, seed) = match painting.params.sampling {
            Sampling::Greedy => (0.0, 0),
            Sampling::Random {
                temperature, seed, ..
            } => (temperature, seed),
        };
        json!({
            "model": self.model,
            "prompt": &*painting.prompt,
            "seed": seed,
            "image": painting.index,
            "guidance_scale": printed(painting.params.guidance_scale),
            "temperature": printed(temperature),
            "tokens": painting.tokens.iter().map(|token| token.0).collect::<Vec<_>>(),
        })
    }
}

/// The 64-bit float that is printed alike.
fn printed(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::NAN)
}

fn update(painting: &Painting, bytes: Vec<u8>) -> ImageUpdate {
    let index = painting.index;
    match painting.partial {
        Some(partial) => ImageUpdate::Partial {
            index,
            partial,
            bytes,
        },
        None => ImageUpdate::Picture { index, bytes },
    }
}
