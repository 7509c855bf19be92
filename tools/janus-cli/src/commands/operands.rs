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
    first: String,
    /// What the model works on, as the usage line above names it
    #[arg(value_name = "WHAT")]
    second: Option<String>,
}

impl Operands {
    /// The model, if one was named.
    pub(crate) fn model(&self) -> Option<&Path> {
        self.second.as_ref().map(|_| Path::new(&self.first))
    }

    /// What the model works on; `name` is how the usage line calls it.
    ///
    /// # Errors
    ///
    /// Where the only operand is a model's directory: then `name` was forgotten.
    pub(crate) fn what(&self, name: &str) -> Result<&str, Failure> {
        match &self.second {
            Some(what) => Ok(what),
            None if model::is_one(Path::new(&self.first)) => Err(Failure::Usage {
                message: format!("`{}` is a directory; {name} is missing", self.first),
                hint: Some(format!("write `MODEL \"{name}\"`")),
            }),
            None => Ok(&self.first),
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
