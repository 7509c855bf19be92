//! What is said to the model, and how it is spelled.
//!
//! The template is the one called "deepseek" in the official code: an optional system text and
//! two newlines, then for message *i* `role: text` and a separator, two newlines where *i* is even
//! and the end-of-sentence token where it is odd; an empty text leaves `role:`.

use image::RgbImage;
use janus_runtime::manifest::ChatConfig;
use janus_vision::Convention;

use crate::error::{Error, Result};

/// A conversation whose next turn is the model's.
///
/// ```
/// use janus_pipeline::Prompt;
///
/// let picture = image::RgbImage::new(64, 64);
/// let prompt = Prompt::new()
///     .user_with(vec![picture], "What is this?")
///     .assistant("A black square.")
///     .user("Are you sure?");
/// assert_eq!(prompt.pictures().count(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Prompt {
    system: Option<String>,
    messages: Vec<Message>,
}

/// One turn of a conversation.
#[derive(Clone, Debug)]
pub struct Message {
    /// Whose turn it is.
    pub role: Role,
    /// What is said.
    pub text: String,
    /// Pictures that are shown before the text.
    pub pictures: Vec<RgbImage>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person's.
    User,
    /// The model's.
    Assistant,
}

impl Prompt {
    /// A conversation in which nothing was said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the model's system text; an empty one leaves it out.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.system = Some(text.into());
        self
    }

    /// Adds a turn of the person's.
    pub fn user(self, text: impl Into<String>) -> Self {
        self.user_with(Vec::new(), text)
    }

    /// Adds a turn of the person's that shows pictures.
    pub fn user_with(self, pictures: Vec<RgbImage>, text: impl Into<String>) -> Self {
        self.message(Message {
            role: Role::User,
            text: text.into(),
            pictures,
        })
    }

    /// Adds a turn of the model's.
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Message {
            role: Role::Assistant,
            text: text.into(),
            pictures: Vec::new(),
        })
    }

    /// Adds a turn.
    pub fn message(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// The turns so far.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The pictures of every turn, in order.
    pub fn pictures(&self) -> impl Iterator<Item = &RgbImage> {
        self.messages.iter().flat_map(|message| &message.pictures)
    }

    /// Spells the conversation, up to where the model's turn begins.
    pub(crate) fn spell(&self, chat: &ChatConfig, convention: Convention) -> Result<Spelling> {
        let mut spelling = Spelling::default();
        let system = self.system.as_ref().unwrap_or(&chat.system_prompt);
        if !system.is_empty() {
            spelling.text(system);
            spelling.text("\n\n");
        }
        for (i, message) in self.messages.iter().enumerate() {
            let role = message.role;
            if role == Role::Assistant && !message.pictures.is_empty() {
                return Err(Error::PictureInAnswer { message: i });
            }
            spelling.role(role.spelled(chat));
            let text = message.text.trim();
            if !message.pictures.is_empty() || !text.is_empty() {
                spelling.text(" ");
                spelling.pictures(message.pictures.len(), text, convention);
                spelling.text(text);
                spelling.separator(i);
            }
        }
        spelling.role(&chat.assistant);
        Ok(spelling)
    }
}

impl Role {
    fn spelled(self, chat: &ChatConfig) -> &str {
        match self {
            Self::User => &chat.user,
            Self::Assistant => &chat.assistant,
        }
    }
}

/// Spells what is to be drawn, up to where the picture begins. There is no system text.
pub(crate) fn spell_drawing(prompt: &str, chat: &ChatConfig) -> Spelling {
    let mut spelling = Spelling::default();
    spelling.role(&chat.user);
    let prompt = prompt.trim();
    if !prompt.is_empty() {
        spelling.text(" ");
        spelling.text(prompt);
        spelling.separator(0);
    }
    spelling.role(&chat.assistant);
    spelling.parts.push(Part::BeginOfImage);
    spelling
}

/// A prompt as text and tokens that text cannot say.
///
/// What people write is only ever text: a control token that they spell out stays the letters
/// it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spelling {
    pub(crate) parts: Vec<Part>,
}

