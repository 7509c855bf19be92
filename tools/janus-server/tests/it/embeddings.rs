//! `/v1/embeddings`: vectors of pictures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

use crate::client::{alone, data_url, post, shared};

fn picture(colour: [u8; 3]) -> RgbImage {
    RgbImage::from_fn(60, 40, |x, y| match (10..30).contains(&x) && y > 20 {
        true => Rgb(colour),
        false => Rgb([240, 240, 240]),
    })
}

fn floats(value: &Value) -> Vec<f32> {
    let list = value.as_array().unwrap().iter();
    list.map(|v| v.as_f64().unwrap() as f32).collect()
}

/// The mean of what the library sees, of length 1, whichever way it is asked for and written.
#[test]
fn pictures_have_vectors() {
    let pictures = [picture([200, 0, 0]), picture([0, 0, 200])];
    let urls: Vec<_> = pictures.iter().map(data_url).collect();
    let part = json!({ "type": "image_url", "image_url": { "url": urls[1] } });
    let body = json!({ "model": "janus-demo", "input": [urls[0], part] });
    let response = post(shared(), "/v1/embeddings", &body);
    assert_eq!(response.status, 200);
    let answer = response.json();
    assert_eq!(answer["object"], "list");

    let mut janus = alone();
    let (tokens, width) = (
        janus.manifest().vision.num_tokens,
        janus.manifest().language.hidden_size,
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 2 * tokens);
    for (i, picture) in pictures.iter().enumerate() {
        let found = floats(&answer["data"][i]["embedding"]);
        assert_eq!(
            (answer["data"][i]["index"].as_u64(), found.len()),
            (Some(i as u64), width)
        );
        let pixel_values = janus.vision.preprocess(std::slice::from_ref(picture));
        let seen = janus.vision.encode(&pixel_values).unwrap();
        let sums: Vec<f32> = seen
            .picture(0)
            .columns()
            .into_iter()
            .map(|c| c.sum())
            .collect();
        let length = sums.iter().map(|v| v * v).sum::<f32>().sqrt();
        for (found, sum) in found.iter().zip(&sums) {
            assert!(
                (found - sum / length).abs() < 1e-5,
                "{found} {}",
                sum / length
            );
        }
    }
    assert_ne!(
        answer["data"][0]["embedding"],
        answer["data"][1]["embedding"]
    );

    let body = json!({ "input": urls[1], "encoding_format": "base64", "dimensions": width });
    let other = post(shared(), "/v1/embeddings", &body).json();
    let bytes = STANDARD
        .decode(other["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    let found: Vec<_> = bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    assert_eq!(found, floats(&answer["data"][1]["embedding"]));
}

#[test]
fn what_is_no_picture_is_refused() {
    let url = data_url(&picture([0, 200, 0]));
    let with_extra = json!({ "type": "image_url", "image_url": { "url": url, "x": 1 } });
    for (body, param) in [
        (json!({}), "input"),
        (json!({ "input": "a red circle" }), "input"),
        (json!({ "input": ["a red circle"] }), "input[0]"),
        (json!({ "input": [[1, 2]] }), "input[0]"),
        (json!({ "input": [] }), "input"),
        (json!({ "input": null }), "input"),
        (json!({ "input": vec![&url; 9] }), "input"),
        (json!({ "input": { "type": "text", "text": "x" } }), "input"),
        (
            json!({ "input": { "type": "image_url" } }),
            "input.image_url",
        ),
        (json!({ "input": with_extra }), "input.image_url.x"),
        (json!({ "input": "https://example.org/a.png" }), "input"),
        (
            json!({ "input": [url, "data:image/png;base64,AAAA"] }),
            "input[1]",
        ),
        (json!({ "input": url, "dimensions": 3 }), "dimensions"),
        (
            json!({ "input": url, "encoding_format": "int8" }),
            "encoding_format",
        ),
        (json!({ "input": url, "truncate": true }), "truncate"),
    ] {
        let response = post(shared(), "/v1/embeddings", &body);
        let shown: String = body.to_string().chars().take(80).collect();
        assert_eq!(response.status, 400, "{shown}");
        let error = &response.json()["error"];
        assert_eq!(error["param"], param, "{shown}: {error}");
    }
    let body = json!({ "input": url, "model": "other" });
    assert_eq!(post(shared(), "/v1/embeddings", &body).status, 404);
}
