//! The model and its three threads.
//!
//! ```text
//!            pictures                       prompts                   tokens, latents
//! handler ─► eyes: vision encoder ─► model: scheduler, text ─► painter: VQ or VAE decoder, PNG
//!    ▲                                  │                          │
//!    └────────────── text ──────────────┴───────── pictures ───────┘
//! ```
//!
//! The model's thread never waits for a picture to be encoded or decoded, so those that are being
//! generated go on. Queues are bounded by the tickets: nothing comes in without one.

mod client;
mod eyes;
mod flows;
mod model;
mod painter;
mod picture;
mod ticket;
mod update;

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use image::RgbImage;
use janus_pipeline::{
    ExecutionProvider, FlowParams, ImageParams, Janus, Limits, Prompt, TextParams,
};
use janus_runtime::manifest::{DrawingConfig, Manifest};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use crate::error::{ApiError, Error, Result};
use crate::listen::Served;
use crate::metrics::Metrics;
use crate::settings::Settings;
pub(crate) use picture::Format;
pub(crate) use ticket::{Ticket, Tickets};
pub(crate) use update::{ImageUpdate, TextUpdate};

use eyes::{Asked, Look, Seen};
use model::{Job, Work};

/// Answers to a conversation.
#[derive(Debug)]
pub(crate) struct TextTask {
    pub(crate) prompt: Prompt,
    pub(crate) params: TextParams,
    pub(crate) answers: usize,
    pub(crate) stops: Vec<String>,
    /// Whether text is told as it comes, or each answer at its end.
    pub(crate) streamed: bool,
}

/// Pictures of a prompt.
#[derive(Clone, Debug)]
pub(crate) struct ImageTask {
    pub(crate) prompt: Arc<str>,
    pub(crate) way: Way,
    /// How often each picture is shown before it is complete.
    pub(crate) partials: usize,
    pub(crate) format: Format,
}

/// How pictures are drawn: as the model can.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Token by token.
    Tokens(ImageParams),
    /// By rectified flow.
    Flow(FlowParams),
}

impl Way {
    /// The settings that a model is meant to draw with.
    fn of(janus: &Janus) -> janus_pipeline::Result<Self> {
        Ok(match janus.manifest().drawing {
            DrawingConfig::Tokens(_) => Self::Tokens(janus.image_params(0)),
            DrawingConfig::Flow(_) => Self::Flow(janus.flow_params(0)?),
        })
    }

    /// How many pictures.
    pub(crate) fn images(&self) -> usize {
        match self {
            Self::Tokens(params) => params.images,
            Self::Flow(params) => params.images,
        }
    }

    /// How far they are moved towards the prompt.
    pub(crate) fn guidance(&self) -> f32 {
        match self {
            Self::Tokens(params) => params.guidance_scale,
            Self::Flow(params) => params.guidance.scale,
        }
    }
}

/// A model that is being served.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) name: String,
    pub(crate) provider: ExecutionProvider,
    pub(crate) manifest: Manifest,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tickets: Tickets,
    defaults: Way,
    threads: Vec<JoinHandle<()>>,
    eyes: Sender<Look>,
    model: Sender<Job>,
}

impl Engine {
    /// Opens the model, tries it, and starts the threads.
    pub(crate) fn start(model: Served<'_>, settings: &Settings) -> Result<Self> {
        let Served { name, dir, options } = model;
        let mut janus = Janus::from_dir(dir, &options)?;
        try_out(&mut janus)?;
        let metrics = Arc::new(Metrics::default());
        let (model, jobs) = channel();
        let (eyes, looks) = channel();
        let (painter, paintings) = channel();
        let scheduler = janus
            .scheduler()
            .with_limits(limits(dir.manifest(), settings))
            .with_wide_steps(settings.wide_steps);
        let defaults = Way::of(&janus)?;
        let seeing = eyes::Eyes::open(dir, &options, model.clone())?;
        let mut threads = vec![start("eyes", move || seeing.run(&looks))?];
        let shared = Arc::clone(&metrics);
        let painting = painter::Painter::open(dir, &options, name.clone(), shared)?;
        threads.push(start("painter", move || painting.run(&paintings))?);
        let shared = Arc::clone(&metrics);
        let serving = model::Model::new(janus, scheduler, shared, painter, settings);
        threads.push(start("model", move || serving.run(&jobs))?);
        Ok(Self {
            name,
            provider: options.provider,
            manifest: dir.manifest().clone(),
            metrics,
            tickets: Tickets::new(settings.max_requests),
            defaults,
            threads,
            eyes,
            model,
        })
    }

