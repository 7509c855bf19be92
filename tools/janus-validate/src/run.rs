//! The formulas, computed by the components that people use.

use janus_llm::{Embeddings, LanguageModel, Logits};
use janus_runtime::manifest::Dim;
use janus_runtime::{ImageToken, ModelDir, Output, SessionOptions, Token, TokenId};
use janus_vision::{ImageEmbeds, PixelValues, VisionEncoder};
use janus_vq::{ImageTokens, VqDecoder, VqEncoder};
use ndarray::{Array, Array2, Array3, Array4, ArrayD, Axis, Dimension, Ix1, Ix2, s};

use crate::error::{Error, Result};
use crate::flow::{self, Drawn, Wanted};
use crate::formula::{Formula, inputs};
use crate::tensor_file::TensorFile;

/// Weight of the guidance in `image_forced_logits_cfg5`.
const GUIDANCE: f32 = 5.0;

/// A model at work on the inputs of a golden file.
///
/// Graphs are opened when the first formula needs them, and what several formulas build on is
/// computed once.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    model: &'a ModelDir,
    options: &'a SessionOptions,
    golden: &'a TensorFile,
    /// Positions that caches have room for at least.
    room: usize,
    llm: Option<LanguageModel>,
    image_embeds: Option<ImageEmbeds>,
    prompt: Option<Embeddings>,
    /// Scores of every image token, `n` conditional rows and `n` unconditional ones.
    drawing: Option<Vec<Logits<ImageToken>>>,
    /// Pictures by rectified flow.
    drawn: Option<Drawn>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        model: &'a ModelDir,
        options: &'a SessionOptions,
        golden: &'a TensorFile,
    ) -> Self {
        Self {
            model,
            options,
            golden,
            room: 0,
            llm: None,
            image_embeds: None,
            prompt: None,
            drawing: None,
            drawn: None,
        }
    }

    /// Positions of the cache that an output needs.
    pub(crate) fn positions(&mut self, formula: Formula) -> Result<usize> {
        Ok(match formula {
            _ if !formula.has_cache() => 0,
            Formula::TextLogits => self.prompt()?.positions(),
            Formula::TextForcedLogits => {
                self.prompt()?.positions() + self.text_ids(inputs::TEXT_FORCED_IDS)?.len()
            }
            Formula::ImageForcedLogitsCond
            | Formula::ImageForcedLogitsUncond
            | Formula::ImageForcedLogitsCfg5 => {
                self.image_prompt()?.len() + self.image_tokens()?.ncols()
            }
            _ => Wanted::read(self.golden, self.model)?.positions(self.model),
        })
    }

    /// Computes an output, with caches that have room for so many positions at least: of the
    /// transformer's graphs of fixed sizes it takes those.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`] where the golden file lacks an input of the formula.
    pub(crate) fn output(&mut self, formula: Formula, room: usize) -> Result<Output> {
        if self.room != room {
            self.room = room;
            self.drawing = None;
            self.drawn = None;
        }
        Ok(match formula {
            Formula::ImageEmbeds => Output::F32(self.image_embeds()?.view().to_owned().into_dyn()),
            Formula::TextInputsEmbeds => Output::F32(self.prompt()?.view().to_owned().into_dyn()),
            Formula::TextLogits => Output::F32(self.text_logits()?.into_dyn()),
            Formula::TextForcedLogits => Output::F32(self.text_forced_logits()?.into_dyn()),
            Formula::ImageForcedLogitsCond => {
                self.drawing_output(|rows| rows.select(0..rows.len() / 2))?
            }
            Formula::ImageForcedLogitsUncond => {
                self.drawing_output(|rows| rows.select(rows.len() / 2..rows.len()))?
            }
            Formula::ImageForcedLogitsCfg5 => {
                self.drawing_output(|rows| rows.clone().guided(GUIDANCE))?
            }
            Formula::DecodedPixels => self.decoded_pixels()?,
            Formula::VqTokens => self.vq_tokens()?,
            Formula::EncTokensStep1 => self.encoded(|(skip, _)| skip.clone().into_dyn())?,
            Formula::TEmbStep1 => self.encoded(|(_, time)| time.clone().into_dyn())?,
            Formula::Velocities => Output::F32(self.drawn()?.velocities.clone().into_dyn()),
            Formula::Z1 => Output::F32(self.drawn()?.latents.clone().into_dyn()),
            Formula::VaePixels => {
                let latents = self.drawn()?.latents.clone();
                flow::decoded(self.model, self.options, &latents)?
            }
            Formula::VaeLatentPixels => {
                let latents = flow::latents(self.golden, inputs::VAE_LATENT, self.model)?;
                flow::decoded(self.model, self.options, &latents)?
            }
        })
    }

    /// `[n, tokens, hidden]`
    fn image_embeds(&mut self) -> Result<&ImageEmbeds> {
        let embeds = match self.image_embeds.take() {
            Some(embeds) => embeds,
            None => {
                let side = self.model.manifest().vision.image_size;
                let pixel_values = self.pixels(inputs::PIXEL_VALUES, side)?;
                let mut encoder = VisionEncoder::open(self.model, self.options)?;
                encoder.encode(&PixelValues::new(pixel_values))?
            }
        };
        Ok(self.image_embeds.insert(embeds))
    }

    /// The prompt for text with its picture in place, `[1, positions, hidden]`.
    fn prompt(&mut self) -> Result<&Embeddings> {
        let prompt = match self.prompt.take() {
            Some(prompt) => prompt,
            None => {
                let ids = self.text_ids(inputs::TEXT_INPUT_IDS)?;
                let mut prompt = self.llm()?.embed_text(&ids)?;
                if let Some(start) = self.placeholders(&ids)? {
                    let begin = usize::from(self.model.manifest().vision.begin_embed);
                    prompt.replace(0, start - begin, self.image_embeds()?.picture(0));
                }
                prompt
            }
        };
        Ok(self.prompt.insert(prompt))
    }

    /// `[1, positions, vocabulary]`: the positions become rows of the head.
    fn text_logits(&mut self) -> Result<Array3<f32>> {
        let prompt = self.prompt()?.clone();
        let room = self.positions(Formula::TextLogits)?.max(self.room);
        let llm = self.llm()?;
        let mut cache = llm.new_cache(1, room)?;
        let hidden = llm.forward(&prompt, &mut cache)?;
        let rows = hidden.view().index_axis(Axis(0), 0).to_owned();
        let logits = llm.text_logits(&rows)?;
        Ok(logits.view().to_owned().insert_axis(Axis(0)))
    }

    /// `[1, forced + 1, vocabulary]`
    fn text_forced_logits(&mut self) -> Result<Array3<f32>> {
        let forced = self.text_ids(inputs::TEXT_FORCED_IDS)?;
        let mut embeds = self.prompt()?.clone();
        let room = self.positions(Formula::TextForcedLogits)?.max(self.room);
        let llm = self.llm()?;
        let mut cache = llm.new_cache(1, room)?;

        let hidden = llm.forward(&embeds, &mut cache)?;
        let mut steps = vec![llm.text_logits(&hidden.last())?];
        for &id in &forced {
            embeds = llm.embed_text(&[id])?;
            let hidden = llm.forward(&embeds, &mut cache)?;
            steps.push(llm.text_logits(&hidden.last())?);
        }
        Ok(side_by_side(&steps))
    }

    /// Scores of every image token after the prompt and the forced tokens before it.
    fn drawing(&mut self) -> Result<&[Logits<ImageToken>]> {
        let steps = match self.drawing.take() {
            Some(steps) => steps,
            None => self.draw()?,
        };
        Ok(self.drawing.insert(steps))
    }

    fn draw(&mut self) -> Result<Vec<Logits<ImageToken>>> {
        let prompt = self.image_prompt()?;
        let tokens = self.image_tokens()?;
        let unconditional = self.unconditional(&prompt);
        let (n, count) = tokens.dim();
        let room = self.room.max(prompt.len() + count);
        let llm = self.llm()?;

        let cond = llm.embed_text(&prompt)?.repeat_row(0, n);
        let uncond = llm.embed_text(&unconditional)?.repeat_row(0, n);
        let mut embeds = Embeddings::stack(&[cond, uncond]);
        let mut cache = llm.new_cache(2 * n, room)?;
        let mut steps = Vec::with_capacity(count);
        for column in tokens.columns() {
            let hidden = llm.forward(&embeds, &mut cache)?;
            steps.push(llm.image_logits(&hidden.last())?);
            embeds = llm.embed_image_tokens(&[column.to_vec(), column.to_vec()].concat())?;
        }
        Ok(steps)
    }

    fn drawing_output(
        &mut self,
        rows: impl Fn(&Logits<ImageToken>) -> Logits<ImageToken>,
    ) -> Result<Output> {
        let steps: Vec<_> = self.drawing()?.iter().map(rows).collect();
        Ok(Output::F32(side_by_side(&steps).into_dyn()))
    }

    /// `[n, 3, size, size]`
    fn decoded_pixels(&self) -> Result<Output> {
        let config = self.model.manifest().vq()?;
        let tokens = self.image_tokens()?.mapv(|token| i64::from(token.0));
        let tokens = ImageTokens::from_indices(tokens, config)?;
        let mut decoder = VqDecoder::open(self.model, self.options)?;
        Ok(Output::F32(decoder.decode_pixels(&tokens)?.into_dyn()))
    }

    /// `[n, tokens]`
    fn vq_tokens(&self) -> Result<Output> {
        let side = self.model.manifest().vq()?.image_size;
        let pixels = self.pixels(inputs::VQ_PIXELS, side)?;
        let mut encoder = VqEncoder::open(self.model, self.options)?;
        let tokens = encoder.encode_pixels(pixels.view())?;
        Ok(Output::I64(tokens.view().to_owned().into_dyn()))
    }

    /// Pictures by rectified flow from the given noise.
    fn drawn(&mut self) -> Result<&Drawn> {
        let drawn = match self.drawn.take() {
            Some(drawn) => drawn,
            None => {
                let wanted = Wanted::read(self.golden, self.model)?;
                let (model, options, room) = (self.model, self.options, self.room);
                wanted.draw(model, options, room, self.llm()?)?
            }
        };
        Ok(self.drawn.insert(drawn))
    }

    /// What the flow encoder gave at the second step.
    fn encoded(
        &mut self,
        part: impl Fn(&(Array4<f32>, Array2<f32>)) -> ArrayD<f32>,
    ) -> Result<Output> {
        let golden = self.golden;
        let encoded = self.drawn()?.encoded.as_ref();
        let encoded = encoded.ok_or_else(|| Error::Element {
            path: golden.path().to_owned(),
            tensor: inputs::NUM_STEPS.to_owned(),
            at: 0,
            found: 1,
            expected: "2 or more, for the encodings of the second step".to_owned(),
        })?;
        Ok(Output::F32(part(encoded)))
    }

    fn llm(&mut self) -> Result<&mut LanguageModel> {
        let llm = match self.llm.take() {
            Some(llm) => llm,
            None => LanguageModel::open(self.model, self.options)?,
        };
        Ok(self.llm.insert(llm))
    }

    /// The first placeholder of the picture in a prompt, none in a prompt without one.
    fn placeholders(&self, ids: &[TokenId]) -> Result<Option<usize>> {
        let manifest = self.model.manifest();
        let is_placeholder = |id: &&TokenId| id.0 == manifest.tokens.image_placeholder;
        let Some(start) = ids.iter().position(|id| is_placeholder(&id)) else {
            return Ok(None);
        };
        let found = ids.iter().filter(is_placeholder).count();
        let in_a_row = ids[start..].iter().take_while(is_placeholder).count();
        let expected = manifest.vision.num_tokens;
        if (found, in_a_row) != (expected, expected) {
            return Err(Error::Placeholders {
                path: self.golden.path().to_owned(),
                tensor: inputs::TEXT_INPUT_IDS,
                found,
                whole: found == in_a_row,
                expected,
            });
        }
        Ok(Some(start))
    }

    /// Pads from position 1 to the one before the last.
    fn unconditional(&self, prompt: &[TokenId]) -> Vec<TokenId> {
        let pad = TokenId(self.model.manifest().tokens.pad);
        let mut ids = prompt.to_vec();
        let last = ids.len().saturating_sub(1);
        if let Some(between) = ids.get_mut(1..last) {
            between.fill(pad);
        }
        ids
    }

    fn text_ids(&self, name: &str) -> Result<Vec<TokenId>> {
        let shape = [Dim::Fixed(1), named("positions")];
        Ok(self
            .tokens::<TokenId, Ix2>(name, &shape)?
            .into_raw_vec_and_offset()
            .0)
    }

    fn image_prompt(&self) -> Result<Vec<TokenId>> {
        let ids = self.tokens::<TokenId, Ix1>(inputs::IMAGE_PROMPT_IDS, &[named("positions")])?;
        Ok(ids.to_vec())
    }

    /// `[n, tokens]`
    fn image_tokens(&self) -> Result<Array2<ImageToken>> {
        let count = self.model.manifest().vq()?.num_tokens();
        self.tokens(
            inputs::IMAGE_FORCED_TOKENS,
            &[named("n"), Dim::Fixed(count)],
        )
    }

    /// `[n, 3, side, side]`
    fn pixels(&self, name: &str, side: usize) -> Result<Array4<f32>> {
        let shape = [
            named("n"),
            Dim::Fixed(3),
            Dim::Fixed(side),
            Dim::Fixed(side),
        ];
        self.golden.with_shape(name, self.golden.f32(name)?, &shape)
    }

    fn tokens<T: Token, D: Dimension>(&self, name: &str, shape: &[Dim]) -> Result<Array<T, D>> {
        let indices = self.golden.indices(name)?.mapv(T::from_index);
        self.golden.with_shape(name, indices, shape)
    }
}

pub(crate) fn named(extent: &str) -> Dim {
    Dim::Named(extent.to_owned())
}

/// The scores of several steps, `[rows, steps, vocabulary]`.
fn side_by_side<T: Token>(steps: &[Logits<T>]) -> Array3<f32> {
    let (rows, vocabulary) = steps.first().map_or((0, 0), |step| step.view().dim());
    let mut all = Array3::zeros((rows, steps.len(), vocabulary));
    for (i, step) in steps.iter().enumerate() {
        all.slice_mut(s![.., i, ..]).assign(&step.view());
    }
    all
}
