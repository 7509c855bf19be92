//! What the endpoints answer where nothing is wrong.

use image::{Rgb, RgbImage};
use janus_pipeline::{FinishReason, Prompt, Sampling, TextParams};
use serde_json::json;

use crate::client::{alone, data_url, get, pixels, post, shared};

fn board() -> RgbImage {
    RgbImage::from_fn(96, 96, |x, y| match (x / 32, y / 32) {
        (1, 1) => Rgb([220, 30, 30]),
        _ => Rgb([245, 245, 245]),
    })
}

#[test]
fn a_conversation_gets_the_librarys_answer() {
    let mut janus = alone();
    let params = TextParams {
        max_new_tokens: 24,
        ..TextParams::default()
    };
    let first = Prompt::new().user_with(vec![board()], "what is in the picture?");
    let mut stream = janus.generate_text(&first, &params).unwrap();
    let text: String = stream.by_ref().map(Result::unwrap).collect();
    let (prompt, completion) = (stream.prompt_tokens(), stream.tokens().len());
    let reason = match stream.finish_reason() {
        Some(FinishReason::Length) => "length",
        _ => "stop",
    };

    let picture = json!({ "type": "image_url", "image_url": { "url": data_url(&board()) } });
    let question = json!({ "type": "text", "text": "what is in the picture?" });
    let body = json!({
        "model": "janus-demo",
        "messages": [{ "role": "user", "content": [picture, question] }],
        "max_tokens": 24,
    });
    let response = post(shared(), "/v1/chat/completions", &body);
    assert_eq!(response.status, 200);
    assert!(response.header("x-request-id").is_some());
    let answer = response.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], text);
    assert_eq!(answer["choices"][0]["finish_reason"], reason);
    let usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    });
    assert_eq!(answer["usage"], usage);

    // The same in pieces.
    let mut streamed = body.clone();
    streamed["stream"] = true.into();
    streamed["stream_options"] = json!({ "include_usage": true });
    let events = post(shared(), "/v1/chat/completions", &streamed).events();
    let pieces = events
        .iter()
        .filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
    assert_eq!(pieces.collect::<String>(), text);
    let (last, rest) = events.split_last().unwrap();
    assert_eq!((&last["usage"], &last["choices"]), (&usage, &json!([])));
    assert_eq!(rest.last().unwrap()["choices"][0]["finish_reason"], reason);
}

#[test]
fn several_answers_are_several_streams_of_one_seed() {
    let body = |n: usize, stream: bool| {
        json!({
            "messages": [{ "role": "user", "content": "is there a red circle?" }],
            "temperature": 2.0, "seed": 5, "max_tokens": 12, "n": n, "stream": stream,
        })
    };
    let answer = post(shared(), "/v1/chat/completions", &body(3, false)).json();
    let text = |i: usize| {
        answer["choices"][i]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let three = [text(0), text(1), text(2)];
    assert!(three[0] != three[1] || three[1] != three[2], "{three:?}");
    let one = post(shared(), "/v1/chat/completions", &body(1, false)).json();
    assert_eq!(one["choices"][0]["message"]["content"], three[0]);

    let events = post(shared(), "/v1/chat/completions", &body(3, true)).events();
    for (i, text) in three.iter().enumerate() {
        let of = events.iter().filter(|e| e["choices"][0]["index"] == i);
        let pieces = of.filter_map(|e| e["choices"][0]["delta"]["content"].as_str());
        assert_eq!(pieces.collect::<String>(), *text);
    }
}

#[test]
fn a_stop_text_ends_an_answer_before_it() {
    let ask = |stop: serde_json::Value| {
        let body = json!({
            "messages": [{ "role": "user", "content": "is there a red circle?" }],
            "max_tokens": 24, "stop": stop,
        });
        post(shared(), "/v1/chat/completions", &body).json()["choices"][0].clone()
    };
    let whole = ask(json!(null));
    let whole = whole["message"]["content"].as_str().unwrap();
    let middle = whole
        .chars()
        .nth(whole.chars().count() / 2)
        .unwrap()
        .to_string();
    let cut = ask(json!([middle]));
    assert_eq!(cut["finish_reason"], "stop");
    let expected = whole.split(&middle).next().unwrap();
    assert_eq!(cut["message"]["content"], expected);
}

#[test]
fn drawings_are_the_librarys_pictures() {
    let mut janus = alone();
    let mut params = janus.image_params(11);
    params.images = 2;
    params.guidance_scale = 3.0;
    params.sampling = Sampling::random(0.9, 11);
    let drawn = janus.generate_images("a red circle", &params).unwrap();

    let body = json!({
        "prompt": "a red circle", "n": 2, "seed": 11, "guidance": 3.0, "temperature": 0.9,
        "response_format": "b64_json", "size": "auto",
    });
    let answer = post(shared(), "/v1/images/generations", &body).json();
    let pictures = answer["data"].as_array().unwrap().iter();
    let pictures: Vec<_> = pictures
        .map(|picture| pixels(&picture["b64_json"]))
        .collect();
    assert_eq!(pictures, drawn);
    assert_eq!(answer["seed"], 11);
    let tokens = janus.manifest().vq().unwrap().num_tokens();
    assert_eq!(answer["usage"]["output_tokens"], 2 * tokens);

    // As WebP the pixels are the same.
    let mut webp = body.clone();
    webp["output_format"] = "webp".into();
    let answer = post(shared(), "/v1/images/generations", &webp).json();
    assert_eq!(answer["output_format"], "webp");
    assert_eq!(pixels(&answer["data"][1]["b64_json"]), drawn[1]);
}

#[test]
fn drawings_are_shown_on_their_way() {
    let mut janus = alone();
    let params = janus.image_params(4);
    let tokens = janus.manifest().vq().unwrap().num_tokens();
    let mut stream = janus
        .generate_image_tokens("two blue squares", &params)
        .unwrap();
    let mut on_the_way = Vec::new();
    for part in 1..3 {
        while stream.rows()[0].len() < tokens * part / 3 {
            stream.next().unwrap().unwrap();
        }
        on_the_way.extend(stream.pictures().unwrap());
    }

    let body = json!({
        "prompt": "two blue squares", "seed": 4, "stream": true, "partial_images": 2,
    });
    let events = post(shared(), "/v1/images/generations", &body).events();
    let kinds: Vec<_> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    let partial = "image_generation.partial_image";
    assert_eq!(kinds, [partial, partial, "image_generation.completed"]);
    for (i, expected) in on_the_way.iter().enumerate() {
        assert_eq!(events[i]["partial_image_index"], i);
        assert_eq!(pixels(&events[i]["b64_json"]), *expected);
    }
    assert_ne!(events[1]["b64_json"], events[2]["b64_json"]);
    assert_eq!(events[2]["usage"]["output_tokens"], tokens);
}

#[test]
fn the_model_tells_what_it_is() {
    let models = get(shared(), "/v1/models").json();
    assert_eq!(models["data"][0]["id"], "janus-demo");
    assert_eq!(models["data"][0]["janus"]["precision"], "fp32");
    assert_eq!(get(shared(), "/v1/models/janus-demo").status, 200);
    let other = get(shared(), "/v1/models/gpt");
    assert_eq!(
        (other.status, &other.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    assert_eq!(get(shared(), "/ready").json()["status"], "ready");
    let metrics = String::from_utf8(get(shared(), "/metrics").body).unwrap();
    assert!(metrics.contains("model=\"janus-demo\",precision=\"fp32\",provider=\"cpu\"} 1"));
}
