//! A sentence in, pictures out token by token.

use std::collections::VecDeque;

use image::RgbImage;
use janus_llm::{LanguageModel, Sampling};
use janus_runtime::ImageToken;
use janus_vq::{ImageTokens, VqDecoder};

use crate::error::{Error, Result};
use crate::janus::Janus;
use crate::scheduler::Scheduler;
use crate::sequence::{Event, Request};
use crate::window::MAX_WINDOW;

/// Pictures of one request at most.
pub const MAX_IMAGES: usize = 64;

/// How pictures are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageParams {
    /// How many pictures; picture *i* is the same however many there are.
    pub images: usize,
    /// Weight of classifier-free guidance; 1 draws the prompt alone, at half the cost.
    pub guidance_scale: f32,
    /// How tokens are chosen. The official loop draws from the whole distribution at
    /// temperature 1.
    pub sampling: Sampling,
    /// Tokens that one pass of the transformer tries to draw, 1 to [`MAX_WINDOW`]. The tokens are
    /// the same, but for scores so close that rounding decides. More than one pays on processors
    /// that compute several positions nearly as fast as one; docs/generation.md has figures.
    pub window: usize,
}

impl Default for ImageParams {
    fn default() -> Self {
        Self {
            images: 1,
            guidance_scale: 5.0,
            sampling: Sampling::random(1.0, 0),
            window: 1,
        }
    }
}

impl Janus {
    /// The settings that this model is meant to be used with, and a seed.
    pub fn image_params(&self, seed: u64) -> ImageParams {
        let generation = &self.manifest().generation;
        ImageParams {
            images: 1,
            guidance_scale: generation.guidance_scale,
            sampling: Sampling::random(generation.temperature, seed),
            window: 1,
        }
    }

    /// Draws pictures token by token.
    ///
    /// # Errors
    ///
    /// [`janus_runtime::Error::OtherDrawing`] where the model draws by rectified flow: see
    /// [`Janus::generate_flow_images`].
    pub fn generate_images(&mut self, prompt: &str, params: &ImageParams) -> Result<Vec<RgbImage>> {
        let mut stream = self.generate_image_tokens(prompt, params)?;
        for tokens in &mut stream {
            tokens?;
        }
        stream.pictures()
    }

    /// Draws pictures token by token, in raster order: 576 steps for a grid of 24 × 24.
    pub fn generate_image_tokens(
        &mut self,
        prompt: &str,
        params: &ImageParams,
    ) -> Result<ImageTokenStream<'_>> {
        let request = self.image_request(prompt, params)?;
        let prompt_tokens = request.prompt_positions();
        let tokens = self.manifest().vq()?.num_tokens();
        let mut scheduler = self.scheduler();
        scheduler.submit(request)?;
        Ok(ImageTokenStream {
            scheduler,
            llm: &mut self.llm,
            vq: self.drawing.vq(&self.manifest)?,
            rows: vec![Vec::with_capacity(tokens); params.images],
            ahead: vec![VecDeque::new(); params.images],
            passes: 0,
            tokens,
            prompt_tokens,
            failed: false,
        })
    }

    /// Pictures as a [`Scheduler`] takes them.
    ///
    /// # Errors
    ///
    /// [`janus_runtime::Error::OtherDrawing`] where the model draws by rectified flow,
    /// [`Error::Setting`] where a setting is out of range.
    pub fn image_request(&mut self, prompt: &str, params: &ImageParams) -> Result<Request> {
        check(params)?;
        let tokens = self.manifest().vq()?.num_tokens();
        let chat = &self.manifest().chat;
        let ids = self.tokenizer.encode_drawing(prompt, chat)?.ids;
        let limit = self.manifest().language.context_length;
        let found = ids.len() + tokens - 1;
        if found > limit {
            return Err(Error::PromptTooLong { found, limit });
        }
        let guidance = match params.guidance_scale {
            1.0 => None,
            scale => {
                let unconditional = self.tokenizer.unconditional(&ids);
                Some((self.llm.embed_text(&unconditional)?, scale))
            }
        };
        Ok(Request::Images {
            prompt: self.llm.embed_text(&ids)?,
            guidance,
            sampling: params.sampling,
            images: params.images,
            tokens,
            window: params.window,
        })
    }
}

