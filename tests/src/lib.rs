//! Fixtures and suites of the whole workspace.
