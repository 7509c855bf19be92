//! Precision: which weights are stored how. A recipe is a small TOML file; those of the command
//! line's `--dtype` are in `recipes/`.
//!
//! Norms, biases, position embeddings and rotary tables are of the type that a graph computes in,
//! whatever the recipe. On the CPU all arithmetic beside the integer products, and everywhere all
//! inputs and outputs but the cache, are 32-bit floats: a weight of another type is followed by a
//! `Cast`, which ONNX Runtime folds when it opens the graph.

mod format;
mod rules;

use std::collections::BTreeMap;
use std::path::Path;

use janus_runtime::manifest::DType as Precision;
use serde::Deserialize;

pub(crate) use self::format::{Bits, Blocks, Format};
use self::rules::{Rule, format_of};
use crate::error::{Error, Result};
use crate::onnx::DType;

/// A recipe is small; a larger file is something else.
const MAX_BYTES: u64 = 1 << 20;
/// Where the matrices of the transformer are.
const LAYERS: &str = "language_model.model.layers";

/// The recipes that come with the converter, by name.
const SHIPPED: [(&str, &str); 7] = [
    ("fp32", include_str!("../../recipes/fp32.toml")),
    ("fp16", include_str!("../../recipes/fp16.toml")),
    ("bf16", include_str!("../../recipes/bf16.toml")),
    ("q8", include_str!("../../recipes/q8.toml")),
    ("q4", include_str!("../../recipes/q4.toml")),
    ("q4f16", include_str!("../../recipes/q4f16.toml")),
    ("q4-small", include_str!("../../recipes/q4-small.toml")),
];

/// Which weights are stored how.
///
/// ```
/// use janus_convert::Recipe;
///
/// let recipe = Recipe::parse(
///     "mine.toml".as_ref(),
///     r#"
///     dtype = "q4"             # what the manifest calls it, and which tolerances hold
///     scales = "fp32"          # of blocks; or fp16
///     prefill = "int8-dynamic" # a second form of the transformer, for prompts; or none
///
///     [weights]                # the most specific place counts; * stands for one step
///     "*" = "fp32"
///     "language_model.model.layers" = "int4/128"
///     "language_model.model.layers.*.mlp.down_proj" = "int8/128"
///     "#,
/// )?;
/// # Ok::<_, janus_convert::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recipe {
    dtype: Precision,
    scales: DType,
    rules: Vec<Rule>,
    prefill: Option<Format>,
}

/// A recipe, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    dtype: Precision,
    scales: Option<String>,
    prefill: Option<String>,
    weights: BTreeMap<String, String>,
}

impl Recipe {
    /// The recipe of a precision.
    pub fn shipped(dtype: Precision) -> Self {
        Self::named(&dtype.to_string()).unwrap_or_else(|| unreachable!("{dtype} has a recipe"))
    }

