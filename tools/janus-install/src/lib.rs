//! Finds the ONNX Runtime library, or fetches it once.
//!
//! `janus` is built without ONNX Runtime and loads it when it runs. This crate says where it lies.
//! [`find`] looks on this machine; [`install`] lets an ordinary package client fetch a pinned
//! package and keeps its libraries in the user's cache; [`ensure`] does the one or the other.
//!
//! ```no_run
//! use janus_install::{Flavour, Request, ensure};
//!
//! let request = Request::from_env().flavour(Flavour::Cpu);
//! let library = ensure(&request, &|_| {})?;
//! println!("{}", library.path.display());
//! # Ok::<(), janus_install::Error>(())
//! ```

mod archive;
mod cache;
mod client;
mod digest;
mod doctor;
mod error;
mod find;
mod flavour;
mod install;
mod list;
mod pins;
mod python;
mod record;
mod request;

pub use doctor::{Doctor, Integrity, Missing, diagnose};
pub use error::{Attempt, Error, Rejected, Result};
pub use find::{Library, Origin, find, verify};
pub use flavour::{Flavour, Platform, Version};
pub use install::{Options, Progress, ensure, install};
pub use list::{Available, Listing, list};
pub use request::{Interpreter, Request};

/// What the tests put in the place of the package registries.
#[doc(hidden)]
pub mod seam {
    pub use crate::client::{Client, Fetch};
    pub use crate::install::Installer;
    pub use crate::pins::{Package, Registry, SOURCES, Source};
}
