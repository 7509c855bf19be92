//! `POST /v1/chat/completions`: conversations with pictures.

pub(crate) mod message;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use axum::response::Response;
use janus_pipeline::{FinishReason, Sampling, TextParams};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::engine::{TextTask, TextUpdate};
use crate::error::ApiError;
use crate::fields::{self, Neutral};
use crate::json;
use crate::server::App;
use crate::sse::{self, Events, Tell};

/// Stop texts, and the length of one in bytes.
const MAX_STOPS: usize = 4;
const MAX_STOP_BYTES: usize = 256;

/// A request. Fields of OpenAI's that have no meaning here are taken as long as they ask for
/// nothing; all others are refused by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatRequest {
    model: Option<String>,
    messages: Vec<message::Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    seed: Option<u64>,
    stop: Option<Stop>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    n: Option<usize>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    logprobs: Option<bool>,
    store: Option<bool>,
    response_format: Option<ResponseFormat>,
    tools: Option<Vec<Value>>,
    #[serde(default)]
    #[expect(dead_code, reason = "who it is does not matter to the model")]
    user: Neutral,
    #[serde(default)]
    #[expect(dead_code, reason = "nothing is stored")]
    metadata: Neutral,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseFormat {
    r#type: String,
}

/// Answers a request.
pub(crate) async fn answer(app: &App, request: ChatRequest) -> Result<Response, ApiError> {
    app.expect_model(request.model.as_deref())?;
    request.check_neutral()?;
    let params = request.params(app)?;
    let answers = fields::count("n", request.n, app.settings.max_n)?;
    let stops = stops(request.stop)?;
    message::check(&request.messages, &app.settings)?;
    let ticket = app.ticket()?;
    let prompt = message::prompt(request.messages, app.pictures(), ticket.clone()).await?;
    let task = TextTask {
        prompt,
        params,
        answers,
        stops,
        streamed: request.stream == Some(true),
    };
    let updates = app.engine.answer(task, ticket)?;
    let options = request.stream_options;
    let usage = options.and_then(|options| options.include_usage) == Some(true);
    let completion = Completion::new(&app.engine.name, answers);
    match request.stream == Some(true) {
        true => {
            completion
                .stream(updates, usage, app.settings.quiet())
                .await
        }
        false => completion.whole(updates).await,
    }
}

impl ChatRequest {
    fn check_neutral(&self) -> Result<(), ApiError> {
        fields::expect_none("frequency_penalty", self.frequency_penalty, 0.0)?;
        fields::expect_none("presence_penalty", self.presence_penalty, 0.0)?;
        fields::expect_none("logprobs", self.logprobs, false)?;
        fields::expect_none("store", self.store, false)?;
        let tools = self.tools.as_ref().map(|tools| !tools.is_empty());
        fields::expect_none("tools", tools, false)?;
        let format = self.response_format.as_ref();
        let format = format.map(|format| format.r#type.as_str());
        fields::expect_none("response_format.type", format, "text")?;
        if self.stream_options.is_some() && self.stream != Some(true) {
            let message = "stream_options need `stream: true`";
            return Err(ApiError::invalid("stream_options", message));
        }
        Ok(())
    }

    fn params(&self, app: &App) -> Result<TextParams, ApiError> {
        let context = app.engine.manifest.language.context_length;
        let (name, asked) = match (self.max_tokens, self.max_completion_tokens) {
            (Some(_), Some(_)) => {
                let message = "max_tokens and max_completion_tokens are the same; send one";
                return Err(ApiError::invalid("max_tokens", message));
            }
            (Some(asked), None) => ("max_tokens", Some(asked)),
            (None, asked) => ("max_completion_tokens", asked),
        };
        let most = asked
            .map(|_| fields::count(name, asked, context))
            .transpose()?;
        let temperature = fields::range("temperature", self.temperature, 0.0, 2.0)?;
        let top_p = fields::range("top_p", self.top_p, 0.0, 1.0)?;
        if top_p == Some(0.0) || self.top_k == Some(0) {
            let param = if self.top_k == Some(0) {
                "top_k"
            } else {
                "top_p"
            };
            return Err(ApiError::invalid(
                param,
                format!("{param} should be above 0"),
            ));
        }
        // As in the official code, the most probable answer unless something else is asked for.
        let sampling = match (temperature, top_p, self.top_k) {
            (None, None, None) => Sampling::Greedy,
            (temperature, top_p, top_k) => Sampling::Random {
                temperature: temperature.unwrap_or(1.0),
                top_k,
                top_p,
                seed: self.seed.unwrap_or_else(fields::random),
            },
        };
        let max_new_tokens = most.unwrap_or(app.settings.default_max_tokens.min(context));
        Ok(TextParams {
            max_new_tokens,
            sampling,
        })
    }
}

fn stops(stop: Option<Stop>) -> Result<Vec<String>, ApiError> {
    let stops = match stop {
        None => return Ok(Vec::new()),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Several(stops)) => stops,
    };
    let fits = |stop: &String| (1..=MAX_STOP_BYTES).contains(&stop.len());
    match stops.len() <= MAX_STOPS && stops.iter().all(fits) {
        true => Ok(stops),
        false => Err(ApiError::invalid(
            "stop",
            format!("stop should be at most {MAX_STOPS} texts of 1 to {MAX_STOP_BYTES} bytes"),
        )),
    }
}

