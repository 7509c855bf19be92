//! What the files beside the weights say, checked against the weights.
//!
//! A size is taken from `config.json` where it is stated there, else from the shapes of the
//! weights; where both say something, they must agree. Settings that change what the model
//! computes and are not supported are refused, never ignored.

pub(crate) mod chat;
mod flow;
mod images;
pub(crate) mod json;
mod language;
pub(crate) mod preprocessor;
pub(crate) mod tokens;
mod unique;
pub(crate) mod vae;

use std::path::{Path, PathBuf};

use janus_runtime::manifest::{
    DrawingConfig, Family, LanguageConfig, Layout, SpecialTokens, VqConfig,
};

pub(crate) use self::flow::FlowSizes;
pub(crate) use self::images::SiglipConfig;
use self::json::{Document, Section};
use self::vae::Vae;
use crate::checkpoint::Dtype;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::networks::llama;

/// Name of the model's configuration.
pub(crate) const CONFIG: &str = "config.json";

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

/// `config.json` of a checkpoint of the family.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    document: Document,
    layout: Layout,
    is_flow: bool,
}

/// The sizes of a model, all of them known.
pub(crate) struct Sizes<'c> {
    pub(crate) language: LanguageConfig,
    /// Whether a checkpoint without a text head uses the embedding table instead.
    pub(crate) tied_head: bool,
    pub(crate) siglip: SiglipConfig,
    pub(crate) drawing: DrawingSizes<'c>,
}

/// The sizes of what draws.
pub(crate) enum DrawingSizes<'c> {
    Tokens(VqConfig),
    Flow(FlowSizes<'c>),
}

impl DrawingSizes<'_> {
    /// What the manifest says of it.
    pub(crate) fn config(&self) -> DrawingConfig {
        match self {
            Self::Tokens(vq) => DrawingConfig::Tokens(vq.clone()),
            Self::Flow(flow) => DrawingConfig::Flow(flow.config.clone()),
        }
    }
}

impl ConfigFile {
    /// Reads the configuration and recognises whose it is.
    pub(crate) fn read(released: &Path, allow_unknown: bool) -> Result<Self> {
        let document = Document::read(released, CONFIG)?;
        let document = if allow_unknown {
            document.tolerant()
        } else {
            document
        };
        let path = released.join(CONFIG);
        let layout = recognise(&document.root(), &path)?;
        let root = document.root();
        let is_flow = flow::SECTIONS.iter().any(|key| root.has(key));
        root.refuse("quantization_config")?;
        root.refuse_unknown_numbers(&[HARMLESS, &["image_token_id"]])?;
        Ok(Self {
            path,
            document,
            layout,
            is_flow,
        })
    }

    /// Whether this is a JanusFlow checkpoint.
    pub(crate) fn is_flow(&self) -> bool {
        self.is_flow
    }

    /// Fails unless this is a JanusFlow checkpoint and was not said to be another.
    pub(crate) fn expect_flow(&self, stated: Option<Family>) -> Result<()> {
        match (self.is_flow, stated) {
            (true, None | Some(Family::JanusFlow)) => Ok(()),
            (_, stated) => Err(Error::OtherFamily {
                path: self.path.clone(),
                stated: stated.unwrap_or(Family::JanusFlow),
            }),
        }
    }

    /// Fails unless there is a VAE for a model that needs one, and none for another.
    pub(crate) fn check_vae(&self, vae: Option<&Path>) -> Result<()> {
        let path = || self.path.clone();
        match (self.is_flow, vae) {
            (true, None) => Err(Error::VaeMissing { path: path() }),
            (false, Some(_)) => Err(Error::VaeUnwanted { path: path() }),
            _ => Ok(()),
        }
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
    pub(crate) fn sizes<'c>(&self, model: &Module<'c>, vae: Option<&Vae<'c>>) -> Result<Sizes<'c>> {
        let root = self.root();
        let section = self.language()?;
        let table = llama::language_model_of(model).at("embed_tokens");
        let [rows, columns] = [table.extent("weight", 0)?, table.extent("weight", 1)?];
        section.agree("vocab_size", rows, "rows in the embedding table")?;
        section.agree("hidden_size", columns, "columns in the embedding table")?;
        let language = language::read(&section)?;

        let (siglip, drawing) = match vae {
            None => {
                let siglip = images::siglip(&root, model)?;
                images::check_adaptors(&root, model)?;
                let vq = images::vq(&root, model, siglip.image_size)?;
                (siglip, DrawingSizes::Tokens(vq))
            }
            Some(vae) => {
                let siglip = images::siglip_of_flow(&root, model)?;
                let flow = flow::flow(&root, model, vae, siglip.image_size)?;
                (siglip, DrawingSizes::Flow(flow))
            }
        };
        Ok(Sizes {
            language,
            tied_head: self.tied_head()?,
            siglip,
            drawing,
        })
    }

    /// Fails unless the stated placeholder is the tokenizer's.
    pub(crate) fn check_tokens(&self, tokens: &SpecialTokens) -> Result<()> {
        let (root, id) = (self.root(), tokens.image_placeholder);
        match root.size("image_token_id", 0..=u32::MAX as usize)? {
            Some(stated) if stated != id as usize => {
                let found = format!("`<image_placeholder>` is {id} in the tokenizer");
                Err(root.disagrees("image_token_id", stated, found))
            }
            _ => Ok(()),
        }
    }

    /// What a person should know of settings that are passed over.
    pub(crate) fn notes(&self, model: &Module<'_>) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        if self.root().has("auto_map") {
            notes.push(format!(
                "`{CONFIG}` names code in `auto_map`; it is not run"
            ));
        }
        let stored = llama::language_model_of(model)
            .at("embed_tokens")
            .stored("weight")?;
        for (section, key) in [(self.root(), "torch_dtype"), (self.root(), "dtype")] {
            let Some(stated) = section.text(key)? else {
                continue;
            };
            let known = [
                ("float32", Dtype::F32),
                ("float16", Dtype::F16),
                ("bfloat16", Dtype::BF16),
            ];
            if known
                .iter()
                .any(|(name, dtype)| *name == stated && *dtype != stored)
            {
                notes.push(format!(
                    "`{CONFIG}` says {stated}; the weights are {stored}"
                ));
            }
        }
        for setting in self.document.passed_over() {
            let setting = setting.escape_debug();
            notes.push(format!("`{CONFIG}` says {setting}; nothing is known of it"));
        }
        Ok(notes)
    }

    fn language(&self) -> Result<Section<'_>> {
        match self.layout {
            Layout::Released => self.root().section("language_config"),
            Layout::Transformers => self.root().section("text_config"),
        }
    }

    /// Whether the text head may be missing. `transformers` ties by default, and prefers a head
    /// that is there.
    fn tied_head(&self) -> Result<bool> {
        let (key, default) = ("tie_word_embeddings", self.layout == Layout::Transformers);
        let inner = self.language()?.flag(key)?.unwrap_or(false);
        Ok(inner || self.root().flag(key)?.unwrap_or(default))
    }
}

/// Tells the layouts apart by what the configuration calls its model.
fn recognise(root: &Section<'_>, path: &Path) -> Result<Layout> {
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
