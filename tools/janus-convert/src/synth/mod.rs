//! Random checkpoints with exactly the tensors of the released ones.
//!
//! For everything that does not need what a model has learnt: the sizes of an export, the memory and time that a
//! conversion takes, the speed of a machine. Names, shapes, containers and configuration are those of the released files;
//! the values depend on the seed alone and are such that a forward pass stays finite. Both layouts of one seed hold the
//! same model.
//!
//! ```no_run
//! use janus_convert::synth::{self, ModelShape, SynthOptions};
//!
//! # fn main() -> Result<(), synth::SynthError> {
//! let options = SynthOptions::released(&ModelShape::JANUS_PRO_1B);
//! let report = synth::write(&options, "random-janus-pro-1b".as_ref(), &mut |_, _| {})?;
//! assert_eq!((report.tensors, report.parameters), (882, 2_089_297_547));
//! # Ok(())
//! # }
//! ```

mod config;
mod error;
mod flow;
mod place;
mod released;
mod safetensors;
mod shape;
mod tensor;
mod tokenizer;
mod torch;
mod transformers;
mod values;
mod zip;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use self::error::SynthError;
pub use self::shape::{
    DrawingShape, FlowShape, LanguageShape, ModelShape, TokenIds, VaeShape, VisionShape, VqShape,
};
use crate::checkpoint::Container;

use self::place::Place;
use self::tensor::Tensor;

/// What to write.
#[derive(Debug, Clone, Copy)]
pub struct SynthOptions<'a> {
    /// Whose tensors.
    pub shape: &'a ModelShape,
    /// Whose names and configuration.
    pub layout: Layout,
    /// In which container.
    pub container: Container,
    /// Bytes of tensors that one file takes at most before another is begun.
    pub shard_size: u64,
    /// What all values depend on.
    pub seed: u64,
}

/// Whose names and configuration a checkpoint has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Those of the official code.
    Released,
    /// Those of the transformers library, which always writes safetensors itself.
    Transformers,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthReport {
    /// The directory.
    pub directory: PathBuf,
    /// Tensors of all files.
    pub tensors: usize,
    /// Values of all tensors.
    pub parameters: u64,
    /// The files that hold them, in order.
    pub files: Vec<String>,
}

impl<'a> SynthOptions<'a> {
    /// As DeepSeek released it: the 7B in two shards.
    pub fn released(shape: &'a ModelShape) -> Self {
        let container = shape.released_in;
        Self {
            shape,
            layout: Layout::Released,
            container,
            shard_size: shard_size(container),
            seed: 0,
        }
    }

    /// As ported to transformers.
    pub fn transformers(shape: &'a ModelShape) -> Self {
        Self {
            layout: Layout::Transformers,
            ..Self::released(shape)
        }
        .contained_in(Container::Safetensors)
    }

    /// The same in another container.
    pub fn contained_in(self, container: Container) -> Self {
        Self {
            container,
            shard_size: shard_size(container),
            ..self
        }
    }

    /// The same with other values.
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The number of tensors, and of their values.
    pub fn size(&self) -> (usize, u64) {
        size(&self.tensors())
    }

    /// The same of the VAE, if the model draws into one.
    pub fn vae_size(&self) -> Option<(usize, u64)> {
        self.vae().map(|(_, tensors)| size(&tensors))
    }

    fn tensors(&self) -> Vec<Tensor> {
        let released = released::tensors(self.shape);
        match self.layout {
            Layout::Released => released,
            Layout::Transformers => transformers::tensors(released),
        }
    }

    /// The VAE and its tensors, if the model draws into one.
    fn vae(&self) -> Option<(&VaeShape, Vec<Tensor>)> {
        match &self.shape.drawing {
            DrawingShape::Tokens(_) => None,
            DrawingShape::Flow(FlowShape { vae, .. }) => {
                Some((vae, released::listed(|root| flow::vae(root, vae))))
            }
        }
    }
}

fn size(tensors: &[Tensor]) -> (usize, u64) {
    (tensors.len(), tensors.iter().map(|t| t.len() as u64).sum())
}

/// Where the libraries that write the two containers begin another file.
fn shard_size(container: Container) -> u64 {
    match container {
        Container::Safetensors => 5_000_000_000,
        Container::PyTorch => 10_000_000_000,
    }
}

/// Where the VAE of a model that draws into one is within its checkpoint.
pub const VAE: &str = "sdxl-vae";
/// The VAE's file.
const VAE_FILE: &str = "diffusion_pytorch_model.safetensors";