/// A part of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text, tokenised without regard to special tokens.
    Text(String),
    /// A role string, which is one token where the tokenizer has it.
    Role(String),
    /// A picture.
    Picture,
    /// The end-of-sentence token.
    EndOfSentence,
    /// The token after which a picture is drawn.
    BeginOfImage,
}

impl Spelling {
    fn text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn role(&mut self, role: &str) {
        self.parts.push(Part::Role(role.to_owned()));
        self.text(":");
    }

    /// Pictures come before the text of their turn, each on a line of its own.
    fn pictures(&mut self, count: usize, text: &str, convention: Convention) {
        for i in 0..count {
            // The template of `transformers` puts a newline before every part but the first and
            // after every part but the last.
            if convention == Convention::Transformers && i > 0 {
                self.text("\n");
            }
            self.parts.push(Part::Picture);
            let last = i + 1 == count && text.is_empty();
            if !(convention == Convention::Transformers && last) {
                self.text("\n");
            }
        }
    }

    fn separator(&mut self, message: usize) {
        match message % 2 {
            0 => self.text("\n\n"),
            _ => self.parts.push(Part::EndOfSentence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(user: &str, assistant: &str, system: &str) -> ChatConfig {
        ChatConfig {
            user: user.to_owned(),
            assistant: assistant.to_owned(),
            system_prompt: system.to_owned(),
        }
    }

    fn written(spelling: &Spelling) -> String {
        spelling
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) | Part::Role(text) => text.as_str(),
                Part::Picture => "[picture]",
                Part::EndOfSentence => "[eos]",
                Part::BeginOfImage => "[boi]",
            })
            .collect()
    }

    #[test]
    fn conversations_are_spelled_as_the_official_template_does() {
        let pro = chat("<|User|>", "<|Assistant|>", "Be kind.");
        let janus = chat("User", "Assistant", "");
        let picture = || vec![RgbImage::new(1, 1)];
        let two = || vec![RgbImage::new(1, 1), RgbImage::new(1, 1)];
        let official = Convention::Official;
        for (prompt, chat, convention, expected) in [
            (
                Prompt::new().user(" Hello \n"),
                &pro,
                official,
                "Be kind.\n\n<|User|>: Hello\n\n<|Assistant|>:",
            ),
            (
                Prompt::new().user_with(picture(), "What?"),
                &janus,
                official,
                "User: [picture]\nWhat?\n\nAssistant:",
            ),
            (
                Prompt::new().user("One?").assistant("Two.").user("Three?"),
                &janus,
                official,
                "User: One?\n\nAssistant: Two.[eos]User: Three?\n\nAssistant:",
            ),
            (
                Prompt::new().system("").user_with(two(), "Which?"),
                &pro,
                official,
                "<|User|>: [picture]\n[picture]\nWhich?\n\n<|Assistant|>:",
            ),
            (
                Prompt::new().system("").user_with(two(), "Which?"),
                &pro,
                Convention::Transformers,
                "<|User|>: [picture]\n\n[picture]\nWhich?\n\n<|Assistant|>:",
            ),
            (Prompt::new().user(""), &janus, official, "User:Assistant:"),
        ] {
            assert_eq!(written(&prompt.spell(chat, convention).unwrap()), expected);
        }
    }

    #[test]
    fn drawings_have_no_system_text() {
        let pro = chat("<|User|>", "<|Assistant|>", "Be kind.");
        assert_eq!(
            written(&spell_drawing(" a red fox ", &pro)),
            "<|User|>: a red fox\n\n<|Assistant|>:[boi]"
        );
    }

    #[test]
    fn a_picture_in_an_answer_is_refused() {
        let message = Message {
            role: Role::Assistant,
            text: String::new(),
            pictures: vec![RgbImage::new(1, 1)],
        };
        let prompt = Prompt::new().user("Draw").message(message);
        let error = prompt
            .spell(&chat("U", "A", ""), Convention::Official)
            .unwrap_err();
        assert!(matches!(error, Error::PictureInAnswer { message: 1 }));
    }
}
