//! What travels with the graphs: the tokenizer, the settings that were read, and the licences.

use std::fs;
use std::path::Path;

use crate::beside;
use crate::config::CONFIG;
use crate::config::preprocessor::PREPROCESSORS;
use crate::config::tokens::TOKENIZER;
use crate::error::{Error, Result};

/// None of the copied files is larger.
const LIMIT: u64 = 128 << 20;

/// What every export says of its weights.
const NOTICE: &str = "\
The files in this directory were converted from the weights of a model of the Janus family.

A conversion does not change whose weights they are: they stay under the licence of the model they
come from. The models that DeepSeek has published as Janus-1.3B, Janus-Pro-1B, Janus-Pro-7B and
JanusFlow-1.3B are under the DeepSeek Model License, which names uses that are not permitted and must
accompany every copy and every derivative. The VAE of a JanusFlow model is not DeepSeek's and has a
licence of its own. Copies of the licence files that lay beside the weights lie here too, those of
the VAE as `VAE-…`; if there are none, read the licence where the weights were published before you
pass these files on.

`manifest.json` names the files that the weights were read from, with their SHA-256 hashes.
";

/// Names and contents of the files beside the graphs, in a fixed order.
pub(crate) fn files(released: &Path, vae: Option<&Path>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![("NOTICE".to_owned(), NOTICE.as_bytes().to_vec())];
    let read = [TOKENIZER, CONFIG].into_iter().chain(PREPROCESSORS);
    for name in read.map(str::to_owned).chain(licences(released)?) {
        let bytes = beside::optional(beside::read(released, &name, LIMIT))?;
        files.extend(bytes.map(|bytes| (name, bytes)));
    }
    if let Some(vae) = vae {
        for name in licences(vae)? {
            let bytes = beside::read(vae, &name, LIMIT)?;
            files.push((format!("VAE-{name}"), bytes));
        }
    }
    Ok(files)
}

/// Names of the licence files beside the weights, sorted.
fn licences(released: &Path) -> Result<Vec<String>> {
    let failed = |source| Error::ReadFile {
        path: released.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(released).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let upper = name.to_uppercase();
        let is_licence = upper.starts_with("LICENSE") || upper.starts_with("LICENCE");
        if is_licence && released.join(name).is_file() {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
