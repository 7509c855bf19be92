//! Hidden states of the language model to velocities.

use janus_runtime::manifest::FlowConfig;
use janus_runtime::{GraphKind, LazyGraph, ModelDir, SessionOptions, tensors};
use ndarray::{Array4, ArrayView3, Axis};

use crate::encoder::EncodedLatents;
use crate::error::{Result, with_shape};

/// The generation decoder (JanusFlow §3.2).
#[derive(Debug)]
pub struct FlowDecoder {
    graph: LazyGraph,
    config: FlowConfig,
}

impl FlowDecoder {
    /// The graph `flow_decoder`, opened when it is first needed.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let config = model.manifest().flow()?.clone();
        let graph = model.lazy_graph(GraphKind::FlowDecoder, options)?;
        Ok(Self { graph, config })
    }

    /// Sizes of the flow.
    pub fn config(&self) -> &FlowConfig {
        &self.config
    }

    /// Velocities `[n, c, size, size]`, latents per unit of time: what the language model makes of
    /// the places of the latents, `hidden_states [n, tokens, H]`, and what went past it.
    ///
    /// # Errors
    ///
    /// [`janus_runtime::Error::Input`] where the hidden states are of another model.
    pub fn decode(
        &mut self,
        hidden_states: ArrayView3<'_, f32>,
        encoded: &EncodedLatents,
    ) -> Result<Array4<f32>> {
        let n = hidden_states.len_of(Axis(0));
        let mut outputs = self.graph.get()?.run(&[
            (tensors::HIDDEN_STATES, hidden_states.into()),
            (tensors::TIME_EMBEDS, encoded.time_embeds.view().into()),
            (tensors::SKIP, encoded.skip.view().into()),
        ])?;
        let velocity = outputs.take_finite(tensors::VELOCITY)?;
        let FlowConfig {
            latent_channels,
            latent_size: size,
            ..
        } = self.config;
        with_shape(
            tensors::VELOCITY,
            velocity,
            [n, latent_channels, size, size],
        )
    }
}