/// Answers under way.
#[derive(Debug)]
struct Completion {
    id: String,
    created: u64,
    model: String,
    answers: Vec<Answer>,
    prompt_tokens: usize,
}

#[derive(Clone, Debug, Default)]
struct Answer {
    text: String,
    tokens: usize,
    reason: Option<FinishReason>,
}

impl Completion {
    fn new(model: &str, answers: usize) -> Self {
        Self {
            id: format!("chatcmpl-{:016x}", fields::random()),
            created: now(),
            model: model.to_owned(),
            answers: vec![Answer::default(); answers],
            prompt_tokens: 0,
        }
    }

    /// The answers when they are complete.
    async fn whole(
        mut self,
        mut updates: UnboundedReceiver<TextUpdate>,
    ) -> Result<Response, ApiError> {
        while let Some(update) = updates.recv().await {
            match update {
                TextUpdate::Begun { prompt_tokens } => self.prompt_tokens = prompt_tokens,
                TextUpdate::Piece { index, text } => self.answers[index].text.push_str(&text),
                TextUpdate::Finished {
                    index,
                    reason,
                    tokens,
                } => self.finish(index, reason, tokens),
                TextUpdate::Failed(error) => return Err(error),
            }
        }
        if !self.is_complete() {
            return Err(ApiError::internal());
        }
        let choices = self.answers.iter().enumerate().map(|(index, answer)| {
            json!({
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": answer.text,
                    "refusal": null,
                },
                "logprobs": null,
                "finish_reason": answer.reason.map(finish_reason),
            })
        });
        let choices: Vec<_> = choices.collect();
        let body = json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "usage": self.usage(),
        });
        Ok(json::respond(StatusCode::OK, &body))
    }

    /// The answers as they come. What goes wrong before the first token has a status of its own.
    async fn stream(
        mut self,
        mut updates: UnboundedReceiver<TextUpdate>,
        usage: bool,
        quiet: Duration,
    ) -> Result<Response, ApiError> {
        match updates.recv().await {
            Some(TextUpdate::Begun { prompt_tokens }) => self.prompt_tokens = prompt_tokens,
            Some(TextUpdate::Failed(error)) => return Err(error),
            _ => return Err(ApiError::internal()),
        }
        let begun = false;
        let failed = false;
        Ok(sse::respond(
            updates,
            Chunks {
                completion: self,
                usage,
                begun,
                failed,
            },
            quiet,
        ))
    }

    fn finish(&mut self, index: usize, reason: FinishReason, tokens: usize) {
        let answer = &mut self.answers[index];
        answer.reason = Some(reason);
        answer.tokens = tokens;
    }

    fn is_complete(&self) -> bool {
        self.answers.iter().all(|answer| answer.reason.is_some())
    }

    fn usage(&self) -> Value {
        let completion: usize = self.answers.iter().map(|answer| answer.tokens).sum();
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        })
    }
}

/// A completion in pieces.
#[derive(Debug)]
struct Chunks {
    completion: Completion,
    /// Whether the last piece tells the usage.
    usage: bool,
    begun: bool,
    failed: bool,
}

impl Chunks {
    fn chunk(&self, choices: &Value, usage: &Value) -> Value {
        let mut chunk = json!({
            "id": self.completion.id,
            "object": "chat.completion.chunk",
            "created": self.completion.created,
            "model": self.completion.model,
            "choices": choices,
        });
        if self.usage {
            chunk["usage"] = usage.clone();
        }
        chunk
    }

    fn choice(&self, index: usize, delta: &Value, reason: Option<FinishReason>) -> Value {
        let choice = json!([{
            "index": index,
            "delta": delta,
            "logprobs": null,
            "finish_reason": reason.map(finish_reason),
        }]);
        self.chunk(&choice, &Value::Null)
    }
}

impl Tell<TextUpdate> for Chunks {
    fn tell(&mut self, update: TextUpdate, events: &mut Events) {
        if !self.begun {
            self.begun = true;
            for index in 0..self.completion.answers.len() {
                let delta = json!({ "role": "assistant", "content": "" });
                events.data(&self.choice(index, &delta, None));
            }
        }
        match update {
            TextUpdate::Begun { .. } => {}
            TextUpdate::Piece { index, text } => {
                events.data(&self.choice(index, &json!({ "content": text }), None));
            }
            TextUpdate::Finished {
                index,
                reason,
                tokens,
            } => {
                self.completion.finish(index, reason, tokens);
                events.data(&self.choice(index, &json!({}), Some(reason)));
                if self.completion.is_complete() {
                    if self.usage {
                        let usage = self.completion.usage();
                        events.data(&self.chunk(&json!([]), &usage));
                    }
                    events.done();
                }
            }
            TextUpdate::Failed(error) => {
                self.failed = true;
                events.error(&error);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.failed || self.completion.is_complete()
    }
}

fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
