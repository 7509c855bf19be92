//! The language model: its decoder, both of its embeddings and both of its heads.

use janus_runtime::manifest::{DrawingConfig, LanguageConfig};
use janus_runtime::{
    Graph, GraphKind, ImageToken, Input, LazyGraph, ModelDir, SessionOptions, Token, TokenId,
    tensors,
};
use ndarray::{Array1, Array2, ArrayD, Dimension, Ix3, arr0};

use crate::captures::Captures;
use crate::embeddings::{Embeddings, HiddenStates};
use crate::error::{Error, Result};
use crate::fixed;
use crate::kv_cache::{KvCache, Storage};
use crate::logits::Logits;
use crate::prefill::MANY;
use crate::prefix::Prefixes;
use crate::transformer::Transformer;

/// The autoregressive transformer with its two vocabularies (Janus-Pro §2.1).
///
/// Five graphs: a decoder without heads, two embeddings and two heads; three in a model that has no
/// image tokens (JanusFlow). They are apart because
/// ONNX Runtime computes outputs that nobody asks for, so that one graph with both heads would
/// cost both at every step; and because one pass of the decoder can then serve rows of text and
/// rows of pictures at once.
///
/// ```
/// use janus_llm::LanguageModel;
/// use janus_runtime::{ModelDir, SessionOptions, TokenId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # janus_tests::load_library();
/// # let path = janus_tests::demo_model();
/// let mut llm = LanguageModel::open(&ModelDir::open(path)?, &SessionOptions::default())?;
/// let mut cache = llm.new_cache(1, 16)?;
/// let prompt = llm.embed_text(&[TokenId(0), TokenId(9), TokenId(12)])?;
/// let hidden = llm.forward(&prompt, &mut cache)?;
/// let scores = llm.text_logits(&hidden.last())?;
/// assert_eq!(scores.view().dim(), (1, llm.config().vocab_size));
/// assert_eq!(cache.lengths(), [3]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LanguageModel {
    pub(crate) transformer: Transformer,
    embed_tokens: LazyGraph,
    lm_head: LazyGraph,
    image: Option<ImageVocabulary>,
    config: LanguageConfig,
    /// Positions of a picture.
    picture: usize,
    storage: Storage,
    /// Memory of captured steps, where steps are captured.
    captures: Option<Captures>,
    /// Whether `prefill` takes several rows.
    wide: bool,
    pub(crate) prefixes: Prefixes,
    /// Positions of a prompt from which on `prefill` runs it.
    pub(crate) many: usize,
}

/// What reads and writes image tokens, in a model that draws by them.
#[derive(Debug)]
struct ImageVocabulary {
    gen_embed: LazyGraph,
    gen_head: LazyGraph,
    codebook_size: usize,
}

