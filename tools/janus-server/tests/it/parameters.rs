//! Parameters that are wrong: each has status 400 and is named.

use serde_json::{Value, json};

use crate::client::{post, shared};

/// A body that is right but for what `change` does to it.
fn chat(change: impl Fn(&mut Value)) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 2 });
    change(&mut body);
    body
}

fn drawing(change: impl Fn(&mut Value)) -> Value {
    let mut body = json!({ "prompt": "a red circle", "seed": 1 });
    change(&mut body);
    body
}

fn expect_refused(path: &str, body: &Value, param: &str) {
    let response = post(shared(), path, body);
    let shown: String = body.to_string().chars().take(300).collect();
    assert_eq!(response.status, 400, "{shown}");
    let error = &response.json()["error"];
    assert_eq!(error["param"], param, "{shown}: {error}");
    assert_eq!(error["type"], "invalid_request_error");
    assert!(error["message"].as_str().unwrap().len() < 2048, "{error}");
}

#[test]
fn fields_of_a_conversation() {
    let long = "x".repeat(300);
    for (field, value, param) in [
        ("colour", json!(1), "colour"),
        ("logit_bias", json!({ "1": 2 }), "logit_bias"),
        ("n", json!(0), "n"),
        ("n", json!(-1), "n"),
        ("n", json!(5), "n"),
        ("n", json!(1.5), "n"),
        ("n", json!("2"), "n"),
        ("n", json!(2_147_483_648_u64), "n"),
        ("max_tokens", json!(0), "max_tokens"),
        ("max_tokens", json!(-1), "max_tokens"),
        ("max_tokens", json!(1_000_000), "max_tokens"),
        ("max_completion_tokens", json!(3), "max_tokens"),
        ("temperature", json!(-1), "temperature"),
        ("temperature", json!(2.1), "temperature"),
        ("temperature", json!("NaN"), "temperature"),
        ("top_p", json!(0), "top_p"),
        ("top_p", json!(1.1), "top_p"),
        ("top_k", json!(0), "top_k"),
        ("seed", json!(-1), "seed"),
        ("seed", json!(1.8e19_f64 * 2.0), "seed"),
        ("stop", json!(""), "stop"),
        ("stop", json!(["a", ""]), "stop"),
        ("stop", json!(["a", "b", "c", "d", "e"]), "stop"),
        ("stop", json!(long), "stop"),
        ("stop", json!(7), "stop"),
        ("frequency_penalty", json!(0.5), "frequency_penalty"),
        ("presence_penalty", json!(-0.5), "presence_penalty"),
        ("logprobs", json!(true), "logprobs"),
        ("tools", json!([{}]), "tools"),
        (
            "response_format",
            json!({ "type": "json_object" }),
            "response_format.type",
        ),
        ("stream", json!("yes"), "stream"),
        (
            "stream_options",
            json!({ "include_usage": true }),
            "stream_options",
        ),
        (
            "stream_options",
            json!({ "usage": true }),
            "stream_options.usage",
        ),
    ] {
        let body = chat(|body| body[field] = value.clone());
        expect_refused("/v1/chat/completions", &body, param);
    }
}

#[test]
fn messages_of_a_conversation() {
    let user = json!({ "role": "user", "content": "hello" });
    let assistant = json!({ "role": "assistant", "content": "hi" });
    let with = |content: Value| json!([{ "role": "user", "content": content }]);
    let picture = |url: &str| with(json!([{ "type": "image_url", "image_url": { "url": url } }]));
    let many = vec![json!({ "type": "image_url", "image_url": { "url": "data:," } }); 9];
    for (messages, param) in [
        (json!([]), "messages"),
        (json!(null), "messages"),
        (json!({}), "messages"),
        (json!(vec![user.clone(); 1025]), "messages"),
        (json!([user, user]), "messages[1].role"),
        (json!([assistant]), "messages[0].role"),
        (json!([user, assistant]), "messages[1].role"),
        (
            json!([user, { "role": "system", "content": "x" }]),
            "messages[1].role",
        ),
        (
            json!([{ "role": "tool", "content": "x" }]),
            "messages[0].role",
        ),
        (json!([{ "content": "x" }]), "messages[0].role"),
        (
            json!([{ "role": "user", "content": "x", "x": 1 }]),
            "messages[0].x",
        ),
        (json!([{ "role": "user" }]), "messages[0].content"),
        (with(json!(null)), "messages[0].content"),
        (with(json!(7)), "messages[0].content"),
        (with(json!([])), "messages[0].content"),
        (with(json!([7])), "messages[0].content[0].type"),
        (
            with(json!([{ "type": "input_audio" }])),
            "messages[0].content[0].type",
        ),
        (
            with(json!([{ "type": "text" }])),
            "messages[0].content[0].text",
        ),
        (
            with(json!([{ "type": "text", "text": "x", "y": 1 }])),
            "messages[0].content[0].y",
        ),
        (
            with(json!([{ "type": "image_url" }])),
            "messages[0].content[0].image_url",
        ),
        (
            with(json!([{ "type": "image_url", "image_url": { "url": 1 } }])),
            "messages[0].content[0].image_url.url",
        ),
        (with(json!(many)), "messages"),
        (
            json!([{ "role": "system", "content": [
                { "type": "image_url", "image_url": { "url": "data:," } }] }, user]),
            "messages[0].content",
        ),
    ] {
        let body = chat(|body| body["messages"] = messages.clone());
        expect_refused("/v1/chat/completions", &body, param);
    }
    let place = "messages[0].content[0].image_url.url";
    for url in [
        "http://127.0.0.1/a.png",
        "https://example.com/a.png",
        "HTTP://example.com/a.png",
        "file:///etc/passwd",
        "ftp://example.com/a.png",
        "//example.com/a.png",
        " data:image/png;base64,AAAA",
        "",
        "data:",
        "data:image/png;base64",
        "data:image/png,AAAA",
        "data:image/png;base64,%41%41",
        "data:image/png;base64,AAA",
        "data:image/png;base64,AA AA",
        "data:image/png;base64,__--",
        "data:image/png;base64,AAAA",
        "data:image/png;base64,data:image/png;base64,AAAA",
        "data:image/svg+xml;base64,PHN2Zz4=",
        // A GIF, and a PNG's first bytes alone.
        "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
        "data:image/png;base64,iVBORw0KGgo=",
    ] {
        let body = chat(|body| body["messages"] = picture(url));
        expect_refused("/v1/chat/completions", &body, place);
    }
    // It says that it is a JPEG.
    let lie = crate::client::data_url(&image::RgbImage::new(2, 2)).replace("png", "jpeg");
    let body = chat(|body| body["messages"] = picture(&lie));
    expect_refused("/v1/chat/completions", &body, place);
}

