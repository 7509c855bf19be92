//! Answers as they come: server-sent events over updates of the model.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, Sleep};
use tokio_stream::Stream;

use crate::error::ApiError;

/// A comment; it has no meaning.
const PING: &[u8] = b": ping\n\n";

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
///
/// Where there is nothing to tell for as long as `quiet`, a comment tells proxies that the connection
/// is in use; clients pass over it.
pub(crate) fn respond<U: Send + 'static>(
    updates: UnboundedReceiver<U>,
    teller: impl Tell<U>,
    quiet: Duration,
) -> Response {
    let stream = Telling {
        updates,
        teller,
        ended: false,
        ping: Box::pin(tokio::time::sleep(quiet)),
        quiet,
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
    /// When a comment is due.
    ping: Pin<Box<Sleep>>,
    quiet: Duration,
}

impl<U, T: Tell<U>> Stream for Telling<U, T> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            let mut events = Events::default();
            let Poll::Ready(update) = this.updates.poll_recv(context) else {
                ready!(this.ping.as_mut().poll(context));
                this.ping.as_mut().reset(Instant::now() + this.quiet);
                return Poll::Ready(Some(Ok(Bytes::from_static(PING))));
            };
            match update {
                Some(update) => this.teller.tell(update, &mut events),
                None => {
                    this.ended = true;
                    if !this.teller.is_complete() {
                        events.error(&ApiError::internal());
                    }
                }
            }
            if !events.text.is_empty() {
                this.ping.as_mut().reset(Instant::now() + this.quiet);
                return Poll::Ready(Some(Ok(events.text.into())));
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio_stream::StreamExt as _;

    /// Tells numbers; 0 is the last.
    struct Numbers(bool);

    impl Tell<u8> for Numbers {
        fn tell(&mut self, update: u8, events: &mut Events) {
            events.data(&json!(update));
            self.0 = update == 0;
        }

        fn is_complete(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn quiet_streams_have_comments() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        runtime.block_on(async {
            let (updates, receiver) = unbounded_channel();
            let body = respond(receiver, Numbers(false), Duration::from_millis(5)).into_body();
            let mut stream = body.into_data_stream();
            for _ in 0..2 {
                assert_eq!(stream.next().await.unwrap().unwrap(), PING);
            }
            updates.send(7).unwrap();
            // Comments may still come before it, none after the last.
            let mut told = Bytes::from_static(PING);
            while told == PING {
                told = stream.next().await.unwrap().unwrap();
            }
            assert_eq!(told, "data: 7\n\n");
            updates.send(0).unwrap();
            drop(updates);
            let mut rest = Vec::new();
            while let Some(told) = stream.next().await {
                rest.push(told.unwrap());
            }
            rest.retain(|told| told != PING);
            assert_eq!(rest, ["data: 0\n\n"]);
        });
    }
}
