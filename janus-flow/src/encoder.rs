//! Latents and their time to positions of the language model.

use janus_runtime::manifest::{Dim, FlowConfig, GraphEntry};
use janus_runtime::{GraphKind, Input, LazyGraph, ModelDir, SessionOptions, tensors, time_waves};
use ndarray::{Array1, Array2, Array3, Array4, ArrayView4, Axis, Ix4};

use crate::error::{Error, Result, with_shape};

/// Timesteps between noise and picture.
const TIMESTEPS: f64 = 1000.0;

/// The generation encoder (JanusFlow §3.2).
///
/// ```
/// use janus_flow::{FlowEncoder, noise};
/// use janus_runtime::{ModelDir, SessionOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::tiny_flow(janus_runtime::manifest::DType::Fp32);
/// let mut encoder = FlowEncoder::open(&ModelDir::open(path)?, &SessionOptions::default())?;
/// let latents = noise(encoder.config(), 7, 0);
/// let encoded = encoder.encode(latents.view(), 0.0)?;
/// // One position for the time, then those of the picture.
/// assert_eq!(encoded.embeds.shape()[1], 1 + encoder.config().num_tokens());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FlowEncoder {
    graph: LazyGraph,
    config: FlowConfig,
    hidden_size: usize,
}

/// Latents as the language model sees them, and what the decoder needs beside its hidden states.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedLatents {
    /// The time, then the places of the latent row by row, `[n, 1 + tokens, H]`.
    pub embeds: Array3<f32>,
    /// The time, `[n, H]`.
    pub time_embeds: Array2<f32>,
    /// What goes past the language model, `[n, width, rows, columns]`.
    pub skip: Array4<f32>,
}

impl FlowEncoder {
    /// The graph `flow_encoder`, opened when it is first needed.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let config = model.manifest().flow()?.clone();
        Ok(Self {
            graph: model.lazy_graph(GraphKind::FlowEncoder, options)?,
            config,
            hidden_size: model.manifest().language.hidden_size,
        })
    }

    /// Sizes of the flow.
    pub fn config(&self) -> &FlowConfig {
        &self.config
    }

    /// Encodes `latents [n, c, size, size]` at one `time`, 0 for noise to 1 for pictures.
    ///
    /// # Errors
    ///
    /// [`janus_runtime::Error::Input`] where the latents have another size than the model's.
    pub fn encode(&mut self, latents: ArrayView4<'_, f32>, time: f64) -> Result<EncodedLatents> {
        let n = latents.len_of(Axis(0));
        let timestep = (TIMESTEPS * time) as f32;
        let graph = self.graph.get()?;
        let times = Times::of(graph.entry(), timestep, n);
        let mut outputs = graph.run(&[(tensors::LATENTS, latents.into()), times.as_input()])?;
        let (hidden, tokens) = (self.hidden_size, self.config.num_tokens());
        let embeds = outputs.take_finite(tensors::INPUTS_EMBEDS)?;
        let time_embeds = outputs.take_finite(tensors::TIME_EMBEDS)?;
        let skip = outputs.take_finite(tensors::SKIP)?;
        let found = skip.shape().to_vec();
        let [rows, columns] = self.config.grid;
        let skip = skip.into_dimensionality::<Ix4>();
        let skip = skip.map_err(|_| Error::Shape {
            tensor: tensors::SKIP,
            found,
            expected: vec![n, 0, rows, columns],
        })?;
        Ok(EncodedLatents {
            embeds: with_shape(tensors::INPUTS_EMBEDS, embeds, [n, 1 + tokens, hidden])?,
            time_embeds: with_shape(tensors::TIME_EMBEDS, time_embeds, [n, hidden])?,
            skip,
        })
    }
}

/// The time of every latent, as a graph takes it.
enum Times {
    Timesteps(Array1<f32>),
    Waves(Array2<f32>),
}

impl Times {
    fn of(graph: &GraphEntry, timestep: f32, n: usize) -> Self {
        let mut inputs = graph.inputs.iter();
        let waves = inputs.find(|spec| spec.name == tensors::TIME_WAVES);
        match waves.and_then(|spec| spec.shape.last()) {
            Some(&Dim::Fixed(width)) => {
                let waves = time_waves(timestep, width);
                Self::Waves(Array2::from_shape_fn((n, waves.len()), |(_, i)| waves[i]))
            }
            _ => Self::Timesteps(Array1::from_elem(n, timestep)),
        }
    }

    fn as_input(&self) -> (&'static str, Input<'_>) {
        match self {
            Self::Timesteps(timesteps) => (tensors::TIMESTEPS, timesteps.view().into()),
            Self::Waves(waves) => (tensors::TIME_WAVES, waves.view().into()),
        }
    }
}
