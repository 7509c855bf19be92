//! Suites over the whole workspace.
