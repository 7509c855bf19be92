//! Answers as they come: server-sent events over updates of the model.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_stream::Stream;

use crate::error::ApiError;

/// What turns updates into events. The end of the updates comes as none.
pub(crate) trait Tell<U>: Send + Unpin + 'static {
    /// The events of an update.
    fn tell(&mut self, update: U, events: &mut Events);

    /// Whether everything was told that there was to tell.
    fn is_complete(&self) -> bool;
}

/// Events on their way to the client.
#[derive(Debug, Default)]
pub(crate) struct Events {
    text: String,
}

impl Events {
    /// An event without a name, as `chat.completions` has them.
    pub(crate) fn data(&mut self, data: &Value) {
        // Writing to a `String` cannot fail, and JSON has no line breaks.
        let _ = write!(self.text, "data: {data}\n\n");
    }

    /// An event whose name is also its `type`.
    pub(crate) fn named(&mut self, name: &str, data: &Value) {
        let _ = write!(self.text, "event: {name}\ndata: {data}\n\n");
    }

    /// The line that ends a stream.
    pub(crate) fn done(&mut self) {
        self.text.push_str("data: [DONE]\n\n");
    }

    /// An error in the middle of a stream; there is nothing after it.
    pub(crate) fn error(&mut self, error: &ApiError) {
        let _ = write!(self.text, "event: error\ndata: {}\n\n", error.body());
    }
}

/// A response that lasts as long as there are updates. When the client leaves it is dropped, and
/// with it the receiver of the updates, which the model notices.
pub(crate) fn respond<U: Send + 'static>(
    updates: UnboundedReceiver<U>,
    teller: impl Tell<U>,
) -> Response {
    let stream = Telling {
        updates,
        teller,
        ended: false,
    };
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    let media = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, media);
    let uncached = HeaderValue::from_static("no-cache");
    headers.insert(header::CACHE_CONTROL, uncached);
    // nginx would gather the events otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Telling<U, T> {
    updates: UnboundedReceiver<U>,
    teller: T,
    ended: bool,
}

impl<U, T: Tell<U>> Stream for Telling<U, T> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            let mut events = Events::default();
            match ready!(this.updates.poll_recv(context)) {
                Some(update) => this.teller.tell(update, &mut events),
                None => {
                    this.ended = true;
                    if !this.teller.is_complete() {
                        events.error(&ApiError::internal());
                    }
                }
            }
            if !events.text.is_empty() {
                return Poll::Ready(Some(Ok(events.text.into())));
            }
        }
        Poll::Ready(None)
    }
}
