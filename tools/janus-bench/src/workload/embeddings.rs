//! The embeddings by themselves.

use std::hint::black_box;

use janus_llm::LanguageModel;
use janus_runtime::manifest::DrawingConfig;
use janus_runtime::{ImageToken, Manifest, ModelDir, SessionOptions, TokenId};

use super::{Laps, Workload, scattered, words};
use crate::cost::Cost;
use crate::error::AnyError;
use crate::stage::Stage;
use crate::subject::Case;

pub(super) fn cases(model: &Manifest) -> Vec<Case> {
    let all: &[_] = match model.drawing {
        DrawingConfig::Tokens(_) => &["text", "image"],
        DrawingConfig::Flow(_) => &["text"],
    };
    let case = |&which: &&str| Case::new(Stage::Embeddings, which, which, Cost::default());
    all.iter().map(case).collect()
}

/// One token a call, another one each time: a table is not read twice at one place.
pub(super) struct EmbeddingCalls {
    llm: LanguageModel,
    words: Vec<TokenId>,
    codes: Vec<ImageToken>,
    calls: usize,
}

/// Tokens that take turns.
const TOKENS: usize = 4096;

impl EmbeddingCalls {
    pub(super) fn open(dir: &ModelDir, options: &SessionOptions) -> Result<Self, AnyError> {
        let model = dir.manifest();
        let codes = match &model.drawing {
            DrawingConfig::Tokens(vq) => vq.codebook_size,
            DrawingConfig::Flow(_) => 1,
        };
        let codes = scattered(TOKENS, codes as u64);
        Ok(Self {
            llm: LanguageModel::open(dir, options)?,
            words: words(model, TOKENS, 0),
            codes: codes.map(|code| ImageToken(code as u32)).collect(),
            calls: 0,
        })
    }
}

impl Workload for EmbeddingCalls {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        let turn = self.calls % TOKENS;
        self.calls += 1;
        let laps = Laps::begin();
        black_box(match case {
            0 => self.llm.embed_text(&[self.words[turn]])?,
            _ => self.llm.embed_image_tokens(&[self.codes[turn]])?,
        });
        Ok(laps.end())
    }
}
