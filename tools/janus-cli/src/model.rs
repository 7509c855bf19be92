//! From what a person names to a model that is open.

use std::path::{Path, PathBuf};

use janus_demo::Checkpoint;
use janus_pipeline::Janus;
use janus_runtime::ModelDir;
use janus_runtime::manifest::{DType, MANIFEST};

use crate::context::Context;
use crate::export;
use crate::failure::Failure;
use crate::progress::Progress;

/// An exported model, and what it is called.
pub(crate) struct Model {
    /// The last part of the path that was named.
    pub(crate) name: String,
    /// The exported directory.
    pub(crate) dir: ModelDir,
}

impl Model {
    /// Opens what `path` names: an exported directory, a checkpoint, which is converted into the
    /// cache when it is first used, or nothing, which means the embedded demo model.
    pub(crate) fn open(path: Option<&Path>, context: &Context) -> anyhow::Result<Self> {
        match path {
            None => Self::embedded(Checkpoint::PRO, context),
            Some(path) => Self::of(name(path), exported(path, context)?, context),
        }
    }

    /// Opens a model that is part of the program.
    pub(crate) fn embedded(embedded: Checkpoint, context: &Context) -> anyhow::Result<Self> {
        let dir = export::of_embedded(embedded, context)?;
        Self::of(embedded.name.to_owned(), dir, context)
    }

    fn of(name: String, dir: PathBuf, context: &Context) -> anyhow::Result<Self> {
        let dir = ModelDir::open(dir)?;
        expect_precision(&name, &dir, context)?;
        context.remark(format!("model: {}", dir.path().display()));
        Ok(Self { name, dir })
    }

    /// Opens both faces of the model: every graph but the VQ encoder.
    pub(crate) fn janus(&self, context: &Context) -> anyhow::Result<Janus> {
        let options = context.session_options()?;
        let _turning = Progress::unknown(&format!("opening {}", self.name), context);
        Ok(Janus::from_dir(&self.dir, &options)?)
    }
}

/// Whether a path could be meant as a MODEL.
pub(crate) fn is_one(path: &Path) -> bool {
    path.is_dir()
}

/// An export has the precision that it has; --dtype cannot change it any more.
fn expect_precision(name: &str, dir: &ModelDir, context: &Context) -> Result<(), Failure> {
    let found = dir.manifest().converter.dtype;
    match context.global.dtype.map(DType::from) {
        Some(wanted) if wanted != found => Err(Failure::Usage {
            message: format!("`{name}` is exported in {found}; --dtype asks for {wanted}"),
            hint: Some(format!(
                "`janus convert CHECKPOINT OUT --dtype {wanted}` makes another"
            )),
        }),
        _ => Ok(()),
    }
}

fn name(path: &Path) -> String {
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path);
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn exported(path: &Path, context: &Context) -> anyhow::Result<PathBuf> {
    if path.join(MANIFEST).is_file() {
        return Ok(path.to_owned());
    }
    if path.join("config.json").is_file() {
        return export::of_checkpoint(path, context);
    }
    let metadata = std::fs::metadata(path).map_err(|source| Failure::Read {
        path: path.to_owned(),
        source,
    })?;
    let path = path.display();
    let message = match metadata.is_dir() {
        true => format!(
            "`{path}` is no model: it has neither a {MANIFEST}, as exports have, \
             nor a config.json, as checkpoints have"
        ),
        false => format!("`{path}` is a file; a model is a directory"),
    };
    Err(Failure::Input(message).into())
}
