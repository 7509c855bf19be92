//! Messages of a conversation, with pictures in them.

use janus_pipeline::{Message as Turn, Prompt, Role};
use serde::Deserialize;
use serde_json::Value;

use crate::engine::Ticket;
use crate::error::ApiError;
use crate::fields::Neutral;
use crate::pictures::Pictures;
use crate::settings::Settings;

const MAX_MESSAGES: usize = 1024;

/// A message as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    role: Speaker,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    #[expect(dead_code, reason = "who it is does not matter to the model")]
    name: Neutral,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "clients send back what they got, a refusal of none included"
    )]
    refusal: Neutral,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    System,
    Developer,
    User,
    Assistant,
}

/// What is wrong with the order of messages is found before anything is worked on.
pub(super) fn check(messages: &[Message], settings: &Settings) -> Result<(), ApiError> {
    if messages.is_empty() || messages.len() > MAX_MESSAGES {
        let found = messages.len();
        let message = format!("{found} messages; there should be 1 to {MAX_MESSAGES}");
        return Err(ApiError::invalid("messages", message));
    }
    let is_system = |m: &Message| matches!(m.role, Speaker::System | Speaker::Developer);
    let first = messages.iter().take_while(|m| is_system(m)).count();
    for (i, message) in messages.iter().enumerate().skip(first) {
        let expected = match (i - first) % 2 {
            0 => Speaker::User,
            _ => Speaker::Assistant,
        };
        if message.role != expected {
            let path = format!("messages[{i}].role");
            let message = "after the system text, user and assistant take turns, the user first";
            return Err(ApiError::invalid(path, message));
        }
    }
    if messages
        .last()
        .is_none_or(|last| last.role != Speaker::User)
    {
        let path = format!("messages[{}].role", messages.len() - 1);
        return Err(ApiError::invalid(
            path,
            "the last message should be the user's",
        ));
    }
    let mut pictures = 0;
    for (i, message) in messages.iter().enumerate() {
        let path = format!("messages[{i}].content");
        for part in parts(&message.content, &path)? {
            pictures += usize::from(matches!(part, Part::Picture { .. }));
            if matches!(part, Part::Picture { .. }) && message.role != Speaker::User {
                let message = "only a user's message may have a picture";
                return Err(ApiError::invalid(path, message));
            }
        }
    }
    match pictures > settings.max_pictures {
        true => Err(ApiError::invalid(
            "messages",
            format!(
                "{pictures} pictures; at most {} are taken (`max_pictures`)",
                settings.max_pictures
            ),
        )),
        false => Ok(()),
    }
}

/// The conversation with its pictures. This takes as long as it takes, on a thread of its own; until it
/// is done the request is under way, whether its client is still there or not.
pub(super) async fn prompt(
    messages: Vec<Message>,
    pictures: Pictures,
    ticket: Ticket,
) -> Result<Prompt, ApiError> {
    let work = move || {
        let _under_way = ticket;
        build(&messages, &pictures)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ApiError::internal())?
}

fn build(messages: &[Message], from: &Pictures) -> Result<Prompt, ApiError> {
    let mut prompt = Prompt::new();
    let mut system: Vec<String> = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        let path = format!("messages[{i}].content");
        let mut texts = Vec::new();
        let mut pictures = Vec::new();
        for part in parts(&message.content, &path)? {
            match part {
                Part::Text(text) => texts.push(text),
                Part::Picture { url, path } => pictures.push(from.get(url, &path)?),
            }
        }
        let text = texts.join("\n");
        match message.role {
            Speaker::System | Speaker::Developer => {
                system.push(text);
                prompt = prompt.system(system.join("\n\n"));
            }
            role => {
                prompt = prompt.message(Turn {
                    role: match role {
                        Speaker::Assistant => Role::Assistant,
                        _ => Role::User,
                    },
                    text,
                    pictures,
                });
            }
        }
    }
    Ok(prompt)
}

/// A part of a message.
pub(crate) enum Part<'a> {
    /// A text.
    Text(&'a str),
    /// A picture's URL, and where it is in the request.
    Picture { url: &'a str, path: String },
}

/// The parts of a message at `path`: a text alone, or a list of texts and pictures.
fn parts<'a>(content: &'a Value, path: &str) -> Result<Vec<Part<'a>>, ApiError> {
    match content {
        Value::String(text) => Ok(vec![Part::Text(text)]),
        Value::Array(list) if !list.is_empty() => {
            let each = list.iter().enumerate();
            each.map(|(i, value)| part(value, &format!("{path}[{i}]")))
                .collect()
        }
        _ => {
            let message = "content should be a text, or a list of parts that is not empty";
            Err(ApiError::invalid(path, message))
        }
    }
}

/// The part at `path`.
pub(crate) fn part<'a>(value: &'a Value, path: &str) -> Result<Part<'a>, ApiError> {
    match value.get("type").and_then(Value::as_str) {
        Some("text") => {
            expect_fields(value, &["type", "text"], path)?;
            let path = format!("{path}.text");
            Ok(Part::Text(text(value.get("text"), &path)?))
        }
        Some("image_url") => {
            expect_fields(value, &["type", "image_url"], path)?;
            let path = format!("{path}.image_url");
            let image = value.get("image_url").unwrap_or(&Value::Null);
            // `detail` is a hint, and pictures have one size here.
            expect_fields(image, &["url", "detail"], &path)?;
            let path = format!("{path}.url");
            let url = text(image.get("url"), &path)?;
            Ok(Part::Picture { url, path })
        }
        _ => {
            let message = "a part should have the type `text` or `image_url`";
            Err(ApiError::invalid(format!("{path}.type"), message))
        }
    }
}

fn text<'a>(value: Option<&'a Value>, path: &str) -> Result<&'a str, ApiError> {
    let text = value.and_then(Value::as_str);
    text.ok_or_else(|| ApiError::invalid(path, "it should be a text"))
}

fn expect_fields(value: &Value, known: &[&str], path: &str) -> Result<(), ApiError> {
    let Some(fields) = value.as_object() else {
        return Err(ApiError::invalid(path, "it should be an object"));
    };
    let other = fields.keys().find(|name| !known.contains(&name.as_str()));
    other.map_or(Ok(()), |name| {
        let message = format!("unknown field `{name}`; there are {}", known.join(", "));
        Err(ApiError::invalid(format!("{path}.{name}"), message))
    })
}
