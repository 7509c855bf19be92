//! What an export of the same weights computes, for the graphs of other exporters to be compared with.

use janus_llm::{Embeddings, LanguageModel};
use janus_runtime::manifest::Manifest;
use janus_runtime::{ImageToken, ModelDir, SessionOptions, Token, TokenId};
use janus_vision::{Convention, PixelValues, VisionEncoder};
use janus_vq::{ImageTokens, VqDecoder};
use ndarray::{Array1, Array3, ArrayD, Axis, concatenate, s};

use crate::error::Result;
use crate::precision::Material;
use crate::probe::spread;

/// Words before the picture, and behind it.
const WORDS: usize = 4;

/// An export at work on a prompt with a picture, and what comes after it.
pub(super) struct Reference<'a> {
    dir: &'a ModelDir,
    options: &'a SessionOptions,
    llm: LanguageModel,
    pixel_values: PixelValues,
    prompt: Vec<TokenId>,
    /// Where the picture begins in the prompt.
    start: usize,
    codes: ImageTokens,
    /// The prompt with its picture, once it was needed.
    with_picture: Option<Embeddings>,
}

impl<'a> Reference<'a> {
    pub(super) fn new(dir: &'a ModelDir, options: &'a SessionOptions) -> Result<Self> {
        let manifest = dir.manifest();
        let vq = manifest.vq()?;
        let shown = Material::generic().shown;
        let pictures: Vec<_> = shown.into_iter().take(1).map(|it| it.picture).collect();
        let (prompt, start) = prompt(manifest);
        let codes = spread(&[1, vq.num_tokens()], vq.codebook_size).mapv(|code| code as u32);
        let codes: Vec<_> = codes.into_iter().map(ImageToken::from_index).collect();
        Ok(Self {
            dir,
            options,
            llm: LanguageModel::open(dir, options)?,
            pixel_values: PixelValues::from_images(
                &pictures,
                &manifest.vision,
                Convention::default(),
            ),
            prompt,
            start,
            codes: ImageTokens::from_rows(&[codes], vq)?,
            with_picture: None,
        })
    }

    /// `[1, 1, 3, h, w]`: one picture of one row.
    pub(super) fn pixel_values(&self) -> ArrayD<f32> {
        self.pixel_values
            .view()
            .to_owned()
            .insert_axis(Axis(0))
            .into_dyn()
    }

    /// `[1, s]`: words around the placeholders of a picture.
    pub(super) fn ids(&self) -> ArrayD<i64> {
        row(&self.prompt)
    }

    /// `[1, s]`: whether a position is of the picture.
    pub(super) fn picture_positions(&self) -> ArrayD<i64> {
        let places = self.start..self.start + self.dir.manifest().vision.num_tokens;
        let is_of_picture = |at| i64::from(places.contains(&at));
        one_row((0..self.prompt.len()).map(is_of_picture))
    }

    /// `[1, tokens]`
    pub(super) fn codes(&self) -> ArrayD<i64> {
        self.codes.view().to_owned().into_dyn()
    }

    /// The prompt with the picture in its place, `[1, s, H]`.
    pub(super) fn prompt_with_picture(&mut self) -> Result<Embeddings> {
        if let Some(prompt) = &self.with_picture {
            return Ok(prompt.clone());
        }
        let mut encoder = VisionEncoder::open(self.dir, self.options)?;
        let picture = encoder.encode(&self.pixel_values)?;
        let mut prompt = self.prompt_without_picture()?;
        prompt.replace(0, self.start, picture.picture(0));
        Ok(self.with_picture.insert(prompt).clone())
    }

    /// The prompt with the placeholders as they are in the table, `[1, s, H]`.
    pub(super) fn prompt_without_picture(&mut self) -> Result<Embeddings> {
        Ok(self.llm.embed_text(&self.prompt)?)
    }

    /// What follows the prompt, one position each: a word and, where the model is given embeddings, a
    /// code.
    pub(super) fn step_ids(&self) -> [TokenId; 2] {
        [self.prompt[0], self.prompt[1]]
    }

    pub(super) fn embed_text(&mut self, ids: &[TokenId]) -> Result<Embeddings> {
        Ok(self.llm.embed_text(ids)?)
    }

