//! What each precision costs the demo model in its own world: within the limits, measured on what
//! the model really says and draws.

use std::ops::ControlFlow;
use std::path::Path;

use image::{Rgb, RgbImage};
use janus_runtime::manifest::DType;
use janus_runtime::{GraphKind, ModelDir, SessionOptions};
use janus_tests::{demo_model, demo_model_in, load_library, tiny_model};
use janus_validate::{
    Error, GraphDifference, Head, Limits, Material, PrecisionOptions, PrecisionReport, Result,
    Shown, compare_precision,
};

const WANTED: PrecisionOptions = PrecisionOptions {
    positions: 200,
    seed: 1,
};

/// Prompts, questions and pictures of the demo model's world.
fn material() -> Material {
    let owned = |texts: [&str; 4]| texts.map(str::to_owned).to_vec();
    let drawings = [
        "a red circle",
        "three drops",
        "a blue square left of a green drop",
        "an orange shield and a purple circle",
    ];
    let questions = [
        "what is in the picture?",
        "how many squares are there?",
        "what colour is the circle?",
        "is there a red square?",
    ];
    let places = [[8, 8], [24, 40], [40, 8], [8, 40]];
    let shown = questions
        .iter()
        .zip(places)
        .map(|(question, circle)| Shown {
            picture: scene(circle),
            question: (*question).to_owned(),
        });
    Material {
        drawings: owned(drawings),
        questions: owned(questions),
        shown: shown.collect(),
    }
}

/// A red circle, and a blue square in the middle of the right column.
fn scene([x, y]: [i32; 2]) -> RgbImage {
    RgbImage::from_fn(48, 48, |column, row| {
        let (column, row) = (column as i32, row as i32);
        let in_circle = (column - x).pow(2) + (row - y).pow(2) <= 49;
        let in_square = (column - 40).abs() <= 6 && (row - 24).abs() <= 6;
        Rgb(match (in_circle, in_square) {
            (true, _) => [220, 40, 40],
            (_, true) => [40, 80, 220],
            _ => [245, 245, 245],
        })
    })
}

fn compare(dtype: DType, wanted: &PrecisionOptions) -> PrecisionReport {
    load_library();
    compare_precision(
        &ModelDir::open(demo_model_in(dtype)).unwrap(),
        &ModelDir::open(demo_model()).unwrap(),
        [&SessionOptions::default(); 2],
        &material(),
        wanted,
        &mut |_| ControlFlow::Continue(()),
    )
    .unwrap()
}

#[test]
fn every_precision_is_within_its_limits() {
    for dtype in [DType::Fp16, DType::Q8, DType::Q4, DType::Q4f16] {
        let report = compare(dtype, &WANTED);
        assert!(report.passed(), "{report}");
        assert_eq!((report.dtype, report.reference_dtype), (dtype, DType::Fp32));
        assert_eq!(report.limits, Limits::of(dtype));
        for row in &report.distributions {
            let found = &row.divergence;
            assert!(found.positions >= WANTED.positions, "{report}");
            // It is another precision, and that can be measured.
            assert!(found.mean_kl > 0.0, "{report}");
            assert!(found.mean_log_prob_change > 0.0, "{report}");
            assert!(found.p99_kl >= found.mean_kl, "{report}");
            // Guidance 5 is told, not promised: this model draws at 1.5.
            assert_eq!(row.limited, row.guidance != Some(5.0), "{report}");
        }
    }
}