impl LanguageModel {
    /// The language model of an export. Each of its graphs is opened when it is first needed.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        let lazy = |kind| model.lazy_graph(kind, options);
        let image = match &model.manifest().drawing {
            DrawingConfig::Tokens(vq) => Some(ImageVocabulary {
                gen_embed: lazy(GraphKind::GenEmbed)?,
                gen_head: lazy(GraphKind::GenHead)?,
                codebook_size: vq.codebook_size,
            }),
            DrawingConfig::Flow(_) => None,
        };
        let transformer = Transformer::of(model, options)?;
        let storage = match transformer.is_fixed() {
            true => Storage::HOST,
            false => Storage::of(model.manifest(), options.provider),
        };
        Ok(Self {
            transformer,
            embed_tokens: lazy(GraphKind::EmbedTokens)?,
            lm_head: lazy(GraphKind::LmHead)?,
            image,
            config: model.manifest().language.clone(),
            picture: model.manifest().drawing.num_tokens(),
            storage,
            captures: options.captures()?.then(Captures::default),
            wide: model.manifest().has_wide_form(),
            prefixes: Prefixes::default(),
            many: MANY,
        })
    }

    /// Opens what drawing needs now, rather than with the first picture. Where sizes are fixed, that is
    /// the transformer for a picture after a short prompt.
    pub fn open_for_images(&mut self) -> Result<()> {
        let forms = self.transformer.for_cache(self.picture + 1);
        forms.get(false)?;
        self.embed_tokens.get()?;
        match &mut self.image {
            Some(image) => {
                image.gen_embed.get()?;
                image.gen_head.get()?;
            }
            // All positions of a picture are run at once.
            None => drop(forms.get(true)?),
        }
        Ok(())
    }

    /// Opens what answering needs now, rather than with the first question. Where sizes are fixed, that
    /// is the transformer for a short question.
    pub fn open_for_text(&mut self) -> Result<()> {
        let forms = self.transformer.for_cache(1);
        forms.get(false)?;
        forms.get(true)?;
        for graph in [&mut self.embed_tokens, &mut self.lm_head] {
            graph.get()?;
        }
        Ok(())
    }

    /// Sizes of the model.
    pub fn config(&self) -> &LanguageConfig {
        &self.config
    }

    /// An empty cache for `rows` sequences of up to `capacity` positions. Where sizes are fixed it has
    /// those of the smallest bucket that holds them; where steps are captured
    /// ([`SessionOptions::captures`]), a multiple of 256.
    ///
    /// # Errors
    ///
    /// [`Error::CacheSize`] where there are no rows or positions, or more of them than the context has.
    pub fn new_cache(&self, rows: usize, capacity: usize) -> Result<KvCache> {
        let capacity = self.transformer.capacity(capacity);
        let (config, storage) = (&self.config, self.storage);
        match &self.captures {
            Some(captures) => KvCache::captured(config, storage, rows, capacity, captures),
            None => KvCache::new(config, storage, rows, capacity),
        }
    }

    /// An empty cache for a prompt of one row, of whose steps none is captured.
    pub(crate) fn prompt_cache(&self, positions: usize) -> Result<KvCache> {
        let capacity = self.transformer.capacity(positions);
        KvCache::new(&self.config, self.storage, 1, capacity)
    }

    /// Embeds text, one row: `[1, ids, hidden]`.
    pub fn embed_text(&mut self, ids: &[TokenId]) -> Result<Embeddings> {
        let ids = indices(ids, 1, self.config.vocab_size, "token id")?;
        embed(
            self.embed_tokens.get()?,
            tensors::INPUT_IDS,
            &ids,
            self.config.hidden_size,
        )
    }

    /// Embeds text, one token for each row: `[ids, 1, hidden]`.
    pub fn embed_text_rows(&mut self, ids: &[TokenId]) -> Result<Embeddings> {
        let ids = indices(ids, ids.len(), self.config.vocab_size, "token id")?;
        embed(
            self.embed_tokens.get()?,
            tensors::INPUT_IDS,
            &ids,
            self.config.hidden_size,
        )
    }

    /// Embeds image tokens, one for each row: `[tokens, 1, hidden]`.
    ///
    /// The embedding of a code is `gen_aligner(gen_embed[code])`; codes never go through the text
    /// table.
    ///
    /// # Errors
    ///
    /// [`Error::NoImageTokens`] where the model does not draw by them.
    pub fn embed_image_tokens(&mut self, tokens: &[ImageToken]) -> Result<Embeddings> {
        let hidden_size = self.config.hidden_size;
        let image = self.image()?;
        let tokens = indices(tokens, tokens.len(), image.codebook_size, "image token")?;
        let graph = image.gen_embed.get()?;
        embed(graph, tensors::IMAGE_TOKENS, &tokens, hidden_size)
    }

    /// Runs the transformer on what is new and extends the cache.
    ///
    /// Rows may have pasts of different lengths if each gets one new position. Several new
    /// positions at once are for a single row, or for rows without a past: this is what
    /// `GroupQueryAttention` takes on every ONNX Runtime from 1.24 on.
    ///
    /// # Errors
    ///
    /// [`Error::Rows`], [`Error::CacheFull`] and [`Error::RaggedChunk`] where the input does not
    /// fit the cache, which is then unchanged.
    pub fn forward(&mut self, embeds: &Embeddings, cache: &mut KvCache) -> Result<HiddenStates> {
        let starts = cache.lengths.clone();
        let many = self.transformer.is_fixed() && embeds.positions() > 1;
        self.extend(many, embeds, &starts, cache)
    }

    /// Runs the transformer by its graph for many positions, if it has one and there are `many`.
    fn extend(
        &mut self,
        many: bool,
        embeds: &Embeddings,
        starts: &[usize],
        cache: &mut KvCache,
    ) -> Result<HiddenStates> {
        let fixed = self.transformer.is_fixed();
        check_fit(embeds.rows(), embeds.positions(), cache, fixed)?;
        let graph = self.transformer.for_cache(cache.capacity()).get(many)?;
        match fixed {
            true => fixed::extend(graph, embeds, starts, cache, &self.config),
            false => extend(graph, embeds, starts, cache),
        }
    }

    /// As [`LanguageModel::forward`] for a single row whose new positions are numbered from
    /// `position` on, whatever is in the cache: those between are as if they were not attended to.
    ///
    /// Many positions go through the export's graph for them, if it has one.
    ///
    /// # Errors
    ///
    /// Those of [`LanguageModel::forward`], and [`Error::Position`] where the numbers are before
    /// the end of the cache or beyond the model's context.
    pub fn forward_at(
        &mut self,
        position: usize,
        embeds: &Embeddings,
        cache: &mut KvCache,
    ) -> Result<HiddenStates> {
        let past = cache.lengths.iter().max().copied().unwrap_or(0);
        let limit = self.config.context_length;
        if position < past || position + embeds.positions() > limit {
            return Err(Error::Position {
                position,
                new: embeds.positions(),
                past,
                limit,
            });
        }
        let many = match self.transformer.is_fixed() {
            true => embeds.positions() > 1,
            false => embeds.positions() >= self.many && embeds.rows() == 1,
        };
        let starts = vec![position; cache.rows()];
        self.extend(many, embeds, &starts, cache)
    }

    /// As [`LanguageModel::forward`], by the transformer's form for many positions if the export has
    /// one (see [`LanguageModel::has_wide_form`]).
    ///
    /// What comes of a row does not depend on the other rows in either form, but is not the same in
    /// both: a sequence should stay with one.
    ///
    /// # Errors
    ///
    /// Those of [`LanguageModel::forward`].
    pub fn forward_wide(
        &mut self,
        embeds: &Embeddings,
        cache: &mut KvCache,
    ) -> Result<HiddenStates> {
        let starts = cache.lengths.clone();
        self.extend(true, embeds, &starts, cache)
    }

    /// Whether the transformer has a second form for many positions or rows at once: integers with a
    /// scale per row, as exports in 8 and 4 bits have it.
    pub fn has_wide_form(&self) -> bool {
        self.wide
    }

    /// Scores of the next text token for each row of `hidden [rows, hidden]`.
    pub fn text_logits(&mut self, hidden: &Array2<f32>) -> Result<Logits<TokenId>> {
        let vocabulary = self.config.vocab_size;
        head(self.lm_head.get()?, hidden, vocabulary)
    }

    /// Scores of the next image token for each row of `hidden [rows, hidden]`.
    ///
    /// # Errors
    ///
    /// [`Error::NoImageTokens`] where the model does not draw by them.
    pub fn image_logits(&mut self, hidden: &Array2<f32>) -> Result<Logits<ImageToken>> {
        let image = self.image()?;
        head(image.gen_head.get()?, hidden, image.codebook_size)
    }

    fn image(&mut self) -> Result<&mut ImageVocabulary> {
        self.image.as_mut().ok_or(Error::NoImageTokens)
    }
}