    /// A single image token, `[1, 1, H]`.
    pub(super) fn embed_code(&mut self) -> Result<Embeddings> {
        let codes: Vec<_> = self.codes.row(0).take(1).collect();
        Ok(self.llm.embed_image_tokens(&codes)?)
    }

    /// Every code's embedding, `[1, tokens, H]`.
    pub(super) fn code_embeds(&mut self) -> Result<ArrayD<f32>> {
        let codes: Vec<_> = self.codes.row(0).collect();
        let rows = self.llm.embed_image_tokens(&codes)?;
        Ok(rows
            .view()
            .permuted_axes([1, 0, 2])
            .as_standard_layout()
            .into_owned()
            .into_dyn())
    }

    /// The hidden states of pieces of one row, each after those before it, `[1, s, H]` of each.
    pub(super) fn hidden(&mut self, pieces: &[Embeddings]) -> Result<Vec<Array3<f32>>> {
        let positions = pieces.iter().map(Embeddings::positions).sum();
        let mut cache = self.llm.new_cache(1, positions)?;
        let mut all = Vec::with_capacity(pieces.len());
        for piece in pieces {
            all.push(self.llm.forward(piece, &mut cache)?.view().to_owned());
        }
        Ok(all)
    }

    /// The scores of text tokens, `[1, s, vocabulary]`.
    pub(super) fn text_logits(&mut self, hidden: &Array3<f32>) -> Result<ArrayD<f32>> {
        let rows = hidden.slice(s![0, .., ..]).to_owned();
        let logits = self.llm.text_logits(&rows)?;
        Ok(logits.view().to_owned().insert_axis(Axis(0)).into_dyn())
    }

    /// The scores of image tokens, `[1, s, codes]`.
    pub(super) fn image_logits(&mut self, hidden: &Array3<f32>) -> Result<ArrayD<f32>> {
        let rows = hidden.slice(s![0, .., ..]).to_owned();
        let logits = self.llm.image_logits(&rows)?;
        Ok(logits.view().to_owned().insert_axis(Axis(0)).into_dyn())
    }

    /// `[1, 3, h, w]`
    pub(super) fn pixels(&self) -> Result<ArrayD<f32>> {
        let mut decoder = VqDecoder::open(self.dir, self.options)?;
        Ok(decoder.decode_pixels(&self.codes)?.into_dyn())
    }
}

/// Words, a picture between its two tokens, words; and where the picture begins.
fn prompt(manifest: &Manifest) -> (Vec<TokenId>, usize) {
    let tokens = &manifest.tokens;
    let words = spread(&[2, WORDS], tokens.tokenizer_size as usize);
    // A placeholder among the words would be one more place of the picture.
    let word = |id: &i64| match *id as u32 {
        id if id == tokens.image_placeholder => tokens.pad,
        id => id,
    };
    let mut ids = vec![tokens.bos];
    ids.extend(words.slice(s![0, ..]).iter().map(word));
    ids.push(tokens.begin_of_image);
    let start = ids.len();
    ids.extend(vec![tokens.image_placeholder; manifest.vision.num_tokens]);
    ids.push(tokens.end_of_image);
    ids.extend(words.slice(s![1, ..]).iter().map(word));
    (ids.into_iter().map(TokenId::from_index).collect(), start)
}

/// Ids as a graph takes them, `[1, s]`.
pub(super) fn row(ids: &[TokenId]) -> ArrayD<i64> {
    one_row(ids.iter().map(|id| i64::from(id.0)))
}

/// Numbers of positions, `[1, s]`.
pub(super) fn one_row(numbers: impl IntoIterator<Item = i64>) -> ArrayD<i64> {
    let numbers: Array1<_> = numbers.into_iter().collect();
    numbers.insert_axis(Axis(0)).into_dyn()
}

/// Pieces of a row behind one another.
pub(super) fn joined(pieces: &[Array3<f32>]) -> ArrayD<f32> {
    let views: Vec<_> = pieces.iter().map(|piece| piece.view()).collect();
    concatenate(Axis(1), &views).unwrap_or_default().into_dyn()
}
