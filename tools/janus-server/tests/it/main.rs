//! The server as clients meet it: real sockets, the demo model.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod answers;
mod bombs;
mod client;
mod company;
mod documents;
mod embeddings;
mod flow;
mod hostile;
mod nonsense;
mod parameters;
mod remote;
mod running;
mod slow;
mod transport;