/// Runs a form of the transformer on new positions, which are numbered from `starts` on in each row,
/// and extends the cache by them.
fn extend(
    graph: &mut Graph,
    embeds: &Embeddings,
    starts: &[usize],
    cache: &mut KvCache,
) -> Result<HiddenStates> {
    let (rows, new) = (embeds.rows(), embeds.positions());
    let positions = Array2::from_shape_fn((rows, new), |(row, i)| (starts[row] + i) as i64);
    let last = cache.lengths.iter().map(|past| (past + new - 1) as i32);
    let seqlens: Array1<_> = last.collect();
    let captured = match new == 1 && graph.captures() {
        true => cache.step_graph(),
        false => None,
    };
    let total = match captured {
        // What chooses a kernel's form is the same in every replay. Lengths are those of each row.
        Some(_) => cache.capacity(),
        None => cache.lengths.iter().max().map_or(0, |past| past + new),
    };
    let total = arr0(total as i32);

    let hidden = graph.run_bound(
        cache.bound_to(graph, captured)?,
        &[
            (tensors::INPUTS_EMBEDS, embeds.view().into()),
            (tensors::POSITION_IDS, positions.view().into()),
            (tensors::SEQLENS_K, seqlens.view().into()),
            (tensors::TOTAL_SEQUENCE_LENGTH, total.view().into()),
        ],
        tensors::HIDDEN_STATES,
    )?;
    let found = hidden.shape().to_vec();
    let hidden = hidden.into_dimensionality::<Ix3>();
    let hidden = hidden.map_err(|_| Error::OutputShape {
        graph: graph.kind(),
        tensor: tensors::HIDDEN_STATES,
        found,
        expected: "[rows, positions, hidden]".to_owned(),
    })?;
    let hidden = HiddenStates(hidden.to_owned());
    for past in &mut cache.lengths {
        *past += new;
    }
    Ok(hidden)
}

