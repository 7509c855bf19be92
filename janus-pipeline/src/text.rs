//! Questions in, text out as it comes.

use janus_llm::{Embeddings, Sampling};
use janus_runtime::TokenId;

use crate::error::{Error, Result};
use crate::janus::Janus;
use crate::prompt::Prompt;
use crate::scheduler::Scheduler;
use crate::sequence::{Event, FinishReason, Request};
use crate::tokenizer::Detokenizer;

/// How text is generated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextParams {
    /// Tokens of the answer at most.
    pub max_new_tokens: usize,
    /// How tokens are chosen; greedy unless said otherwise, as in the official code.
    pub sampling: Sampling,
}

impl Default for TextParams {
    fn default() -> Self {
        Self {
            max_new_tokens: 512,
            sampling: Sampling::Greedy,
        }
    }
}

impl Janus {
    /// Answers a conversation, piece by piece.
    ///
    /// # Errors
    ///
    /// [`Error::PromptTooLong`] where the prompt leaves no room in the model's context; an answer
    /// that would not fit is cut to what does.
    pub fn generate_text(
        &mut self,
        prompt: &Prompt,
        params: &TextParams,
    ) -> Result<TextStream<'_>> {
        params.sampling.check()?;
        if params.max_new_tokens == 0 {
            return Err(Error::Setting {
                setting: "max_new_tokens",
                value: "0".to_owned(),
                expected: "1 or above".to_owned(),
            });
        }
        let embeds = self.embed_prompt(prompt)?;
        let limit = self.manifest().language.context_length;
        let found = embeds.positions();
        if found > limit {
            return Err(Error::PromptTooLong { found, limit });
        }
        let request = Request::Text {
            sampling: params.sampling,
            // The last token is never run, so it takes no position.
            max_new_tokens: params.max_new_tokens.min(limit - found + 1),
            eos: TokenId(self.manifest().tokens.eos),
            prompt: embeds,
        };
        let prompt_tokens = found;
        let vocabulary = self.vocabulary();
        let mut scheduler = Scheduler::new(&mut self.llm, vocabulary);
        scheduler.submit(request)?;
        let detokenizer = self.tokenizer.detokenizer();
        let begun = false;
        Ok(TextStream {
            scheduler,
            detokenizer,
            prompt_tokens,
            tokens: Vec::new(),
            begun,
            finish: None,
        })
    }

    /// The input of the transformer for a conversation: text embedded, pictures in their places.
    ///
    /// This is all there is to multimodality: 576 rows of a picture overwrite the embeddings of
    /// its 576 placeholders. A JanusFlow picture has one row more, a learnt one, which takes the
    /// place of the begin-of-image token before them.
    fn embed_prompt(&mut self, prompt: &Prompt) -> Result<Embeddings> {
        let chat = &self.manifest().chat;
        let encoded = self
            .tokenizer
            .encode_conversation(prompt, chat, self.convention())?;
        let mut embeds = self.llm.embed_text(&encoded.ids)?;
        for (picture, &start) in prompt.pictures().zip(&encoded.pictures) {
            let pixel_values = self.vision.preprocess(std::slice::from_ref(picture));
            let image_embeds = self.vision.encode(&pixel_values)?;
            let begin = usize::from(self.manifest.vision.begin_embed);
            embeds.replace(0, start - begin, image_embeds.picture(0));
        }
        Ok(embeds)
    }
}

/// Text as it is generated, piece by piece. Dropping it stops the generation.
#[derive(Debug)]
pub struct TextStream<'a> {
    scheduler: Scheduler<'a>,
    detokenizer: Detokenizer<'a>,
    prompt_tokens: usize,
    tokens: Vec<TokenId>,
    /// Whether anything but white space was told.
    begun: bool,
    finish: Option<FinishReason>,
}

impl TextStream<'_> {
    /// Positions of the prompt, those of pictures included.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Tokens generated so far.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Why it ended, once it has.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// Runs the next piece of the prompt and tells how many positions have been run, of how many;
    /// nothing once the first token can come. Iterating does this by itself: it is for those who
    /// show how far a long prompt is.
    pub fn read_prompt(&mut self) -> Result<Option<(usize, usize)>> {
        self.scheduler.read_prompt()
    }

    fn step(&mut self) -> Result<Option<String>> {
        let mut text = String::new();
        while self.finish.is_none() && text.is_empty() {
            for event in self.scheduler.step()? {
                match event {
                    Event::Text { token, .. } => {
                        self.tokens.push(token);
                        text.push_str(&self.detokenizer.push(token)?);
                    }
                    Event::Finished { reason, .. } => {
                        self.finish = Some(reason);
                        text.push_str(&self.detokenizer.finish()?);
                    }
                    Event::Image { .. } => {}
                }
            }
            if !self.begun {
                // Answers begin with the space that follows the role.
                text = text.trim_start().to_owned();
                self.begun = !text.is_empty();
            }
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

impl Iterator for TextStream<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.finish.get_or_insert(FinishReason::Stop);
        }
        item
    }
}
