//! CoreML: the format and the sizes of our graphs, and what may be set.

use std::path::Path;

use ort::ep::coreml::ModelFormat;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider};

use crate::error::{Error, Result};
use crate::provider::ExecutionProvider;
use crate::session::SessionOptions;

/// What ONNX Runtime takes for a switch; anything else is off to it, without a word.
const SWITCH: &[&str] = &["0", "1"];
/// The settings of CoreML and their values; of those without, any text.
const SETTINGS: [(&str, &[&str]); 8] = [
    (
        "MLComputeUnits",
        &["ALL", "CPUAndGPU", "CPUAndNeuralEngine", "CPUOnly"],
    ),
    ("ModelFormat", &["MLProgram", "NeuralNetwork"]),
    (STATIC, SWITCH),
    ("EnableOnSubgraphs", SWITCH),
    ("SpecializationStrategy", &["Default", "FastPrediction"]),
    ("ProfileComputePlan", SWITCH),
    ("AllowLowPrecisionAccumulationOnGPU", SWITCH),
    ("ModelCacheDirectory", &[]),
];
/// Whether only nodes with inputs of fixed sizes are taken.
const STATIC: &str = "RequireStaticInputShapes";

/// The newer format, which has the operators of our graphs, in the sizes that are fixed; compiled models
/// are kept.
pub(super) fn provider(cache: Option<&Path>) -> ep::CoreML {
    let ep = ep::CoreML::default()
        .with_model_format(ModelFormat::MLProgram)
        // `with_static_input_shapes` of `ort` 2.0.0-rc.15 writes `true`, which is none of a switch's
        // values.
        .with_arbitrary_config(STATIC, "1");
    match cache {
        Some(cache) if make(cache) => ep.with_model_cache_dir(cache.display()),
        _ => ep,
    }
}

/// Makes a folder; without it CoreML compiles at every start.
fn make(folder: &Path) -> bool {
    let made = std::fs::create_dir_all(folder);
    if let Err(error) = &made {
        tracing::warn!("cannot make `{}`: {error}", folder.display());
    }
    made.is_ok()
}

/// Fails if a setting is none of CoreML's, or has a value that it does not take.
pub(super) fn check_settings(options: &SessionOptions) -> Result<()> {
    for (key, value) in &options.settings {
        let provider = ExecutionProvider::CoreMl;
        let Some((_, values)) = SETTINGS.iter().find(|(name, _)| name == key) else {
            return Err(Error::ProviderSetting {
                provider,
                key: key.clone(),
            });
        };
        if !values.is_empty() && !values.contains(&value.as_str()) {
            return Err(Error::ProviderSettingValue {
                provider,
                key: key.clone(),
                value: value.clone(),
                expected: values.join(", "),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_sizes_and_the_newer_format_are_the_default() {
        let registered = format!("{:?}", provider(Some(&std::env::temp_dir())));
        for pair in [
            r#""ModelFormat": "MLProgram""#,
            r#""RequireStaticInputShapes": "1""#,
            r#""ModelCacheDirectory": "#,
        ] {
            assert!(registered.contains(pair), "{registered}");
        }
        assert!(!registered.contains("MLComputeUnits"), "{registered}");
    }

    #[test]
    fn settings_are_checked_by_name_and_value() {
        let check = |key: &str, value: &str| {
            check_settings(&SessionOptions {
                settings: [(key.to_owned(), value.to_owned())].into(),
                ..SessionOptions::on(ExecutionProvider::CoreMl)
            })
        };
        for (key, values) in SETTINGS {
            for value in values.iter().chain(&["a folder"][values.len().min(1)..]) {
                check(key, value).unwrap();
            }
        }
        for (key, value, message) in [
            (
                "MLComputeUnits",
                "GPU",
                "`coreml` has no value `GPU` for `MLComputeUnits`; there are ALL, CPUAndGPU, \
                 CPUAndNeuralEngine, CPUOnly",
            ),
            (
                "RequireStaticInputShapes",
                "true",
                "`coreml` has no value `true` for `RequireStaticInputShapes`; there are 0, 1",
            ),
            (
                "ComputeUnits",
                "ALL",
                "`coreml` has no setting `ComputeUnits`",
            ),
        ] {
            assert_eq!(check(key, value).unwrap_err().to_string(), message);
        }
    }
}