    /// Whether every thread is there.
    pub(crate) fn is_alive(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    /// The settings that the model is meant to draw with.
    pub(crate) fn image_defaults(&self) -> Way {
        self.defaults
    }

    /// Has a conversation answered. Dropping the receiver stops it.
    pub(crate) fn answer(
        &self,
        task: TextTask,
        ticket: Ticket,
    ) -> Result<UnboundedReceiver<TextUpdate>, ApiError> {
        let (updates, receiver) = unbounded_channel();
        let asked = Asked {
            task,
            updates,
            ticket,
        };
        // Without pictures there is nothing to look at.
        let has_pictures = asked.task.prompt.pictures().next().is_some();
        let sent = match has_pictures {
            true => self.eyes.send(Look::Text(asked)).is_ok(),
            false => self.model.send(asked.seen(Vec::new())).is_ok(),
        };
        match sent {
            true => Ok(receiver),
            false => Err(ApiError::internal()),
        }
    }

    /// Has pictures looked at. Dropping the receiver stops it, if nobody has begun.
    pub(crate) fn embed(
        &self,
        pictures: Vec<RgbImage>,
        ticket: Ticket,
    ) -> Result<oneshot::Receiver<Result<Seen, ApiError>>, ApiError> {
        let (reply, receiver) = oneshot::channel();
        let look = Look::Embed {
            pictures,
            reply,
            ticket,
        };
        self.eyes.send(look).map_err(|_| ApiError::internal())?;
        Ok(receiver)
    }

    /// Has pictures drawn. Dropping the receiver stops it.
    pub(crate) fn draw(
        &self,
        task: ImageTask,
        ticket: Ticket,
    ) -> Result<UnboundedReceiver<ImageUpdate>, ApiError> {
        let (updates, receiver) = unbounded_channel();
        let work = Work::Images(task, updates);
        let sent = self.model.send(Job { work, ticket });
        sent.map_err(|_| ApiError::internal())?;
        Ok(receiver)
    }

    /// Ends what is under way; each client is told.
    pub(crate) fn stop(&self) {
        self.tickets.stop();
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(format!("janus-{name}"));
    let what = "a thread";
    let started = thread.spawn(work);
    started.map_err(|source| Error::Start { what, source })
}

/// Opens the graphs of the language model and runs them once: the first client does not wait for
/// it, and a model that cannot run is not served.
fn try_out(janus: &mut Janus) -> janus_pipeline::Result<()> {
    janus.llm.open_for_text()?;
    janus.llm.open_for_images()?;
    let params = TextParams {
        max_new_tokens: 1,
        ..TextParams::default()
    };
    let prompt = Prompt::new().user("?");
    janus
        .generate_text(&prompt, &params)?
        .try_for_each(|piece| piece.map(drop))
}

/// The scheduler's limits by the server's settings.
fn limits(manifest: &Manifest, settings: &Settings) -> Limits {
    let language = &manifest.language;
    // Keys and values, in 32-bit floats.
    let bytes = 8 * language.num_layers * language.num_kv_heads * language.head_dim;
    Limits {
        rows: settings.max_rows,
        positions: (settings.cache_mib << 20) / bytes.max(1),
        // Tickets bound those that wait.
        waiting: usize::MAX,
        piece: settings.prompt_piece,
    }
}
