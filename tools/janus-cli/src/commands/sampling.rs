//! Settings of the sampler, as flags.

use anyhow::Result;
use janus_pipeline::Sampling;

/// How tokens are chosen.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct Flags {
    /// Divides the scores before drawing; 0 always takes the most probable token
    /// [default: the model's for pictures; 0 for text, 1 with --top-k or --top-p]
    #[arg(
        long,
        value_name = "T",
        allow_negative_numbers = true,
        verbatim_doc_comment
    )]
    pub(crate) temperature: Option<f32>,
    /// Draw among so many of the most probable tokens only
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<usize>,
    /// Draw among the most probable tokens that together have this probability only
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,
    /// Which draws; the same model, seed, prompt and settings give the same result
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
}

impl Flags {
    /// The settings for text: greedy unless something else is asked for.
    pub(crate) fn for_text(&self) -> Result<Sampling> {
        let is_cut = self.top_k.is_some() || self.top_p.is_some();
        self.at(if is_cut { 1.0 } else { 0.0 })
    }

    /// The settings, at `temperature` unless another one was given.
    pub(crate) fn at(&self, temperature: f32) -> Result<Sampling> {
        let sampling = Sampling::Random {
            temperature: self.temperature.unwrap_or(temperature),
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        };
        sampling.check()?;
        Ok(sampling)
    }
}
