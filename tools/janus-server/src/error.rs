//! Why a server could not start, and what clients are told.

use std::io;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::json;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server could not start or go on.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Everybody could use a server that only a key should open.
    #[error("{address} can be reached from other machines, and there is no API key")]
    NoKey {
        /// The address.
        address: String,
    },
    /// A setting is out of range.
    #[error("{setting} is {value}; it should be {expected}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The system gives no thread or no timer.
    #[error("cannot start {what}")]
    Start {
        /// What was to be started.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] janus_pipeline::Error),
}

/// An error as OpenAI's clients read it: `{"error": {"message", "type", "param", "code"}}`.
///
/// They repeat a request after 429 and 5xx, so what is wrong for good is never one of these.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    /// Seconds after which a client may try again.
    retry_after: Option<u64>,
}

/// Characters of a message at most: what clients send comes back in it.
const MESSAGE_AT_MOST: usize = 1000;

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: None,
            param: None,
            message: printable(&message.into()),
            retry_after: None,
        }
    }

    /// A request that nobody could answer; `param` is where it is wrong.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
        Self {
            param: Some(printable(&param.into())).filter(|param| !param.is_empty()),
            ..error
        }
    }

    /// A request that cannot be read.
    pub(crate) fn refused(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    /// There is no such model.
    pub(crate) fn unknown_model(name: &str, model: &str) -> Self {
        let name: String = name.chars().take(100).collect();
        let message = format!("there is no model `{name}`; this server has `{model}`");
        let error = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message);
        Self {
            param: Some("model".to_owned()),
            code: Some("model_not_found"),
            ..error
        }
    }

    /// No key, or not the right one.
    pub(crate) fn unauthorized() -> Self {
        let message = "this server needs `Authorization: Bearer KEY` with its API key";
        let status = StatusCode::UNAUTHORIZED;
        let error = Self::new(status, "authentication_error", message);
        Self {
            code: Some("invalid_api_key"),
            ..error
        }
    }

    /// As many requests are under way as may be.
    pub(crate) fn overloaded(limit: usize, retry_after: u64) -> Self {
        let message = format!("{limit} requests are under way, which is the limit; try again");
        let status = StatusCode::TOO_MANY_REQUESTS;
        let error = Self::new(status, "rate_limit_error", message);
        Self {
            code: Some("rate_limit_exceeded"),
            retry_after: Some(retry_after),
            ..error
        }
    }

    /// The server is not there yet, or not any more.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self {
            retry_after: Some(5),
            ..Self::new(status, "server_error", message)
        }
    }

    /// The request took too long.
    pub(crate) fn timed_out(seconds: u64) -> Self {
        let message = format!("not done after {seconds} seconds, which is the limit");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", message)
    }

    /// A bug of ours, or the model's.
    pub(crate) fn internal() -> Self {
        let message = "the model failed; this is not the request's fault";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The body.
    pub(crate) fn body(&self) -> serde_json::Value {
        json!({ "error": {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        } })
    }
}

impl From<janus_pipeline::Error> for ApiError {
    fn from(error: janus_pipeline::Error) -> Self {
        use janus_pipeline::Error as E;
        let code = match &error {
            E::PromptTooLong { .. } => Some("context_length_exceeded"),
            _ => None,
        };
        match &error {
            E::PromptTooLong { .. }
            | E::Setting { .. }
            | E::PictureInAnswer { .. }
            | E::TooLarge { .. }
            | E::LanguageModel(janus_llm::Error::Setting { .. }) => Self {
                code,
                ..Self::invalid("", error.to_string())
            },
            _ => Self::internal(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = json::respond(self.status, &self.body());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// Text without control characters, and not too long.
fn printable(text: &str) -> String {
    let shown = text.chars().map(|c| match c.is_control() {
        true => '\u{fffd}',
        false => c,
    });
    shown.take(MESSAGE_AT_MOST).collect()
}