/// Writes a checkpoint to `directory`, which must not exist yet, and below it the [`VAE`] that it draws into, if there is
/// one. `progress` is told how many bytes of tensors have been written, out of how many.
///
/// # Errors
///
/// [`SynthError::NoSuchLayout`], [`SynthError::Exists`], [`SynthError::DiskSpace`] before anything is written, and whatever goes wrong while writing.
/// After an error nothing is left behind.
pub fn write(
    options: &SynthOptions<'_>,
    directory: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<SynthReport, SynthError> {
    if options.layout == Layout::Transformers && options.vae().is_some() {
        return Err(SynthError::NoSuchLayout {
            model: options.shape.name,
        });
    }
    let tensors = options.tensors();
    let sizes = [Some(options.size()), options.vae_size()];
    let count = sizes.iter().flatten().map(|(count, _)| count).sum();
    let parameters: u64 = sizes.iter().flatten().map(|(_, values)| values).sum();
    let total = parameters * tensor::VALUE_BYTES as u64;
    let place = Place::beside(directory)?;
    check_disk_space(place.partial(), directory, total)?;

    for (name, content) in config::files(options.shape, options.layout) {
        write_json(place.partial(), name, &content)?;
    }
    let shards = shards(tensors, options);
    if shards.len() > 1 {
        write_json(
            place.partial(),
            &format!("{}.index.json", single_name(options.container)),
            &index(&shards),
        )?;
    }
    let mut written = 0;
    for shard in &shards {
        let mut advance = |bytes| {
            written += bytes;
            progress(written, total);
        };
        write_file(place.partial(), &shard.name, |out| {
            match options.container {
                Container::Safetensors => {
                    safetensors::write(out, &shard.tensors, options.seed, &mut advance)
                }
                Container::PyTorch => torch::write(out, &shard.tensors, options.seed, &mut advance),
            }
        })?;
    }
    let mut files: Vec<_> = shards.into_iter().map(|shard| shard.name).collect();
    if let Some((shape, tensors)) = options.vae() {
        let vae = place.partial().join(VAE);
        std::fs::create_dir(&vae).map_err(|source| SynthError::Create {
            path: vae.clone(),
            source,
        })?;
        write_json(&vae, "config.json", &config::vae_config(shape))?;
        write_file(&vae, VAE_FILE, |out| {
            safetensors::write(out, &tensors, options.seed, &mut |bytes| {
                written += bytes;
                progress(written, total);
            })
        })?;
        files.push(format!("{VAE}/{VAE_FILE}"));
    }
    Ok(SynthReport {
        directory: place.take()?,
        tensors: count,
        parameters,
        files,
    })
}

/// One file of tensors.
struct Shard {
    name: String,
    tensors: Vec<Tensor>,
}

/// Distributes tensors over files, in order.
fn shards(tensors: Vec<Tensor>, options: &SynthOptions<'_>) -> Vec<Shard> {
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    let mut size = 0;
    for tensor in tensors {
        if !part.is_empty() && size + tensor.byte_len() > options.shard_size {
            parts.push(std::mem::take(&mut part));
            size = 0;
        }
        size += tensor.byte_len();
        part.push(tensor);
    }
    parts.push(part);
    let count = parts.len();
    let name = single_name(options.container);
    let named = |(i, tensors): (usize, Vec<Tensor>)| match name.rsplit_once('.') {
        Some((stem, extension)) if count > 1 => Shard {
            name: format!("{stem}-{:05}-of-{count:05}.{extension}", i + 1),
            tensors,
        },
        _ => Shard {
            name: name.to_owned(),
            tensors,
        },
    };
    parts.into_iter().enumerate().map(named).collect()
}

fn single_name(container: Container) -> &'static str {
    match container {
        Container::Safetensors => "model.safetensors",
        Container::PyTorch => "pytorch_model.bin",
    }
}

fn index(shards: &[Shard]) -> Value {
    let mut weight_map = Map::new();
    let mut total_size = 0;
    for Shard { name, tensors } in shards {
        for tensor in tensors {
            weight_map.insert(tensor.name.clone(), json!(name));
            total_size += tensor.byte_len();
        }
    }
    json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map })
}

fn check_disk_space(at: &Path, directory: &Path, tensors: u64) -> Result<(), SynthError> {
    /// Headers, configuration and tokenizer, generously.
    const BESIDES: u64 = 4 << 20;
    let needed = tensors + BESIDES;
    // A system that cannot tell is no reason not to try.
    match fs4::available_space(at) {
        Ok(available) if available < needed => Err(SynthError::DiskSpace {
            path: directory.to_owned(),
            needed,
            available,
        }),
        _ => Ok(()),
    }
}

fn write_json(directory: &Path, name: &str, content: &Value) -> Result<(), SynthError> {
    write_file(directory, name, |out| {
        serde_json::to_writer_pretty(&mut *out, content)?;
        out.write_all(b"\n")
    })
}

fn write_file(
    directory: &Path,
    name: &str,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), SynthError> {
    let path = directory.join(name);
    let written = File::create_new(&path).and_then(|file| {
        let mut out = BufWriter::new(file);
        content(&mut out)?;
        out.into_inner()?.sync_all()
    });
    written.map_err(|source| SynthError::Write { path, source })
}
