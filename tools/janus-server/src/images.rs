//! `POST /v1/images/generations`: pictures from text, also while they are being drawn.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use janus_pipeline::{FlowParams, Guidance, ImageParams, Sampling, Solver};
use janus_runtime::manifest::{DrawingConfig, Manifest};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::chat::now;
use crate::engine::{Format, ImageTask, ImageUpdate, Way};
use crate::error::ApiError;
use crate::fields::{self, Neutral};
use crate::json;
use crate::server::App;
use crate::sse::{self, Events, Tell};

/// How often a picture is shown before it is complete, at most.
const MAX_PARTIALS: usize = 16;
/// Guidance at most; the released models are meant to be used with 5.
const MAX_GUIDANCE: f32 = 50.0;

/// Steps of a picture by rectified flow at most; the released model is meant to be used with 30.
const MAX_STEPS: usize = 100;

/// A request. Fields of OpenAI's that have no meaning here are taken as long as they ask for
/// nothing; all others are refused by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImagesRequest {
    model: Option<String>,
    prompt: String,
    n: Option<usize>,
    size: Option<String>,
    seed: Option<u64>,
    #[serde(alias = "guidance_scale")]
    guidance: Option<f32>,
    temperature: Option<f32>,
    steps: Option<usize>,
    solver: Option<String>,
    output_format: Option<Format>,
    output_compression: Option<u32>,
    response_format: Option<String>,
    stream: Option<bool>,
    partial_images: Option<usize>,
    background: Option<String>,
    quality: Option<String>,
    moderation: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "who it is does not matter to the model")]
    user: Neutral,
}

/// Draws what a request asks for.
pub(crate) async fn generate(app: &App, request: ImagesRequest) -> Result<Response, ApiError> {
    app.expect_model(request.model.as_deref())?;
    let (side, tokens) = extent(&app.engine.manifest);
    let size = format!("{side}x{side}");
    request.check(&size, app.settings.max_prompt_bytes)?;
    let partials = request.partial_images.unwrap_or(0);
    let seed = request.seed.unwrap_or_else(fields::random);
    let way = request.way(app, seed)?;
    let format = request.output_format.unwrap_or_default();
    let ticket = app.ticket()?;
    let task = ImageTask {
        prompt: request.prompt.into(),
        way,
        partials,
        format,
    };
    let updates = app.engine.draw(task, ticket)?;
    let drawing = Drawing {
        size,
        format,
        seed,
        pictures: vec![None; way.images()],
        prompt_tokens: 0,
        tokens,
        failed: false,
    };
    match request.stream == Some(true) {
        true => drawing.stream(updates, app.settings.quiet()).await,
        false => drawing.whole(updates).await,
    }
}

impl ImagesRequest {
    /// Checks what is not a setting of the drawing itself. Pictures have one `size`.
    fn check(&self, size: &str, most: usize) -> Result<(), ApiError> {
        let asked = self.size.as_deref().unwrap_or("auto");
        if asked != "auto" && asked != size {
            let message = format!("this model draws pictures of {size}; ask for that, or `auto`");
            return Err(ApiError::invalid("size", message));
        }
        if self.prompt.trim().is_empty() || self.prompt.len() > most {
            let message = format!("prompt should have 1 to {most} bytes");
            return Err(ApiError::invalid("prompt", message));
        }
        if self
            .partial_images
            .is_some_and(|partials| partials > MAX_PARTIALS)
        {
            let message = format!("partial_images should be 0 to {MAX_PARTIALS}");
            return Err(ApiError::invalid("partial_images", message));
        }
        if self.partial_images.unwrap_or(0) > 0 && self.stream != Some(true) {
            let message = "partial_images need `stream: true`";
            return Err(ApiError::invalid("partial_images", message));
        }
        let text = |value: &Option<String>| value.clone().filter(|value| value != "auto");
        fields::expect_none("output_compression", self.output_compression, 100)?;
        let format = self.response_format.as_deref();
        fields::expect_none("response_format", format, "b64_json")?;
        fields::expect_none("background", text(&self.background), "opaque".to_owned())?;
        let quality = text(&self.quality).filter(|quality| quality != "standard");
        fields::expect_none("quality", quality, "auto".to_owned())?;
        fields::expect_none("moderation", text(&self.moderation), "auto".to_owned())
    }

    /// The settings, the model's own where none were given.
    fn way(&self, app: &App, seed: u64) -> Result<Way, ApiError> {
        let images = fields::count("n", self.n, app.settings.max_n)?;
        let guidance = fields::range("guidance", self.guidance, 0.0, MAX_GUIDANCE)?;
        match app.engine.image_defaults() {
            Way::Tokens(own) => self.tokens(own, images, guidance, seed).map(Way::Tokens),
            Way::Flow(own) => {
                let manifest = &app.engine.manifest;
                self.flow(own, manifest, images, guidance, seed)
                    .map(Way::Flow)
            }
        }
    }

    fn tokens(
        &self,
        own: ImageParams,
        images: usize,
        guidance: Option<f32>,
        seed: u64,
    ) -> Result<ImageParams, ApiError> {
        for (param, is_given) in [
            ("steps", self.steps.is_some()),
            ("solver", self.solver.is_some()),
        ] {
            let message =
                "this is for models that draw by rectified flow; this one draws by image tokens";
            refuse_if(is_given, param, message)?;
        }
        let own_temperature = match own.sampling {
            Sampling::Random { temperature, .. } => temperature,
            Sampling::Greedy => 0.0,
        };
        let temperature = fields::range("temperature", self.temperature, 0.0, 2.0)?;
        Ok(ImageParams {
            images,
            guidance_scale: guidance.unwrap_or(own.guidance_scale),
            sampling: Sampling::random(temperature.unwrap_or(own_temperature), seed),
            window: 1,
        })
    }