/// Checks that new positions fit the cache, and that they can be run: row by row anything can.
fn check_fit(rows: usize, new: usize, cache: &KvCache, row_by_row: bool) -> Result<()> {
    if rows != cache.rows() || new == 0 {
        return Err(Error::Rows {
            found: rows,
            expected: cache.rows(),
        });
    }
    for (row, past) in cache.lengths.iter().enumerate() {
        if past + new > cache.capacity() {
            return Err(Error::CacheFull {
                row,
                needed: past + new,
                capacity: cache.capacity(),
            });
        }
    }
    if !row_by_row && new > 1 && rows > 1 && cache.lengths.iter().any(|&past| past > 0) {
        return Err(Error::RaggedChunk {
            positions: new,
            rows,
        });
    }
    Ok(())
}

fn indices<T: Token>(
    tokens: &[T],
    rows: usize,
    limit: usize,
    what: &'static str,
) -> Result<Array2<i64>> {
    if let Some(token) = tokens.iter().find(|token| token.index() as usize >= limit) {
        return Err(Error::Token {
            what,
            token: token.index(),
            limit,
        });
    }
    let columns = tokens.len().checked_div(rows).unwrap_or(0);
    Ok(Array2::from_shape_fn((rows, columns), |(row, column)| {
        i64::from(tokens[row * columns + column].index())
    }))
}

fn embed(
    graph: &mut Graph,
    input: &'static str,
    ids: &Array2<i64>,
    hidden_size: usize,
) -> Result<Embeddings> {
    let mut outputs = graph.run(&[(input, Input::from(ids.view()))])?;
    let embeds = outputs.take_f32(tensors::INPUTS_EMBEDS)?;
    let shape = (ids.nrows(), ids.ncols(), hidden_size);
    Ok(Embeddings(reshape(
        embeds,
        graph.kind(),
        tensors::INPUTS_EMBEDS,
        shape,
    )?))
}

fn head<T: Token>(graph: &mut Graph, hidden: &Array2<f32>, vocabulary: usize) -> Result<Logits<T>> {
    let mut outputs = graph.run(&[(tensors::HIDDEN_STATES, Input::from(hidden.view()))])?;
    let logits = outputs.take_finite(tensors::LOGITS)?;
    let shape = (hidden.nrows(), vocabulary);
    Ok(Logits::new(reshape(
        logits,
        graph.kind(),
        tensors::LOGITS,
        shape,
    )?))
}

fn reshape<S: ndarray::IntoDimension>(
    array: ArrayD<f32>,
    graph: GraphKind,
    tensor: &'static str,
    shape: S,
) -> Result<ndarray::Array<f32, S::Dim>> {
    let shape = shape.into_dimension();
    if array.shape() != shape.slice() {
        return Err(Error::OutputShape {
            graph,
            tensor,
            found: array.shape().to_vec(),
            expected: format!("{:?}", shape.slice()),
        });
    }
    array.into_dimensionality().map_err(|_| Error::OutputShape {
        graph,
        tensor,
        found: Vec::new(),
        expected: format!("{:?}", shape.slice()),
    })
}
