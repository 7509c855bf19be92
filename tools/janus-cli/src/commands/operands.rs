//! `[MODEL] WHAT`, with options anywhere between.

use std::path::Path;

use crate::failure::Failure;
use crate::model;

/// A model and what it is to work on; a single operand is the latter, for the demo model.
///
/// Two plain operands, because clap cannot tell which one is missing once an option stands between
/// them.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Operands {
    /// An exported directory or a checkpoint; left out, the embedded demo model is meant
    #[arg(value_name = "MODEL")]
    first: Option<String>,
    /// What the model works on, as the usage line above names it
    #[arg(value_name = "WHAT")]
    second: Option<String>,
}

impl Operands {
    /// The model, if one was named.
    pub(crate) fn model(&self) -> Option<&Path> {
        self.second
            .as_ref()
            .and(self.first.as_deref().map(Path::new))
    }

    /// What the model works on; `name` is how the usage line calls it.
    ///
    /// # Errors
    ///
    /// Where there is none, or the only operand is a model's directory: then `name` was forgotten.
    pub(crate) fn what(&self, name: &str) -> Result<&str, Failure> {
        let missing = |message| Failure::Usage {
            message,
            hint: Some(format!("write `\"{name}\"`, or `MODEL \"{name}\"`")),
        };
        match (&self.first, &self.second) {
            (_, Some(what)) => Ok(what),
            (Some(only), None) if model::is_one(Path::new(only)) => Err(missing(format!(
                "`{only}` is a directory; {name} is missing"
            ))),
            (Some(only), None) => Ok(only),
            (None, None) => Err(missing(format!("{name} is missing"))),
        }
    }

    /// What the model works on, as text; `-` reads standard input.
    ///
    /// # Errors
    ///
    /// As [`Operands::what`], and where standard input cannot be read.
    pub(crate) fn text(&self, name: &str) -> Result<String, Failure> {
        let text = self.what(name)?;
        if text != "-" {
            return Ok(text.to_owned());
        }
        std::io::read_to_string(std::io::stdin()).map_err(|source| Failure::Read {
            path: "standard input".into(),
            source,
        })
    }
}
