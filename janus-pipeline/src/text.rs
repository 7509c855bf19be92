//! Questions in, text out as it comes.

use janus_llm::{Embeddings, LanguageModel, Sampling};
use janus_runtime::TokenId;
use janus_vision::ImageEmbeds;

use crate::error::{Error, Result};
use crate::janus::Janus;
use crate::prompt::Prompt;
use crate::scheduler::Scheduler;
use crate::sequence::{Event, FinishReason, Request};
use crate::tokenizer::{Detokenizer, Encoded, Tokenizer};

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
    /// Those of [`Janus::text_request`].
    pub fn generate_text(
        &mut self,
        prompt: &Prompt,
        params: &TextParams,
    ) -> Result<TextStream<'_>> {
        let request = self.text_request(prompt, params)?;
        let prompt_tokens = request.prompt_positions();
        let mut scheduler = self.scheduler();
        scheduler.submit(request)?;
        Ok(TextStream {
            scheduler,
            llm: &mut self.llm,
            tokenizer: &self.tokenizer,
            text: AnswerText::default(),
            prompt_tokens,
            tokens: Vec::new(),
            finish: None,
        })
    }

    /// An answer as a [`Scheduler`] takes it.
    ///
    /// # Errors
    ///
    /// [`Error::PromptTooLong`] where the prompt leaves no room in the model's context; an answer
    /// that would not fit is cut to what does.
    pub fn text_request(&mut self, prompt: &Prompt, params: &TextParams) -> Result<Request> {
        let pictures = prompt.pictures().map(|picture| {
            let pixel_values = self.vision.preprocess(std::slice::from_ref(picture));
            Ok(self.vision.encode(&pixel_values)?)
        });
        let pictures: Vec<_> = pictures.collect::<Result<_>>()?;
        let pictures: Vec<_> = pictures.iter().collect();
        self.text_request_seeing(prompt, &pictures, params)
    }

    /// As [`Janus::text_request`], with the pictures of the prompt, each by itself, as the vision
    /// encoder sees them.
    ///
    /// # Panics
    ///
    /// Where there is not one for each.
    pub fn text_request_seeing(
        &mut self,
        prompt: &Prompt,
        pictures: &[&ImageEmbeds],
        params: &TextParams,
    ) -> Result<Request> {
        params.sampling.check()?;
        if params.max_new_tokens == 0 {
            return Err(Error::Setting {
                setting: "max_new_tokens",
                value: "0".to_owned(),
                expected: "1 or above".to_owned(),
            });
        }
        let limit = self.manifest().language.context_length;
        let encoded =
            self.tokenizer
                .encode_conversation(prompt, &self.manifest().chat, self.convention())?;
        let found = encoded.ids.len();
        if found > limit {
            return Err(Error::PromptTooLong { found, limit });
        }
        Ok(Request::Text {
            sampling: params.sampling,
            answers: 1,
            // The last token is never run, so it takes no position.
            max_new_tokens: params.max_new_tokens.min(limit - found + 1),
            eos: TokenId(self.manifest().tokens.eos),
            prompt: self.embed_prompt(&encoded, pictures)?,
        })
    }

    /// The input of the transformer for a conversation: text embedded, pictures in their places.
    ///
    /// This is all there is to multimodality: 576 rows of a picture overwrite the embeddings of
    /// its 576 placeholders. A JanusFlow picture has one row more, a learnt one, which takes the
    /// place of the begin-of-image token before them.
    fn embed_prompt(&mut self, encoded: &Encoded, pictures: &[&ImageEmbeds]) -> Result<Embeddings> {
        assert_eq!(pictures.len(), encoded.pictures.len(), "pictures");
        let mut embeds = self.llm.embed_text(&encoded.ids)?;
        let begin = usize::from(self.manifest.vision.begin_embed);
        for (picture, &start) in pictures.iter().zip(&encoded.pictures) {
            embeds.replace(0, start - begin, picture.picture(0));
        }
        Ok(embeds)
    }
}

/// The text of an answer, from its tokens as they come.
#[derive(Clone, Debug, Default)]
pub struct AnswerText {
    detokenizer: Detokenizer,
    /// Whether anything but white space was told.
    begun: bool,
}

impl AnswerText {
    /// Takes the next token and gives the text that it completes, which may be empty.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: TokenId) -> Result<String> {
        let text = self.detokenizer.push(tokenizer, token)?;
        Ok(self.told(text))
    }

    /// What is left after the last token.
    pub fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        let text = self.detokenizer.finish(tokenizer)?;
        Ok(self.told(text))
    }

    /// Answers begin with the space that follows the role, which is nobody's concern.
    fn told(&mut self, text: String) -> String {
        if self.begun {
            return text;
        }
        let text = text.trim_start();
        self.begun = !text.is_empty();
        text.to_owned()
    }
}

/// Text as it is generated, piece by piece. Dropping it stops the generation.
#[derive(Debug)]
pub struct TextStream<'a> {
    scheduler: Scheduler,
    llm: &'a mut LanguageModel,
    tokenizer: &'a Tokenizer,
    text: AnswerText,
    prompt_tokens: usize,
    tokens: Vec<TokenId>,
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
        self.scheduler.read_prompt(self.llm)
    }

    fn step(&mut self) -> Result<Option<String>> {
        let mut text = String::new();
        while self.finish.is_none() && text.is_empty() {
            for event in self.scheduler.step(self.llm)? {
                match event {
                    Event::Text { token, .. } => {
                        self.tokens.push(token);
                        text.push_str(&self.text.push(self.tokenizer, token)?);
                    }
                    Event::Finished { reason, .. } => {
                        self.finish = Some(reason);
                        text.push_str(&self.text.finish(self.tokenizer)?);
                    }
                    Event::Image { .. } => {}
                }
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
