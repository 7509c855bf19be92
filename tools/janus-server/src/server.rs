//! Who is asked for what: routes, and the small endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::chat::{self, now};
use crate::engine::{Engine, Ticket, Way};
use crate::error::ApiError;
use crate::guard::guard;
use crate::pictures::{Pictures, Remote};
use crate::settings::Settings;
use crate::{embeddings, fields, images, json as body, page};

/// The description of everything that can be asked for.
const OPENAPI: &str = include_str!("openapi.json");

/// What handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) settings: Settings,
    remote: Option<Remote>,
    since: u64,
    draining: AtomicBool,
}

impl App {
    pub(crate) fn new(engine: Engine, settings: Settings) -> Self {
        let remote = Remote::new(&settings);
        Self {
            engine,
            settings,
            remote,
            since: now(),
            draining: AtomicBool::new(false),
        }
    }

    /// Takes no more requests.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Leave to work on a request.
    pub(crate) fn ticket(&self) -> Result<Ticket, ApiError> {
        if self.is_draining() {
            return Err(ApiError::unavailable("the server is stopping"));
        }
        let tickets = &self.engine.tickets;
        let overloaded = || ApiError::overloaded(tickets.limit(), self.retry_after());
        tickets.take().ok_or_else(overloaded)
    }

    /// Seconds until there is probably room: as long as a request takes, a little more for some,
    /// so that not all come back at once.
    fn retry_after(&self) -> u64 {
        let mean = self.engine.metrics.request.mean().unwrap_or(1.0);
        (mean.ceil() as u64).clamp(1, 60) + fields::random() % 3
    }

    /// Where the pictures of a request that comes now may be.
    pub(crate) fn pictures(&self) -> Pictures {
        Pictures::new(&self.settings, self.remote.as_ref())
    }

    /// There is one model; clients may name it, or leave it to the server.
    pub(crate) fn expect_model(&self, name: Option<&str>) -> Result<(), ApiError> {
        match name {
            Some(name) if name != self.engine.name => {
                Err(ApiError::unknown_model(name, &self.engine.name))
            }
            _ => Ok(()),
        }
    }
}

/// Everything that can be asked for.
pub(crate) fn router(app: Arc<App>) -> Router {
    let guarded = middleware::from_fn_with_state(Arc::clone(&app), guard);
    Router::new()
        .route("/v1/chat/completions", post(chat_completions))
        .route("/v1/images/generations", post(image_generations))
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/models", get(models))
        .route("/v1/models/{model}", get(model))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .merge(page::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(guarded)
        .with_state(app)
}

async fn chat_completions(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    chat::answer(&app, body::read(request, &app.settings).await?).await
}

async fn image_generations(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, ApiError> {
    images::generate(&app, body::read(request, &app.settings).await?).await
}

async fn embeddings(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    embeddings::embed(&app, body::read(request, &app.settings).await?).await
}

async fn models(State(app): State<Arc<App>>) -> Response {
    let list = json!({ "object": "list", "data": [described(&app)] });
    body::respond(StatusCode::OK, &list)
}

async fn model(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let not_text = |_| ApiError::invalid("model", "the name should be UTF-8");
    let Path(name) = name.map_err(not_text)?;
    app.expect_model(Some(&name))?;
    Ok(body::respond(StatusCode::OK, &described(&app)))
}

/// The model, with what a page needs to know of it beside what OpenAI tells.
fn described(app: &App) -> Value {
    let manifest = &app.engine.manifest;
    let defaults = app.engine.image_defaults();
    let (image_size, image_tokens) = images::extent(manifest);
    let steps = match defaults {
        Way::Tokens(_) => None,
        Way::Flow(params) => Some(params.steps),
    };
    json!({
        "id": app.engine.name,
        "object": "model",
        "created": app.since,
        "owned_by": "janus",
        "janus": {
            "family": manifest.family.to_string(),
            "precision": manifest.converter.dtype.to_string(),
            "context_length": manifest.language.context_length,
            "image_size": image_size,
            "image_tokens": image_tokens,
            "guidance": defaults.guidance(),
            "steps": steps,
            "max_n": app.settings.max_n,
            "max_pictures": app.settings.max_pictures,
        },
    })
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let alive = app.engine.is_alive();
    let status = match alive {
        true => StatusCode::OK,
        false => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let text = if alive {
        "ok"
    } else {
        "the model's thread has ended"
    };
    body::respond(status, &json!({ "status": text }))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let text = if app.is_draining() {
        "stopping"
    } else if !app.engine.is_alive() {
        "the model's thread has ended"
    } else if app.engine.tickets.out() >= app.engine.tickets.limit() {
        "full"
    } else {
        "ready"
    };
    let status = match text {
        "ready" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    body::respond(status, &json!({ "status": text }))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let manifest = &app.engine.manifest;
    let info = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("model", app.engine.name.clone()),
        ("precision", manifest.converter.dtype.to_string()),
        ("provider", app.engine.provider.to_string()),
    ];
    let text = app.engine.metrics.text(&info, app.engine.tickets.out());
    let media = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, media)], text).into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn unknown() -> ApiError {
    let message = "there is nothing here; GET /openapi.json tells what there is";
    ApiError::refused(StatusCode::NOT_FOUND, message)
}

async fn wrong_method() -> ApiError {
    let message = "this method is not for this address; GET /openapi.json tells which is";
    ApiError::refused(StatusCode::METHOD_NOT_ALLOWED, message)
}