    /// The recipe of this name among those that come with the converter: `fp32`, `fp16`, `bf16`,
    /// `q8`, `q4`, `q4f16`, `q4-small`.
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
        Self::parse(Path::new(name), text).ok()
    }

    /// Reads a recipe.
    ///
    /// # Errors
    ///
    /// [`Error::ReadFile`] and those of [`Recipe::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        use std::io::Read;
        let failed = |source| Error::ReadFile {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut text = String::new();
        file.take(MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(failed)?;
        Self::parse(path, &text)
    }

    /// Parses a recipe; `path` is where it came from, for messages.
    ///
    /// # Errors
    ///
    /// [`Error::Recipe`] where it is not TOML or lacks a field, [`Error::RecipeField`] where a
    /// value is not one of those that a field has.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let written: Written = toml::from_str(text).map_err(|source| Error::Recipe {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let format = |field: &str, text: &str| {
            text.parse().map_err(|()| Error::RecipeField {
                path: path.to_owned(),
                field: field.to_owned(),
                found: text.to_owned(),
                expected: Format::EXPECTED,
            })
        };
        let rules = written.weights.iter();
        let rules = rules.map(|(place, text)| Ok(Rule::new(place, format(place, text)?)));
        let scales = written.scales.as_deref().unwrap_or("fp32");
        let Format::Float(scales) = format("scales", scales)? else {
            return Err(Error::RecipeField {
                path: path.to_owned(),
                field: "scales".to_owned(),
                found: scales.to_owned(),
                expected: "fp32, fp16 or bf16",
            });
        };
        Ok(Self {
            dtype: written.dtype,
            scales,
            rules: rules.collect::<Result<_>>()?,
            prefill: written
                .prefill
                .map(|text| format("prefill", &text))
                .transpose()?,
        })
    }

    /// What the manifest calls the precision.
    pub fn dtype(&self) -> Precision {
        self.dtype
    }

    /// The recipe of the graph for prompts, if there is one: the transformer in another format.
    pub(crate) fn prefill(&self) -> Option<Self> {
        let rule = Rule::new(LAYERS, self.prefill?);
        let rules = vec![Rule::new("*", Format::Float(DType::F32)), rule];
        Some(Self {
            rules,
            prefill: None,
            ..self.clone()
        })
    }

    /// How a module's matrix or kernel is stored.
    pub(crate) fn format(&self, module: &str) -> Result<Format> {
        format_of(&self.rules, module).ok_or_else(|| Error::RecipeSilent {
            module: module.to_owned(),
        })
    }

    /// As [`Recipe::format`], for weights that can only be floats.
    pub(crate) fn float(&self, module: &str) -> Result<DType> {
        match self.format(module)? {
            Format::Float(dtype) => Ok(dtype),
            format => Err(Error::RecipeFloat {
                module: module.to_owned(),
                format: format.to_string(),
            }),
        }
    }

    /// Type of the scales of blocks.
    pub(crate) fn scales(&self) -> DType {
        self.scales
    }

    /// Fails if a rule was for no weight, unless it is for one of the parts `of_others`, which only
    /// other models of the family have.
    pub(crate) fn expect_all_used(&self, of_others: &[&str]) -> Result<()> {
        let is_idle = |rule: &&Rule| !rule.was_used() && !of_others.contains(&rule.part());
        match self.rules.iter().find(is_idle) {
            Some(rule) => Err(Error::RecipeUnused {
                place: rule.place(),
            }),
            None => Ok(()),
        }
    }

    /// Whether `GroupQueryAttention` turns queries and keys itself. Its kernel takes rotary
    /// tables only for heads of a multiple of 16; others are turned before.
    pub(crate) fn rotary_in_attention(&self, head_dim: usize) -> bool {
        head_dim.is_multiple_of(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_precision_has_its_recipe() {
        use Precision::{Bf16, Fp16, Fp32, Q4, Q4f16, Q8};
        for dtype in [Fp32, Fp16, Bf16, Q8, Q4, Q4f16] {
            assert_eq!(Recipe::shipped(dtype).dtype(), dtype);
        }
        for (name, text) in SHIPPED {
            Recipe::parse(Path::new(name), text).unwrap();
        }
        assert!(Recipe::named("q5").is_none());
    }

    #[test]
    fn refusals_name_the_field() {
        let refused = |text| {
            let error = Recipe::parse(Path::new("r.toml"), text).unwrap_err();
            error.to_string()
        };
        let expected = "`r.toml`: `layers` is `int5`; expected fp32, fp16, bf16, int8-dynamic, int4/BLOCK \
                        or int8/BLOCK with a BLOCK of 16, 32, 64, 128 or 256";
        assert_eq!(
            refused("dtype = 'q4'\n[weights]\nlayers = 'int5'"),
            expected
        );
        assert_eq!(
            refused("dtype = 'q4'\nscales = 'int4/32'\n[weights]"),
            "`r.toml`: `scales` is `int4/32`; expected fp32, fp16 or bf16"
        );
        assert_eq!(
            refused("dtype = 'q9'\n[weights]"),
            "`r.toml` is not a recipe"
        );
        assert_eq!(refused("dtype = 'q4'"), "`r.toml` is not a recipe");
    }
}
