//! Settings of the sampler, as flags.

use janus_pipeline::Sampling;

/// How tokens are chosen.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Flags {
    /// Divides the scores before drawing; 0 always takes the most probable token
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f32>,
    /// Draw among so many of the most probable tokens only
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<usize>,
    /// Draw among the most probable tokens that together have this probability only
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,
    /// Which draws; the same seed, prompt and settings give the same result
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
}

impl Flags {
    /// The settings, at `temperature` unless another one was given.
    pub(crate) fn sampling(&self, temperature: f32) -> Sampling {
        match self.temperature.unwrap_or(temperature) {
            0.0 => Sampling::Greedy,
            temperature => Sampling::Random {
                temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                seed: self.seed,
            },
        }
    }
}
