//! `POST /v1/embeddings`: what the model sees in pictures, as one vector each.

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use janus_pipeline::ImageEmbeds;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chat::message::{self, Part};
use crate::engine::Ticket;
use crate::error::ApiError;
use crate::fields::{self, Neutral};
use crate::json;
use crate::pictures::Pictures;
use crate::server::App;

/// A request. The fields are OpenAI's; the inputs are pictures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbeddingsRequest {
    model: Option<String>,
    input: Value,
    #[serde(default)]
    encoding_format: Encoding,
    dimensions: Option<usize>,
    #[serde(default)]
    #[expect(dead_code, reason = "who it is does not matter to the model")]
    user: Neutral,
}

/// How a vector is written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// A list of numbers.
    #[default]
    Float,
    /// 32-bit floats, little-endian, in base64: what OpenAI's clients ask for by themselves.
    Base64,
}

/// Embeds the pictures of a request.
pub(crate) async fn embed(app: &App, request: EmbeddingsRequest) -> Result<Response, ApiError> {
    app.expect_model(request.model.as_deref())?;
    let (width, tokens) = (
        app.engine.manifest.language.hidden_size,
        app.engine.manifest.vision.num_tokens,
    );
    fields::expect_none("dimensions", request.dimensions, width)?;
    check(&request.input, app)?;
    let ticket = app.ticket()?;
    let pictures = decode(request.input, app.pictures(), ticket.clone()).await?;
    let count = pictures.len();
    let seen = app.engine.embed(pictures, ticket)?;
    let seen = seen.await.map_err(|_| ApiError::internal())??;
    let data = seen.iter().enumerate().map(|(index, embeds)| {
        let vector = vector(embeds);
        let embedding = match request.encoding_format {
            Encoding::Float => json!(vector),
            Encoding::Base64 => {
                let bytes = vector.iter().flat_map(|value| value.to_le_bytes());
                json!(STANDARD.encode(bytes.collect::<Vec<_>>()))
            }
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    });
    let data: Vec<_> = data.collect();
    let used = count * tokens;
    let body = json!({
        "object": "list",
        "data": data,
        "model": app.engine.name,
        "usage": { "prompt_tokens": used, "total_tokens": used },
    });
    Ok(json::respond(StatusCode::OK, &body))
}

/// The inputs with their places: one, or a list of them.
fn inputs(input: &Value) -> Vec<(String, &Value)> {
    match input {
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(i, value)| (format!("input[{i}]"), value))
            .collect(),
        one => vec![("input".to_owned(), one)],
    }
}

/// A picture's URL and its place: a text that is one, or a part as conversations have it.
fn url<'a>(value: &'a Value, path: &str) -> Result<(&'a str, String), ApiError> {
    let no_picture = || {
        let message = "an input should be a picture: a data URL, or a part of type `image_url`; \
                       texts have no embeddings here";
        ApiError::invalid(path, message)
    };
    match value {
        Value::String(url) if url.starts_with("data:") || url.contains("://") => {
            Ok((url, path.to_owned()))
        }
        Value::Object(_) => match message::part(value, path)? {
            Part::Picture { url, path } => Ok((url, path)),
            Part::Text(_) => Err(no_picture()),
        },
        _ => Err(no_picture()),
    }
}

/// What is wrong with the inputs is found before anything is worked on.
fn check(input: &Value, app: &App) -> Result<(), ApiError> {
    let inputs = inputs(input);
    let most = app.settings.max_pictures;
    if inputs.is_empty() || inputs.len() > most {
        let found = inputs.len();
        let message = format!("{found} pictures; 1 to {most} are taken (`max_pictures`)");
        return Err(ApiError::invalid("input", message));
    }
    inputs
        .into_iter()
        .try_for_each(|(path, value)| url(value, &path).map(drop))
}

/// The pictures. This takes as long as it takes, on a thread of its own; until it is done the request is
/// under way.
async fn decode(input: Value, from: Pictures, ticket: Ticket) -> Result<Vec<RgbImage>, ApiError> {
    let work = move || {
        let _under_way = ticket;
        let each = inputs(&input).into_iter().map(|(path, value)| {
            let (url, path) = url(value, &path)?;
            from.get(url, &path)
        });
        each.collect()
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ApiError::internal())?
}

/// The mean over the picture's tokens, `[hidden]`, of what the language model is shown (the vision
/// encoder's output behind its aligner), scaled to length 1: products of two are cosines.
fn vector(embeds: &ImageEmbeds) -> Vec<f32> {
    let tokens = embeds.picture(0);
    let mut mean = vec![0.0_f64; tokens.ncols()];
    for token in tokens.rows() {
        for (sum, value) in mean.iter_mut().zip(token) {
            *sum += f64::from(*value);
        }
    }
    let length = mean.iter().map(|value| value * value).sum::<f64>().sqrt();
    // Only a model without weights sees nothing at all.
    let length = if length > 0.0 { length } else { 1.0 };
    mean.iter().map(|value| (value / length) as f32).collect()
}
