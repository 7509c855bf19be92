//! The thread that looks at pictures.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use image::RgbImage;
use janus_pipeline::{ImageEmbeds, ModelDir, SessionOptions, VisionEncoder};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc::UnboundedSender, oneshot};

use super::TextTask;
use super::model::{Job, Work};
use super::ticket::Ticket;
use super::update::TextUpdate;
use crate::error::{ApiError, Result};

/// Pictures that are remembered: people ask more than one thing about the same.
const REMEMBERED: usize = 16;

/// Pictures that nobody has looked at yet.
#[derive(Debug)]
pub(super) enum Look {
    /// Those of a conversation.
    Text(Asked),
    /// Those of which only the embeddings are wanted.
    Embed {
        pictures: Vec<RgbImage>,
        reply: oneshot::Sender<Result<Seen, ApiError>>,
        ticket: Ticket,
    },
}

/// What was seen in pictures.
pub(super) type Seen = Vec<Arc<ImageEmbeds>>;

/// A conversation to be answered.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) task: TextTask,
    pub(super) updates: UnboundedSender<TextUpdate>,
    pub(super) ticket: Ticket,
}

impl Asked {
    /// The conversation with what was seen.
    pub(super) fn seen(self, pictures: Seen) -> Job {
        Job {
            work: Work::Text(self.task, pictures, self.updates),
            ticket: self.ticket,
        }
    }
}

/// The vision encoder, and what it saw last.
#[derive(Debug)]
pub(super) struct Eyes {
    encoder: VisionEncoder,
    recent: VecDeque<([u8; 32], Arc<ImageEmbeds>)>,
    model: Sender<Job>,
}

impl Eyes {
    pub(super) fn open(
        dir: &ModelDir,
        options: &SessionOptions,
        model: Sender<Job>,
    ) -> janus_pipeline::Result<Self> {
        Ok(Self {
            encoder: VisionEncoder::open(dir, options)?,
            recent: VecDeque::new(),
            model,
        })
    }

    /// Looks at pictures until nobody has any more.
    pub(super) fn run(mut self, looks: &Receiver<Look>) {
        for look in looks {
            match look {
                Look::Text(asked) if !asked.updates.is_closed() => self.ask(asked),
                Look::Embed {
                    pictures,
                    reply,
                    ticket,
                } if !reply.is_closed() => {
                    let _ = reply.send(match ticket.is_stopped() {
                        true => Err(ApiError::unavailable("the server is stopping")),
                        false => self.see_all(pictures.iter()),
                    });
                }
                _ => {}
            }
        }
    }

    /// Looks at the pictures of a conversation and passes it on.
    fn ask(&mut self, asked: Asked) {
        match self.see_all(asked.task.prompt.pictures()) {
            Ok(pictures) => {
                // Where the model's thread is gone, dropping the sender tells the client.
                let _ = self.model.send(asked.seen(pictures));
            }
            Err(error) => {
                let _ = asked.updates.send(TextUpdate::Failed(error));
            }
        }
    }

    /// What is in pictures. What goes wrong, a panic included, is this request's alone.
    fn see_all<'a>(
        &mut self,
        pictures: impl Iterator<Item = &'a RgbImage>,
    ) -> Result<Seen, ApiError> {
        let mut pictures = pictures;
        let looking = AssertUnwindSafe(|| pictures.by_ref().map(|p| self.see(p)).collect());
        catch_unwind(looking).unwrap_or_else(|_| Err(ApiError::internal()))
    }

    fn see(&mut self, picture: &RgbImage) -> Result<Arc<ImageEmbeds>, ApiError> {
        let key = key(picture);
        if let Some(place) = self.recent.iter().position(|(known, _)| *known == key) {
            let known = self.recent.remove(place).ok_or_else(ApiError::internal)?;
            let embeds = Arc::clone(&known.1);
            self.recent.push_front(known);
            return Ok(embeds);
        }
        let pixel_values = self.encoder.preprocess(std::slice::from_ref(picture));
        let embeds = self.encoder.encode(&pixel_values);
        let embeds = Arc::new(embeds.map_err(|_| ApiError::internal())?);
        self.recent.truncate(REMEMBERED - 1);
        self.recent.push_front((key, Arc::clone(&embeds)));
        Ok(embeds)
    }
}

/// Two pictures are the same if their sizes are, and their pixels.
fn key(picture: &RgbImage) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(picture.width().to_le_bytes());
    hash.update(picture.height().to_le_bytes());
    hash.update(picture.as_raw());
    hash.finalize().into()
}
