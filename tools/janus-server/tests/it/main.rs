//! The server as clients meet it: real sockets, the demo model.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod answers;
mod client;
mod company;
mod documents;
mod embeddings;
mod parameters;
mod running;
mod transport;
