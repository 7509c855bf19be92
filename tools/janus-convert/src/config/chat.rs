//! Which member of the family a checkpoint is, and how a conversation with it is spelled.

use std::path::Path;

use janus_runtime::manifest::{ChatConfig, Family, GenerationConfig, LanguageConfig};

use super::ConfigFile;
use super::json::Document;
use super::preprocessor::PROCESSOR;
use super::tokens::Vocabulary;
use crate::beside;
use crate::error::Result;

/// Role of the person in Janus-Pro.
const PRO_USER: &str = "<|User|>";
/// What the official code says before a conversation about pictures.
const SYSTEM_PROMPT: &str = "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, and assist the user with a variety of tasks using natural language.";
/// No template is larger.
const TEMPLATE_LIMIT: u64 = 1 << 20;

/// The model of the family, and what shows it.
///
/// Janus and Janus-Pro are built alike and differ in their role strings, which no size states.
/// JanusFlow is told by its configuration. Evidence for the others is weighed in this order: the caller's word, the chat template, the name, the width of
/// the language model (only Pro-7B is 4096 wide), the tokenizer.
pub(crate) fn family(
    released: &Path,
    stated: Option<Family>,
    config: &ConfigFile,
    language: &LanguageConfig,
    vocabulary: &Vocabulary,
) -> Result<(Family, String)> {
    if config.is_flow() || stated == Some(Family::JanusFlow) {
        config.expect_flow(stated)?;
        let evidence = "its configuration has a generation encoder and decoder";
        return Ok((Family::JanusFlow, evidence.to_owned()));
    }
    if let Some(family) = stated {
        return Ok((family, "the caller says so".to_owned()));
    }
    // A template without it says nothing: the one that came with the base model may still be there.
    if let Some((file, template)) = chat_template(released)?
        && template.contains(PRO_USER)
    {
        return Ok((
            Family::JanusPro,
            format!("the chat template in `{file}` has `{PRO_USER}`"),
        ));
    }
    let directory = released
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    for name in [
        config.root().text("_name_or_path")?.unwrap_or_default(),
        directory,
    ] {
        let lower = name.to_lowercase();
        for (part, family) in [
            ("janus-pro", Family::JanusPro),
            ("janus-1.3b", Family::Janus),
        ] {
            if lower.contains(part) {
                return Ok((family, format!("its name contains `{part}`")));
            }
        }
    }
    if language.hidden_size == 4096 {
        return Ok((
            Family::JanusPro,
            "its language model is 4096 wide".to_owned(),
        ));
    }
    Ok(match vocabulary.has(PRO_USER) {
        true => (Family::JanusPro, format!("`{PRO_USER}` is a token of it")),
        false => (
            Family::Janus,
            format!("nothing names it, and `{PRO_USER}` is no token of it"),
        ),
    })
}

/// The role strings of a family, and the system prompt unless the processor leaves it out.
pub(crate) fn chat(released: &Path, family: Family) -> Result<ChatConfig> {
    let processor = Document::read_optional(released, PROCESSOR)?;
    let stated = match &processor {
        Some(document) => document.root().flag("use_default_system_prompt")?,
        None => None,
    };
    let (user, assistant) = match family {
        Family::Janus | Family::JanusFlow => ("User", "Assistant"),
        Family::JanusPro => (PRO_USER, "<|Assistant|>"),
    };
    Ok(ChatConfig {
        user: user.to_owned(),
        assistant: assistant.to_owned(),
        system_prompt: if stated.unwrap_or(true) {
            SYSTEM_PROMPT
        } else {
            ""
        }
        .to_owned(),
    })
}

/// Guidance and temperature for drawing: as stated beside the weights, else the paper's.
pub(crate) fn generation(released: &Path, family: Family) -> Result<GenerationConfig> {
    let guidance = match family {
        Family::JanusFlow => super::flow::GUIDANCE,
        Family::Janus | Family::JanusPro => 5.0,
    };
    let document = Document::read_optional(released, "generation_config.json")?;
    let stated = |key: &str, most: f64| match &document {
        Some(document) if document.root().has(key) => document.root().number(key, 0.0..=most),
        _ => Ok(None),
    };
    Ok(GenerationConfig {
        guidance_scale: stated("guidance_scale", 1e3)?.unwrap_or(guidance) as f32,
        temperature: stated("temperature", 1e2)?.unwrap_or(1.0) as f32,
    })
}

/// The chat template and the file that it is in. It is read as text and never run.
fn chat_template(released: &Path) -> Result<Option<(&'static str, String)>> {
    const JINJA: &str = "chat_template.jinja";
    if let Some(bytes) = beside::optional(beside::read(released, JINJA, TEMPLATE_LIMIT))? {
        return Ok(Some((JINJA, String::from_utf8_lossy(&bytes).into_owned())));
    }
    for file in ["chat_template.json", PROCESSOR, "tokenizer_config.json"] {
        if let Some(document) = Document::read_optional(released, file)?
            && let Some(template) = document.root().text("chat_template")?
        {
            return Ok(Some((file, template.to_owned())));
        }
    }
    Ok(None)
}
