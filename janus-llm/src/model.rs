//! The language model: its decoder, both of its embeddings and both of its heads.

use janus_runtime::manifest::{LanguageConfig, VqConfig};
use janus_runtime::{
    Graph, GraphKind, ImageToken, Input, ModelDir, SessionOptions, Token, TokenId, tensors,
};
use ndarray::{Array1, Array2, ArrayD, Dimension, arr0};

use crate::embeddings::{Embeddings, HiddenStates};
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;
use crate::logits::Logits;

/// The autoregressive transformer with its two vocabularies (Janus-Pro §2.1).
///
/// Five graphs: a decoder without heads, two embeddings and two heads. They are apart because
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
    decoder: Graph,
    embed_tokens: Graph,
    gen_embed: Graph,
    lm_head: Graph,
    gen_head: Graph,
    config: LanguageConfig,
    vq: VqConfig,
}

impl LanguageModel {
    /// Opens the five graphs of the language model.
    pub fn open(model: &ModelDir, options: &SessionOptions) -> Result<Self> {
        Ok(Self {
            decoder: model.graph(GraphKind::LanguageModel, options)?,
            embed_tokens: model.graph(GraphKind::EmbedTokens, options)?,
            gen_embed: model.graph(GraphKind::GenEmbed, options)?,
            lm_head: model.graph(GraphKind::LmHead, options)?,
            gen_head: model.graph(GraphKind::GenHead, options)?,
            config: model.manifest().language.clone(),
            vq: model.manifest().vq.clone(),
        })
    }

    /// Sizes of the model.
    pub fn config(&self) -> &LanguageConfig {
        &self.config
    }

    /// An empty cache for `rows` sequences of up to `capacity` positions.
    pub fn new_cache(&self, rows: usize, capacity: usize) -> Result<KvCache> {
        KvCache::new(&self.decoder, &self.config, rows, capacity)
    }

    /// Embeds text, one row: `[1, ids, hidden]`.
    pub fn embed_text(&mut self, ids: &[TokenId]) -> Result<Embeddings> {
        let ids = indices(ids, 1, self.config.vocab_size, "token id")?;
        embed(
            &mut self.embed_tokens,
            tensors::INPUT_IDS,
            &ids,
            self.config.hidden_size,
        )
    }

    /// Embeds text, one token for each row: `[ids, 1, hidden]`.
    pub fn embed_text_rows(&mut self, ids: &[TokenId]) -> Result<Embeddings> {
        let ids = indices(ids, ids.len(), self.config.vocab_size, "token id")?;
        embed(
            &mut self.embed_tokens,
            tensors::INPUT_IDS,
            &ids,
            self.config.hidden_size,
        )
    }

    /// Embeds image tokens, one for each row: `[tokens, 1, hidden]`.
    ///
    /// The embedding of a code is `gen_aligner(gen_embed[code])`; codes never go through the text
    /// table.
    pub fn embed_image_tokens(&mut self, tokens: &[ImageToken]) -> Result<Embeddings> {
        let tokens = indices(tokens, tokens.len(), self.vq.codebook_size, "image token")?;
        embed(
            &mut self.gen_embed,
            tensors::IMAGE_TOKENS,
            &tokens,
            self.config.hidden_size,
        )
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
        let (rows, new) = (embeds.rows(), embeds.positions());
        check_fit(rows, new, cache)?;
        let positions =
            Array2::from_shape_fn((rows, new), |(row, i)| (cache.lengths[row] + i) as i64);
        let seqlens: Array1<_> = cache
            .lengths
            .iter()
            .map(|past| (past + new - 1) as i32)
            .collect();
        let total = cache
            .lengths
            .iter()
            .max()
            .map_or(0, |past| (past + new) as i32);

        let mut outputs = self.decoder.run_bound(
            &mut cache.binding,
            vec![
                (
                    tensors::INPUTS_EMBEDS,
                    Input::F32(embeds.0.clone().into_dyn().into()),
                ),
                (
                    tensors::POSITION_IDS,
                    Input::I64(positions.into_dyn().into()),
                ),
                (tensors::SEQLENS_K, Input::I32(seqlens.into_dyn().into())),
                (
                    tensors::TOTAL_SEQUENCE_LENGTH,
                    Input::I32(arr0(total).into_dyn().into()),
                ),
            ],
            tensors::HIDDEN_STATES,
        )?;
        let hidden = outputs.take_finite(tensors::HIDDEN_STATES)?;
        let shape = (rows, new, self.config.hidden_size);
        let hidden = reshape(
            hidden,
            GraphKind::LanguageModel,
            tensors::HIDDEN_STATES,
            shape,
        )?;
        for past in &mut cache.lengths {
            *past += new;
        }
        Ok(HiddenStates(hidden))
    }

    /// Scores of the next text token for each row of `hidden [rows, hidden]`.
    pub fn text_logits(&mut self, hidden: &Array2<f32>) -> Result<Logits<TokenId>> {
        let vocabulary = self.config.vocab_size;
        head(&mut self.lm_head, hidden, vocabulary)
    }

    /// Scores of the next image token for each row of `hidden [rows, hidden]`.
    pub fn image_logits(&mut self, hidden: &Array2<f32>) -> Result<Logits<ImageToken>> {
        let vocabulary = self.vq.codebook_size;
        head(&mut self.gen_head, hidden, vocabulary)
    }
}

fn check_fit(rows: usize, new: usize, cache: &KvCache) -> Result<()> {
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
    if new > 1 && rows > 1 && cache.lengths.iter().any(|&past| past > 0) {
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
