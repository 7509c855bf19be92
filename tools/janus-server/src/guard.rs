//! Before and after every request: hosts, origins, keys, and what every response has in common.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::server::App;
use crate::settings::Settings;
use crate::{fields, page};

/// What anybody may ask without a key: whether the server works, and the page, which has a place
/// for the key.
fn is_open(path: &str) -> bool {
    path == "/health" || path == "/ready" || page::is_part(path)
}

/// Before and after every request.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let endpoint = endpoint(request.uri().path());
    let origin = allowed_origin(request.headers(), &app.settings);
    let mut response = match check(&app, &request) {
        Err(error) => error.into_response(),
        Ok(()) if request.method() == Method::OPTIONS && origin.is_some() => preflight(),
        Ok(()) => caught(next.run(request)).await,
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

/// What comes of a handler. A panic in it is a bug; the client is told, and nobody else notices.
async fn caught(handling: impl Future<Output = Response>) -> Response {
    let mut handling = pin!(handling);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(ApiError::internal().into_response()))
    })
    .await
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
    check_framing(headers)?;
    check_host(headers, request.uri(), &app.settings)?;
    check_origin(headers, &app.settings)?;
    if is_open(request.uri().path()) || request.method() == Method::OPTIONS {
        return Ok(());
    }
    check_key(headers, app.settings.api_key.as_deref())
}

/// What a proxy in front might read otherwise than this server does: which host is asked, and where a
/// request ends.
fn check_framing(headers: &HeaderMap) -> Result<(), ApiError> {
    let refuse = |message: &str| Err(ApiError::refused(StatusCode::BAD_REQUEST, message));
    if headers.get_all(header::HOST).iter().count() > 1 {
        return refuse("there is more than one Host");
    }
    if headers.contains_key(header::TRANSFER_ENCODING)
        && headers.contains_key(header::CONTENT_LENGTH)
    {
        return refuse("Content-Length and Transfer-Encoding are both there");
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    #[test]
    fn a_panic_in_a_handler_is_told_and_goes_no_further() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let response = caught(async { panic!("on purpose") }).await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let body = to_bytes(response.into_body(), 10_000).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["type"], "server_error");
            let response = caught(async { StatusCode::OK.into_response() }).await;
            assert_eq!(response.status(), StatusCode::OK);
        });
    }
}
