//! The `janus` binary as people and scripts run it: files, output, exit codes.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bench;
mod common;
mod conversation;
mod deploy;
mod flow;
mod foreign;
mod models;
mod parts;
mod pictures;
#[cfg(unix)]
mod pipes;
mod providers;
mod reports;
#[cfg(unix)]
mod serve;
mod usage;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod webgpu;
