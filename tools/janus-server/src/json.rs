//! Bodies in JSON: requests read within limits, and refused with the place that is wrong; responses.

use std::time::Duration;

use axum::body::{self, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;
use crate::settings::Settings;

/// The JSON of a request.
pub(crate) async fn read<T: DeserializeOwned>(
    request: Request,
    settings: &Settings,
) -> Result<T, ApiError> {
    check_headers(request.headers(), settings)?;
    let limit = settings.max_body_bytes;
    let seconds = settings.body_seconds;
    let read = body::to_bytes(request.into_body(), limit);
    let read = tokio::time::timeout(Duration::from_secs(seconds), read).await;
    let late = |_| {
        let message = format!("the body was not there after {seconds} seconds");
        ApiError::refused(StatusCode::BAD_REQUEST, message)
    };
    let bytes = read.map_err(late)?.map_err(|error| {
        let source = std::error::Error::source(&error);
        match source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
            true => too_long(limit),
            false => ApiError::refused(StatusCode::BAD_REQUEST, "the body cannot be read"),
        }
    })?;
    parse(&bytes)
}

/// A response in JSON.
pub(crate) fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let media = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response
}

fn check_headers(headers: &HeaderMap, settings: &Settings) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media = text(header::CONTENT_TYPE).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let message = "the body should be JSON, with `Content-Type: application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::refused(status, message));
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        let message = "the body should be sent as it is, without Content-Encoding";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::refused(status, message));
    }
    let length: Option<usize> = text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    match length {
        Some(length) if length > settings.max_body_bytes => Err(too_long(settings.max_body_bytes)),
        _ => Ok(()),
    }
}

fn too_long(limit: usize) -> ApiError {
    let message = format!("the body is longer than {limit} bytes (`max_body_bytes`)");
    ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, message)
}

/// JSON as a type; what is unknown, missing or of another type is named.
fn parse<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        let path = Some(path).filter(|path| path != ".");
        ApiError::invalid(param(path.unwrap_or_default(), &message), message)
    })?;
    let rest = json.end();
    rest.map_err(|error| ApiError::invalid("", error.to_string()))?;
    Ok(parsed)
}

/// Where a body is wrong. A field that nobody knows, or that is missing, is not in the path itself.
fn param(path: String, message: &str) -> String {
    let named = ["unknown field `", "missing field `", "duplicate field `"];
    let rest = named.iter().find_map(|begin| message.strip_prefix(begin));
    let name = rest.and_then(|rest| rest.split('`').next());
    match name {
        Some(name) if path.is_empty() || path == name => name.to_owned(),
        Some(name) if !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only read")]
        inner: Option<Vec<Inner>>,
        #[expect(dead_code, reason = "only read")]
        n: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only read")]
        text: String,
    }

    #[test]
    fn the_place_is_named() {
        for (text, param) in [
            (r#"{"x":1}"#, "x"),
            (r#"{"n":-1}"#, "n"),
            (r#"{"n":1,"n":1}"#, "n"),
            (r#"{"inner":[{"text":"a"},{"text":5}]}"#, "inner[1].text"),
            (r#"{"inner":[{"txt":"a"}]}"#, "inner[0].txt"),
            (r#"{"inner":[{}]}"#, "inner[0].text"),
        ] {
            let error = parse::<Outer>(&Bytes::from_static(text.as_bytes())).unwrap_err();
            assert_eq!(error.body()["error"]["param"], param, "{text}");
        }
        for text in ["", "null", "[]", "{", "{} {}", "\"\\ud800\"", "1e400"] {
            let error = parse::<Outer>(&Bytes::from_static(text.as_bytes())).unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{text}");
        }
        let deep = Bytes::from("[".repeat(100_000));
        assert!(parse::<serde_json::Value>(&deep).is_err());
    }
}
