//! Who is asked for what: routes, keys, and what every response has in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::chat::{self, now};
use crate::engine::{Engine, Ticket};
use crate::error::ApiError;
use crate::settings::Settings;
use crate::{embeddings, fields, images, json as body, page};

/// The description of everything that can be asked for.
const OPENAPI: &str = include_str!("openapi.json");

/// What handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) settings: Settings,
    since: u64,
    draining: AtomicBool,
}

impl App {
    pub(crate) fn new(engine: Engine, settings: Settings) -> Self {
        Self {
            engine,
            settings,
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

/// What anybody may ask without a key: whether the server works, and the page, which has a place
/// for the key.
fn is_open(path: &str) -> bool {
    path == "/health" || path == "/ready" || page::is_part(path)
}

/// Before and after every request.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let endpoint = endpoint(request.uri().path());
    let origin = allowed_origin(request.headers(), &app.settings);
    let mut response = match check(&app, &request) {
        Err(error) => error.into_response(),
        Ok(()) if request.method() == Method::OPTIONS && origin.is_some() => preflight(),
        Ok(()) => next.run(request).await,
    };
    app.engine
        .metrics
        .responded(endpoint, response.status().as_u16());
    let headers = response.headers_mut();
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    let id = format!("req_{:016x}", fields::random());
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// The endpoint as metrics name it: one of few.
fn endpoint(path: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "/v1/chat/completions",
        "/v1/images/generations",
        "/v1/embeddings",
        "/v1/models",
        "/health",
        "/ready",
        "/metrics",
        "/openapi.json",
    ];
    let known = KNOWN.into_iter().find(|known| path == *known);
    known.unwrap_or("other")
}

fn check(app: &App, request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    check_host(headers, request.uri(), &app.settings)?;
    check_origin(headers, &app.settings)?;
    if is_open(request.uri().path()) || request.method() == Method::OPTIONS {
        return Ok(());
    }
    check_key(headers, app.settings.api_key.as_deref())
}

/// On a loopback address only programs of this machine may come; a name that somebody else's DNS
/// has pointed here is a web page that tries to.
fn check_host(headers: &HeaderMap, uri: &Uri, settings: &Settings) -> Result<(), ApiError> {
    if !settings.listen.ip().is_loopback() {
        return Ok(());
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = uri.host().or_else(|| host.map(without_port)).unwrap_or("");
    let own = ["localhost", "127.0.0.1", "[::1]"];
    let is_own = own.iter().any(|own| host.eq_ignore_ascii_case(own));
    let is_allowed = |known: &String| host.eq_ignore_ascii_case(known);
    match is_own || settings.allowed_hosts.iter().any(is_allowed) {
        true => Ok(()),
        false => {
            let message = "this host is not served here (`allowed_hosts`)";
            Err(ApiError::refused(StatusCode::FORBIDDEN, message))
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Web pages of others may not call.
fn check_origin(headers: &HeaderMap, settings: &Settings) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"));
    let is_own = authority.is_some_and(|(_, authority)| Some(authority) == host);
    match is_own || allowed_origin(headers, settings).is_some() {
        true => Ok(()),
        false => {
            let message = "pages of this origin may not call (`allowed_origins`)";
            Err(ApiError::refused(StatusCode::FORBIDDEN, message))
        }
    }
}

fn allowed_origin(headers: &HeaderMap, settings: &Settings) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let known = settings.allowed_origins.iter();
    let mut known = known.filter(|known| known.as_bytes() == origin.as_bytes());
    known.next().map(|_| origin.clone())
}

fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, POST");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static("authorization, content-type");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    response
}

fn check_key(headers: &HeaderMap, key: Option<&str>) -> Result<(), ApiError> {
    let Some(key) = key else {
        return Ok(());
    };
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return Err(ApiError::unauthorized());
    };
    let value = value.as_bytes();
    let scheme = value.get(..7).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(ApiError::unauthorized());
    }
    // Of the hashes every byte is compared: how long it takes says nothing of the key.
    let (sent, known) = (Sha256::digest(&value[7..]), Sha256::digest(key));
    let difference = sent.iter().zip(&known).fold(0, |sum, (a, b)| sum | (a ^ b));
    match difference {
        0 => Ok(()),
        _ => Err(ApiError::unauthorized()),
    }
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
    json!({
        "id": app.engine.name,
        "object": "model",
        "created": app.since,
        "owned_by": "janus",
        "janus": {
            "family": manifest.family.to_string(),
            "precision": manifest.converter.dtype.to_string(),
            "context_length": manifest.language.context_length,
            "image_size": manifest.vq().ok().map(|vq| vq.image_size),
            "image_tokens": manifest.vq().ok().map(|vq| vq.num_tokens()),
            "guidance": defaults.guidance_scale,
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
