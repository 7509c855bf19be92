//! Drawing with a progress bar, and what a picture's file tells of how it was drawn.

use std::collections::BTreeMap;

use image::RgbImage;
use janus_pipeline::{ImageParams, ImageTokenStream, Janus, Sampling};
use serde::Serialize;

use crate::context::Context;
use crate::interrupt;
use crate::model::Model;
use crate::progress::Progress;

/// What is to be drawn, and how.
pub(crate) struct Drawing<'a> {
    pub(crate) prompt: &'a str,
    pub(crate) params: ImageParams,
}

/// Pictures that were drawn.
pub(crate) struct Drawn {
    pub(crate) pictures: Vec<RgbImage>,
    /// Image tokens of each picture.
    pub(crate) tokens: Vec<Vec<u32>>,
    /// Positions of the prompt.
    pub(crate) prompt_tokens: usize,
}

impl Drawing<'_> {
    /// Draws all steps, and shows how far it is. Ctrl-C stops between two of them.
    ///
    /// `each` may look at the stream after every step.
    pub(crate) fn draw(
        &self,
        janus: &mut Janus,
        context: &Context,
        mut each: impl FnMut(&mut ImageTokenStream<'_>, &Progress) -> anyhow::Result<()>,
    ) -> anyhow::Result<Drawn> {
        let _steps = interrupt::steps();
        let mut stream = janus.generate_image_tokens(self.prompt, &self.params)?;
        let total = stream.len();
        let mut bar = Progress::steps("drawing", context);
        while let Some(step) = stream.next() {
            step?;
            interrupt::check()?;
            bar.set((total - stream.len()) as u64, total as u64);
            each(&mut stream, &bar)?;
        }
        Ok(Drawn {
            pictures: stream.pictures()?,
            tokens: tokens(&stream),
            prompt_tokens: stream.prompt_tokens(),
        })
    }

    /// How picture `image` came about, by the tokens that it has.
    pub(crate) fn history<'a>(
        &'a self,
        model: &'a Model,
        image: usize,
        tokens: &'a [u32],
    ) -> History<'a> {
        let (temperature, top_k, top_p, seed) = match self.params.sampling {
            Sampling::Greedy => (0.0, None, None, 0),
            Sampling::Random {
                temperature,
                top_k,
                top_p,
                seed,
            } => (temperature, top_k, top_p, seed),
        };
        let manifest = model.dir.manifest();
        let files = manifest.source.files.iter();
        History {
            model: &model.name,
            prompt: self.prompt,
            seed,
            image,
            guidance_scale: printed(self.params.guidance_scale),
            temperature: printed(temperature),
            top_k,
            top_p: top_p.map(printed),
            family: manifest.family.to_string(),
            dtype: manifest.converter.dtype.to_string(),
            weights: files
                .map(|(name, file)| (name.as_str(), file.sha256.as_str()))
                .collect(),
            tokens,
        }
    }
}

/// Image tokens so far, a row for each picture.
pub(crate) fn tokens(stream: &ImageTokenStream<'_>) -> Vec<Vec<u32>> {
    let rows = stream.rows().iter();
    rows.map(|row| row.iter().map(|token| token.0).collect())
        .collect()
}

/// How a picture came about: everything that is needed to draw it again.
#[derive(Serialize)]
pub(crate) struct History<'a> {
    model: &'a str,
    prompt: &'a str,
    seed: u64,
    /// Which picture of those that were drawn together, from 0; its stream of draws.
    image: usize,
    guidance_scale: f64,
    temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    family: String,
    dtype: String,
    /// SHA-256 of every file of the weights that were converted.
    weights: BTreeMap<&'a str, &'a str>,
    tokens: &'a [u32],
}

/// The 64-bit float that is printed alike.
pub(crate) fn printed(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::NAN)
}