#[test]
fn fields_of_a_drawing() {
    for (field, value, param) in [
        ("colour", json!(1), "colour"),
        ("prompt", json!(""), "prompt"),
        ("prompt", json!("  \n"), "prompt"),
        ("prompt", json!(null), "prompt"),
        ("prompt", json!("x".repeat(32_769)), "prompt"),
        ("n", json!(0), "n"),
        ("n", json!(5), "n"),
        ("size", json!("1024x1024"), "size"),
        ("size", json!("0x0"), "size"),
        ("size", json!("1024x"), "size"),
        ("size", json!("１０２４x1024"), "size"),
        ("seed", json!(-1), "seed"),
        ("guidance", json!(-1), "guidance"),
        ("guidance", json!(1e9), "guidance"),
        ("temperature", json!(3), "temperature"),
        ("output_format", json!("jpeg"), "output_format"),
        ("output_compression", json!(50), "output_compression"),
        ("response_format", json!("url"), "response_format"),
        ("background", json!("transparent"), "background"),
        ("quality", json!("hd"), "quality"),
        ("moderation", json!("low"), "moderation"),
        ("partial_images", json!(2), "partial_images"),
        ("partial_images", json!(17), "partial_images"),
        ("stream", json!(1), "stream"),
    ] {
        let body = drawing(|body| body[field] = value.clone());
        expect_refused("/v1/images/generations", &body, param);
    }
    let body = drawing(|body| {
        body.as_object_mut().unwrap().remove("prompt");
    });
    expect_refused("/v1/images/generations", &body, "prompt");
}

#[test]
fn what_asks_for_nothing_is_taken() {
    let body = chat(|body| {
        for (field, value) in [
            ("frequency_penalty", json!(0)),
            ("presence_penalty", json!(0.0)),
            ("logprobs", json!(false)),
            ("store", json!(false)),
            ("tools", json!([])),
            ("response_format", json!({ "type": "text" })),
            ("user", json!("somebody")),
            ("metadata", json!({ "a": "b" })),
            ("n", json!(null)),
            ("seed", json!(null)),
            ("stop", json!(null)),
            ("stream", json!(null)),
            ("temperature", json!(1e-30)),
        ] {
            body[field] = value;
        }
    });
    assert_eq!(post(shared(), "/v1/chat/completions", &body).status, 200);
    let body = drawing(|body| {
        for (field, value) in [
            ("size", json!("auto")),
            ("background", json!("opaque")),
            ("quality", json!("standard")),
            ("moderation", json!("auto")),
            ("output_format", json!("png")),
            ("output_compression", json!(100)),
            ("user", json!("somebody")),
        ] {
            body[field] = value;
        }
    });
    assert_eq!(post(shared(), "/v1/images/generations", &body).status, 200);
}

#[test]
fn a_prompt_that_is_too_long_says_by_how_much() {
    let body = chat(|body| body["messages"][0]["content"] = "red ".repeat(5000).into());
    let response = post(shared(), "/v1/chat/completions", &body);
    assert_eq!(response.status, 400);
    let error = &response.json()["error"];
    assert_eq!(error["code"], "context_length_exceeded");
    let context = crate::client::alone().manifest().language.context_length;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&context.to_string()), "{message}");
    let body = drawing(|body| body["prompt"] = "red ".repeat(5000).into());
    let response = post(shared(), "/v1/images/generations", &body);
    assert_eq!(response.status, 400);
}
