//! What the files beside the weights say, checked against the weights.
//!
//! A size is taken from `config.json` where it is stated there, else from the shapes of the
//! weights; where both say something, they must agree. Settings that change what the model
//! computes and are not supported are refused, never ignored.

pub(crate) mod chat;
mod images;
pub(crate) mod json;
mod language;
pub(crate) mod preprocessor;
pub(crate) mod tokens;

use std::path::Path;

use janus_runtime::manifest::{LanguageConfig, Layout, VqConfig};

pub(crate) use self::images::SiglipConfig;
use self::json::{Document, Section};
use crate::error::{Error, Result};
use crate::module::Module;
use crate::networks::llama;

/// Name of the model's configuration.
const CONFIG: &str = "config.json";

/// Numbers beside the sizes that do not change what a model computes: ids, settings of training
/// and of text generation, versions.
const HARMLESS: &[&str] = &[
    "attention_dropout",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "decoder_start_token_id",
    "diversity_penalty",
    "dropout",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "hidden_dropout_rate",
    "initializer_range",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "pad_token_id",
    "pretraining_tp",
    "projection_dropout",
    "repetition_penalty",
    "sep_token_id",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// `config.json` of a Janus or Janus-Pro checkpoint.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    document: Document,
    layout: Layout,
}

/// The sizes of a model, all of them known.
#[derive(Debug)]
pub(crate) struct Sizes {
    pub(crate) language: LanguageConfig,
    /// Whether a checkpoint without a text head uses the embedding table instead.
    pub(crate) tied_head: bool,
    pub(crate) siglip: SiglipConfig,
    pub(crate) vq: VqConfig,
}

impl ConfigFile {
    /// Reads the configuration and recognises whose it is.
    pub(crate) fn read(released: &Path) -> Result<Self> {
        let document = Document::read(released, CONFIG)?;
        let layout = recognise(&document.root(), &released.join(CONFIG))?;
        let root = document.root();
        root.refuse("quantization_config")?;
        root.refuse_unknown_numbers(&[HARMLESS, &["image_token_id"]])?;
        Ok(Self { document, layout })
    }

    /// Layout of the weights.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The outermost object.
    pub(crate) fn root(&self) -> Section<'_> {
        self.document.root()
    }

    /// The sizes of the model, from here and from the weights.
    pub(crate) fn sizes(&self, model: &Module<'_>) -> Result<Sizes> {
        let root = self.root();
        let language = match self.layout {
            Layout::Released => root.section("language_config")?,
            Layout::Transformers => root.section("text_config")?,
        };
        // transformers ties by default, and prefers a head that is there.
        let tied = language.flag("tie_word_embeddings")?.unwrap_or(false)
            || root
                .flag("tie_word_embeddings")?
                .unwrap_or(self.layout == Layout::Transformers);
        let siglip = images::siglip(&root, model)?;
        let table = llama::language_model_of(model).at("embed_tokens");
        language.agree(
            "vocab_size",
            table.extent("weight", 0)?,
            "rows in the embedding table",
        )?;
        language.agree(
            "hidden_size",
            table.extent("weight", 1)?,
            "columns in the embedding table",
        )?;
        let language = language::read(&language)?;
        images::check_adaptors(&root, model)?;
        Ok(Sizes {
            vq: images::vq(&root, model, siglip.image_size)?,
            siglip,
            language,
            tied_head: tied,
        })
    }
}

/// Tells the layouts apart by what the configuration calls its model.
fn recognise(root: &Section<'_>, path: &Path) -> Result<Layout> {
    let flow = [
        "vision_und_enc_config",
        "vision_gen_enc_config",
        "vision_gen_dec_config",
    ];
    if flow.iter().any(|key| root.has(key)) {
        return Err(Error::JanusFlow {
            path: path.to_owned(),
        });
    }
    match root.text("model_type")? {
        Some("multi_modality") => Ok(Layout::Released),
        Some("janus") => Ok(Layout::Transformers),
        Some(other) => Err(Error::NotJanus {
            path: path.into(),
            model_type: other.to_owned(),
        }),
        None => Err(root.missing("model_type")),
    }
}
