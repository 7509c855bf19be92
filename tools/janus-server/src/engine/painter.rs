//! The thread that turns image tokens into files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use image::RgbImage;
use janus_flow::VaeDecoder;
use janus_pipeline::{ImageToken, ImageTokens, ModelDir, Sampling, SessionOptions, VqDecoder};
use janus_runtime::manifest::DrawingConfig;
use ndarray::Array4;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use super::ticket::Ticket;
use super::update::ImageUpdate;
use super::{ImageTask, Way, picture};
use crate::error::ApiError;
use crate::metrics::Metrics;

/// A picture to be shown, complete or not.
#[derive(Debug)]
pub(super) struct Painting {
    /// Which picture of the request.
    pub(super) index: usize,
    /// Which of its previews; none for the picture itself.
    pub(super) partial: Option<usize>,
    pub(super) drawn: Drawn,
    pub(super) task: ImageTask,
    pub(super) updates: UnboundedSender<ImageUpdate>,
    /// The request is under way until its pictures are painted.
    pub(super) ticket: Ticket,
}

/// What a picture is made of.
#[derive(Debug)]
pub(super) enum Drawn {
    /// Image tokens, those of a picture that is not complete included.
    Tokens(Vec<ImageToken>),
    /// A latent of a rectified flow, `[1, c, h, w]`.
    Latents(Array4<f32>),
}

/// What makes pictures of it.
#[derive(Debug)]
enum Decoder {
    Vq(Box<VqDecoder>),
    Vae(Box<VaeDecoder>),
}

/// The decoder of pictures.
#[derive(Debug)]
pub(super) struct Painter {
    decoder: Decoder,
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
        let decoder = match dir.manifest().drawing {
            DrawingConfig::Tokens(_) => Decoder::Vq(Box::new(VqDecoder::open(dir, options)?)),
            DrawingConfig::Flow(_) => Decoder::Vae(Box::new(VaeDecoder::open(dir, options)?)),
        };
        Ok(Self {
            decoder,
            model,
            metrics,
        })
    }

    /// Paints until nobody asks any more.
    pub(super) fn run(mut self, paintings: &Receiver<Painting>) {
        for painting in paintings {
            if painting.updates.is_closed() {
                continue;
            }
            if painting.ticket.is_stopped() {
                let error = ApiError::unavailable("the server is stopping");
                let _ = painting.updates.send(ImageUpdate::Failed(error));
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
        let picture = self.decode(&painting.drawn)?;
        let history = self.history(painting).to_string();
        picture::encode(&picture, painting.task.format, &history)
    }

    fn decode(&mut self, drawn: &Drawn) -> Result<RgbImage, Box<dyn std::error::Error>> {
        let pictures = match (&mut self.decoder, drawn) {
            (Decoder::Vq(vq), Drawn::Tokens(tokens)) => {
                // The last token of a picture that is not complete stands for those to come.
                let fill = tokens.last().copied().unwrap_or(ImageToken(0));
                vq.decode(&ImageTokens::padded(&[&tokens[..]], fill, vq.config())?)?
            }
            (Decoder::Vae(vae), Drawn::Latents(latents)) => vae.decode(latents.view())?,
            _ => return Err("a model draws in one way".into()),
        };
        pictures
            .into_iter()
            .next()
            .ok_or_else(|| "no picture".into())
    }

    /// How a picture came about: everything that is needed to draw it again.
    fn history(&self, painting: &Painting) -> serde_json::Value {
        let mut history = json!({
            "model": self.model,
            "prompt": &*painting.task.prompt,
            "image": painting.index,
            "guidance_scale": printed(painting.task.way.guidance()),
        });
        match painting.task.way {
            Way::Tokens(params) => {
                let (temperature, seed) = match params.sampling {
                    Sampling::Greedy => (0.0, 0),
                    Sampling::Random {
                        temperature, seed, ..
                    } => (temperature, seed),
                };
                history["seed"] = seed.into();
                history["temperature"] = printed(temperature).into();
            }
            Way::Flow(params) => {
                history["seed"] = params.seed.into();
                history["steps"] = params.steps.into();
                history["solver"] = params.solver.name().into();
            }
        }
        if let Drawn::Tokens(tokens) = &painting.drawn {
            history["tokens"] = tokens.iter().map(|token| token.0).collect();
        }
        history
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
