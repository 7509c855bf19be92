//! A path into a checkpoint, from which a network takes its weights by their released names.

use std::fmt::Display;
use std::sync::atomic::Ordering;

use super::Checkpoint;
use super::error::CheckpointError;
use super::tensor::{Tensor, TensorRef};

/// A path into a checkpoint: `language_model.model.layers.0`, say.
///
/// ```no_run
/// # use janus_convert::checkpoint::{Checkpoint, CheckpointError};
/// # fn main() -> Result<(), CheckpointError> {
/// let checkpoint = Checkpoint::open("Janus-Pro-1B".as_ref())?;
/// let model = checkpoint.root().at("language_model.model");
/// for layer in 0..model.count("layers") {
///     let mlp = model.at("layers").at(layer).at("mlp");
///     let up = mlp.tensor("up_proj.weight", &[5632, 2048])?;
///     println!("{} is stored as {}", up.name(), up.dtype());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Weights<'a> {
    checkpoint: &'a Checkpoint,
    path: String,
}

impl<'a> Weights<'a> {
    pub(super) fn root(checkpoint: &'a Checkpoint) -> Self {
        Self {
            checkpoint,
            path: String::new(),
        }
    }

    /// One or more steps further: `at("self_attn.q_proj")`, `at(3)`.
    pub fn at(&self, step: impl Display) -> Self {
        Self {
            checkpoint: self.checkpoint,
            path: self.full_name(&step.to_string()),
        }
    }

    /// Where this is, as a released name: no dot at either end, empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The weight `name`, which is used from now on.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::MissingTensor`], [`CheckpointError::Shape`] unless the shape is exactly this one, and
    /// [`CheckpointError::NotFloat`] unless it is stored as F32, F16 or BF16.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorRef<'a>, CheckpointError> {
        let (name, tensor) = self.find(name)?;
        let layout = &tensor.layout;
        if layout.shape != shape {
            return Err(CheckpointError::Shape {
                tensor: name.to_owned(),
                expected: shape.to_owned(),
                found: layout.shape.clone(),
            });
        }
        if !layout.dtype.is_weight() {
            let found = layout.dtype;
            return Err(CheckpointError::NotFloat {
                tensor: name.to_owned(),
                found,
            });
        }
        tensor.used.store(true, Ordering::Relaxed);
        Ok(TensorRef::new(name, tensor, self.checkpoint.file(tensor)))
    }

    /// Whether there is a tensor `name` here.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// The shape of the tensor `name`, outermost dimension first. Does not count as a use.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::MissingTensor`].
    pub fn shape(&self, name: &str) -> Result<&'a [usize], CheckpointError> {
        self.find(name)
            .map(|(_, tensor)| tensor.layout.shape.as_slice())
    }

    /// How many of `list.0`, `list.1`, … there are before the first that has no tensor at or below it.
    pub fn count(&self, list: &str) -> usize {
        let list = self.at(list);
        (0..)
            .take_while(|index| self.checkpoint.reaches(&list.full_name(&index.to_string())))
            .count()
    }

    fn find(&self, name: &str) -> Result<(&'a str, &'a Tensor), CheckpointError> {
        let tensor = self.full_name(name);
        self.checkpoint
            .find(&tensor)
            .ok_or(CheckpointError::MissingTensor { tensor })
    }

    fn full_name(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}
