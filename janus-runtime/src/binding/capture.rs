//! The tensors of a run that is captured: in the provider's memory, and nowhere else from then on.

use std::fmt;

use ort::session::{IoBinding, RunOptions};
use ort::value::{DynValue, Tensor};

use super::Bound;
use crate::provider::ExecutionProvider;
use crate::residents::transfer;

/// The option of a run that names the captured graph, in every provider that has them.
const GRAPH_ID: &str = "gpu_graph_id";
/// The name of none: the run is not captured, and nothing is replayed.
const NONE: &str = "-1";

/// The options of runs that are captured as one graph, or not at all; made once, as runs are many.
pub(crate) struct RunSettings(pub(crate) RunOptions);

impl RunSettings {
    /// Those of the captured graph of a number, or of none.
    pub(crate) fn of(graph: Option<u16>) -> ort::Result<Self> {
        let mut options = RunOptions::new()?;
        match graph {
            Some(graph) => options.set(GRAPH_ID, graph.to_string())?,
            None => options.set(GRAPH_ID, NONE)?,
        }
        Ok(Self(options))
    }
}

impl fmt::Debug for RunSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSettings").finish_non_exhaustive()
    }
}

/// The tensors that a captured graph reads its inputs from and writes its output to.
///
/// The provider replays what it captured without a look at what is bound, so the host's tensors are
/// copied to these before a run, and back after it.
#[derive(Debug)]
pub(super) struct Capture {
    /// Of its runs.
    pub(super) settings: RunSettings,
    provider: ExecutionProvider,
    inputs: Vec<DynValue>,
    output: Vec<DynValue>,
}

impl Capture {
    pub(super) fn new(graph: u16, provider: ExecutionProvider) -> ort::Result<Self> {
        Ok(Self {
            settings: RunSettings::of(Some(graph))?,
            provider,
            inputs: Vec::new(),
            output: Vec::new(),
        })
    }

    /// Carries the inputs to the device. Before the first run they are bound there, as is the output;
    /// what kernels read on the host is bound where it is.
    pub(super) fn send(
        &mut self,
        io: &mut IoBinding,
        inputs: &[(&'static str, Bound)],
        (name, output): (&str, &Tensor<f32>),
    ) -> ort::Result<()> {
        let is_host = |name| self.provider.reads_on_host(name);
        let sent = inputs.iter().filter(|(name, _)| !is_host(name));
        let host: Vec<_> = sent.clone().map(|(_, input)| input.any()).collect();
        transfer::send(&host, &mut self.inputs, self.provider)?;
        if !self.output.is_empty() {
            return Ok(());
        }
        for ((name, _), tensor) in sent.zip(&self.inputs) {
            io.bind_input(*name, tensor)?;
        }
        for (name, input) in inputs.iter().filter(|(name, _)| is_host(name)) {
            input.bind(name, io)?;
        }
        transfer::send(&[output.upcast_ref()], &mut self.output, self.provider)?;
        let bound = self.output.iter_mut();
        bound.take(1).try_for_each(|it| io.bind_output(name, it))
    }

    /// Carries the output back.
    pub(super) fn fetch(&self, output: &mut Tensor<f32>) -> ort::Result<()> {
        let mut found = self.output.iter();
        found.try_for_each(|it| transfer::fetch(it, output, self.provider))
    }
}