fn check(params: &ImageParams) -> Result<()> {
    params.sampling.check()?;
    if params.images == 0 || params.images > MAX_IMAGES {
        return Err(Error::Setting {
            setting: "images",
            value: params.images.to_string(),
            expected: format!("1 to {MAX_IMAGES}"),
        });
    }
    if params.window == 0 || params.window > MAX_WINDOW {
        return Err(Error::Setting {
            setting: "window",
            value: params.window.to_string(),
            expected: format!("1 to {MAX_WINDOW}"),
        });
    }
    if !params.guidance_scale.is_finite() {
        return Err(Error::Setting {
            setting: "guidance_scale",
            value: params.guidance_scale.to_string(),
            expected: "a finite number".to_owned(),
        });
    }
    Ok(())
}

/// One token of every picture at a time. Dropping it stops the generation.
#[derive(Debug)]
pub struct ImageTokenStream<'a> {
    scheduler: Scheduler,
    llm: &'a mut LanguageModel,
    vq: &'a mut VqDecoder,
    /// Tokens so far, per picture.
    rows: Vec<Vec<ImageToken>>,
    /// Tokens that a pass gave beyond the first, per picture.
    ahead: Vec<VecDeque<ImageToken>>,
    passes: usize,
    tokens: usize,
    prompt_tokens: usize,
    failed: bool,
}

impl ImageTokenStream<'_> {
    /// Positions of the prompt.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Tokens so far, a row for each picture.
    pub fn rows(&self) -> &[Vec<ImageToken>] {
        &self.rows
    }

    /// The pictures as they are by now: the last token of each stands for those to come.
    ///
    /// This runs the VQ decoder over the whole grid, so it costs as much as the final pictures.
    pub fn pictures(&mut self) -> Result<Vec<RgbImage>> {
        let filled: Vec<Vec<_>> = self
            .rows
            .iter()
            .map(|row| {
                let mut row = row.clone();
                let fill = row.last().copied().unwrap_or(ImageToken(0));
                row.resize(self.tokens, fill);
                row
            })
            .collect();
        let tokens = ImageTokens::from_rows(&filled, self.vq.config())?;
        Ok(self.vq.decode(&tokens)?)
    }

    /// Runs the next piece of the prompt and tells how many positions have been run, of how many;
    /// nothing once the first token can come. Iterating does this by itself: it is for those who
    /// show how far a long prompt is.
    pub fn read_prompt(&mut self) -> Result<Option<(usize, usize)>> {
        self.scheduler.read_prompt(self.llm)
    }

    /// Passes of the transformer so far, the prompt's not counted.
    pub fn passes(&self) -> usize {
        self.passes
    }

    fn step(&mut self) -> Result<Vec<ImageToken>> {
        while self.scheduler.read_prompt(self.llm)?.is_some() {}
        while self.ahead.iter().any(VecDeque::is_empty) {
            self.passes += 1;
            for event in self.scheduler.step(self.llm)? {
                if let Event::Image { id, token } = event {
                    // The scheduler has no other request, so its sequences count from 0.
                    self.ahead[id.0 as usize].push_back(token);
                }
            }
        }
        let next = self.ahead.iter_mut().filter_map(VecDeque::pop_front);
        let next: Vec<_> = next.collect();
        for (row, token) in self.rows.iter_mut().zip(&next) {
            row.push(*token);
        }
        Ok(next)
    }
}

impl Iterator for ImageTokenStream<'_> {
    type Item = Result<Vec<ImageToken>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rows[0].len() == self.tokens {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        Some(step)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self.failed {
            true => 0,
            false => self.tokens - self.rows[0].len(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for ImageTokenStream<'_> {}