#[test]
fn a_model_costs_nothing_against_itself() {
    let report = compare(DType::Fp32, &WANTED);
    let graphs: Vec<_> = report.graphs.iter().map(|row| row.graph).collect();
    let expected = [
        GraphKind::VisionEncoder,
        GraphKind::VqEncoder,
        GraphKind::VqDecoder,
        GraphKind::EmbedTokens,
        GraphKind::GenEmbed,
        GraphKind::LanguageModel,
        GraphKind::LmHead,
        GraphKind::GenHead,
    ];
    assert_eq!(graphs, expected);
    for row in &report.graphs {
        let expected = match row.graph {
            GraphKind::VqEncoder => GraphDifference::EqualTokens(1.0),
            _ => GraphDifference::RelativeError(0.0),
        };
        assert_eq!(row.difference, expected, "{}", row.graph);
    }
    let heads: Vec<_> = report
        .distributions
        .iter()
        .map(|row| (row.head, row.guidance))
        .collect();
    let expected = [
        (Head::Text, None),
        (Head::TextWithPicture, None),
        (Head::ImageConditional, Some(1.5)),
        (Head::ImageGuided, Some(1.5)),
        (Head::ImageConditional, Some(5.0)),
        (Head::ImageGuided, Some(5.0)),
    ];
    assert_eq!(heads, expected);
    for row in &report.distributions {
        let found = &row.divergence;
        let differences = [found.mean_kl, found.p99_kl, found.mean_log_prob_change];
        assert_eq!(differences, [0.0; 3], "{report}");
        assert_eq!((found.top1_agreement, found.clear_agreement), (1.0, 1.0));
    }
    assert!(report.passed());
}

#[test]
fn a_seed_gives_the_same_report_and_another_one_other_sequences() {
    let wanted = |seed| PrecisionOptions {
        positions: 40,
        seed,
    };
    let report = compare(DType::Fp16, &wanted(3));
    assert_eq!(report, compare(DType::Fp16, &wanted(3)));
    assert_ne!(
        report.distributions,
        compare(DType::Fp16, &wanted(4)).distributions
    );
}

/// A comparison of two exports in 32 bits, stopped after so many steps.
fn compare_exports(
    model: &Path,
    reference: &Path,
    material: &Material,
    mut steps: usize,
) -> Result<PrecisionReport> {
    load_library();
    compare_precision(
        &ModelDir::open(model).unwrap(),
        &ModelDir::open(reference).unwrap(),
        [&SessionOptions::default(); 2],
        material,
        &WANTED,
        &mut |progress| {
            assert!(progress.done <= progress.total, "{progress:?}");
            steps = steps.saturating_sub(1);
            match steps {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        },
    )
}

#[test]
fn other_weights_and_too_little_to_go_by_are_refused() {
    let (demo, tiny) = (demo_model(), tiny_model("released", DType::Fp32));
    let error = compare_exports(&tiny, &demo, &material(), 9).unwrap_err();
    assert!(matches!(error, Error::OtherWeights { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("not converted from the same weights")
    );

    // The same tensors in another form are other files, which nobody has compared.
    let other = tiny_model("released-bin", DType::Fp32);
    let error = compare_exports(&tiny, &other, &material(), 9).unwrap_err();
    assert!(matches!(error, Error::OtherWeights { .. }), "{error}");

    let mut nothing_to_draw = material();
    nothing_to_draw.drawings.clear();
    let error = compare_exports(&demo, &demo, &nothing_to_draw, 9).unwrap_err();
    assert!(matches!(error, Error::NoMaterial { .. }), "{error}");

    let mut endless = material();
    endless.questions = vec!["why? ".repeat(300)];
    let error = compare_exports(&demo, &demo, &endless, 99).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("positions; the model holds 256"),
        "{message}"
    );
}

#[test]
fn exports_with_other_settings_are_refused() {
    let tiny = tiny_model("released", DType::Fp32);
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&tiny)
        .unwrap()
        .map(|entry| entry.unwrap())
    {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["chat"]["user"] = "Person".into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    let error = compare_exports(folder.path(), &tiny, &material(), 9).unwrap_err();
    assert!(
        matches!(error, Error::OtherSizes { field: "chat", .. }),
        "{error}"
    );
}

#[test]
fn a_comparison_can_be_stopped_at_any_step() {
    let demo = demo_model();
    for steps in [1, 7, 100] {
        let stopped = compare_exports(&demo, &demo, &material(), steps);
        assert!(matches!(stopped, Err(Error::Cancelled)), "after {steps}");
    }
}
