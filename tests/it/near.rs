//! How near exports are to the official code's numbers, and to other exports of the same weights.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use janus_runtime::{ModelDir, SessionOptions};
use janus_tests::{data, load_library};
use janus_validate::{Material, PrecisionOptions, PrecisionReport, compare_precision, validate};

/// Exports of the tiny checkpoints, of both ways to draw, give the official code's numbers within a
/// relative error.
pub(crate) fn assert_near_the_official_code([tokens, flow]: [PathBuf; 2], tolerance: f64) {
    load_library();
    let options = SessionOptions::default();
    for (path, golden) in [
        (tokens, "janus-tiny/golden.safetensors"),
        (flow, "janusflow-tiny/golden.safetensors"),
    ] {
        let model = ModelDir::open(path).unwrap();
        let report = validate(&model, &options, &data(golden), Some(tolerance)).unwrap();
        assert!(report.passed(), "{report}");
        assert!(report.rows.len() >= 8, "{report}");
    }
}

/// An export is within the limits of its precision of a reference: graph by graph, and over answers
/// and pictures step by step with the cache.
pub(crate) fn assert_near_the_reference(export: &Path, reference: &Path) -> PrecisionReport {
    load_library();
    let wanted = PrecisionOptions {
        positions: 48,
        seed: 3,
    };
    let report = compare_precision(
        &ModelDir::open(export).unwrap(),
        &ModelDir::open(reference).unwrap(),
        [&SessionOptions::default(); 2],
        &Material::generic(),
        &wanted,
        &mut |_| ControlFlow::Continue(()),
    );
    let report = report.unwrap();
    assert!(report.passed(), "{report}");
    report
}