    fn flow(
        &self,
        own: FlowParams,
        manifest: &Manifest,
        images: usize,
        guidance: Option<f32>,
        seed: u64,
    ) -> Result<FlowParams, ApiError> {
        let message =
            "this is for models that draw by image tokens; this one draws by rectified flow";
        refuse_if(self.temperature.is_some(), "temperature", message)?;
        let steps = fields::range("steps", self.steps, 1, MAX_STEPS)?;
        let solver = self.solver.as_deref().map(str::parse::<Solver>).transpose();
        let solver = solver.map_err(|message| ApiError::invalid("solver", message))?;
        let own = FlowParams::of(manifest, solver.unwrap_or(own.solver), seed)?;
        Ok(FlowParams {
            images,
            steps: steps.unwrap_or(own.steps),
            guidance: guidance.map_or(own.guidance, Guidance::new),
            ..own
        })
    }
}

fn refuse_if(is_given: bool, param: &'static str, message: &str) -> Result<(), ApiError> {
    match is_given {
        true => Err(ApiError::invalid(param, message)),
        false => Ok(()),
    }
}

/// Side in pixels and positions of the pictures that a model draws.
pub(crate) fn extent(manifest: &Manifest) -> (usize, usize) {
    match &manifest.drawing {
        DrawingConfig::Tokens(vq) => (vq.image_size, vq.num_tokens()),
        DrawingConfig::Flow(flow) => (flow.image_size, flow.num_tokens()),
    }
}

/// Pictures under way.
#[derive(Debug)]
struct Drawing {
    size: String,
    format: Format,
    seed: u64,
    /// In base64, once they are complete.
    pictures: Vec<Option<String>>,
    prompt_tokens: usize,
    /// Tokens of a picture.
    tokens: usize,
    failed: bool,
}

impl Drawing {
    /// The pictures when they are complete.
    async fn whole(
        mut self,
        mut updates: UnboundedReceiver<ImageUpdate>,
    ) -> Result<Response, ApiError> {
        while !self.is_complete() {
            match updates.recv().await {
                Some(ImageUpdate::Begun { prompt_tokens }) => self.prompt_tokens = prompt_tokens,
                Some(ImageUpdate::Picture { index, bytes }) => {
                    self.pictures[index] = Some(STANDARD.encode(bytes));
                }
                Some(ImageUpdate::Partial { .. }) => {}
                Some(ImageUpdate::Failed(error)) => return Err(error),
                None => return Err(ApiError::internal()),
            }
        }
        let data = self
            .pictures
            .iter()
            .map(|picture| json!({ "b64_json": picture }));
        let data: Vec<_> = data.collect();
        let mut body = self.described();
        body["created"] = now().into();
        body["data"] = data.into();
        body["usage"] = self.usage();
        Ok(json::respond(StatusCode::OK, &body))
    }

    /// The pictures as they come. What goes wrong before has a status of its own.
    async fn stream(
        mut self,
        mut updates: UnboundedReceiver<ImageUpdate>,
        quiet: Duration,
    ) -> Result<Response, ApiError> {
        match updates.recv().await {
            Some(ImageUpdate::Begun { prompt_tokens }) => self.prompt_tokens = prompt_tokens,
            Some(ImageUpdate::Failed(error)) => return Err(error),
            _ => return Err(ApiError::internal()),
        }
        Ok(sse::respond(updates, self, quiet))
    }

    fn described(&self) -> Value {
        json!({
            "size": self.size,
            "quality": "auto",
            "background": "opaque",
            "output_format": self.format,
            "seed": self.seed,
        })
    }

    fn event(&self, name: &str, index: usize, bytes: &[u8]) -> Value {
        let mut event = self.described();
        event["type"] = name.into();
        event["created_at"] = now().into();
        // Which of n pictures; OpenAI's own streams have one.
        event["index"] = index.into();
        event["b64_json"] = STANDARD.encode(bytes).into();
        event
    }

    fn usage(&self) -> Value {
        let output = self.tokens * self.pictures.len();
        json!({
            "input_tokens": self.prompt_tokens,
            "input_tokens_details": { "text_tokens": self.prompt_tokens, "image_tokens": 0 },
            "output_tokens": output,
            "total_tokens": self.prompt_tokens + output,
        })
    }
}

impl Tell<ImageUpdate> for Drawing {
    fn tell(&mut self, update: ImageUpdate, events: &mut Events) {
        match update {
            ImageUpdate::Begun { .. } => {}
            ImageUpdate::Partial {
                index,
                partial,
                bytes,
            } => {
                let name = "image_generation.partial_image";
                let mut event = self.event(name, index, &bytes);
                event["partial_image_index"] = partial.into();
                events.named(name, &event);
            }
            ImageUpdate::Picture { index, bytes } => {
                let name = "image_generation.completed";
                let mut event = self.event(name, index, &bytes);
                event["usage"] = self.usage();
                events.named(name, &event);
                self.pictures[index] = Some(String::new());
                if self.is_complete() {
                    events.done();
                }
            }
            ImageUpdate::Failed(error) => {
                self.failed = true;
                events.error(&error);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.failed || self.pictures.iter().all(Option::is_some)
    }
}
