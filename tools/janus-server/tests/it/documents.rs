//! What the server says of itself: /openapi.json and the page.

use serde_json::{Value, json};

use crate::client::{get, post, raw, shared};

/// Every path of the description is there, with its methods, and every property of a request is
/// known to the server.
#[test]
fn the_description_is_true() {
    let openapi = get(shared(), "/openapi.json").json();
    let paths = openapi["paths"].as_object().unwrap();
    assert!(paths.len() >= 8);
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{model}", "janus-demo");
            let request = format!(
                "{} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                method.to_uppercase()
            );
            let status = raw(shared(), request.as_bytes()).status;
            let expected = if method == "post" { 415 } else { 200 };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
    for (path, schema) in [
        ("/v1/chat/completions", "ChatRequest"),
        ("/v1/images/generations", "ImagesRequest"),
        ("/v1/embeddings", "EmbeddingsRequest"),
    ] {
        let schema = &openapi["components"]["schemas"][schema];
        assert_eq!(schema["additionalProperties"], json!(false));
        for name in schema["properties"].as_object().unwrap().keys() {
            // A value of no type at all: known fields complain of the value, unknown ones of the name.
            let mut body = json!({ "messages": [], "prompt": "x", "input": "x" });
            body.as_object_mut()
                .unwrap()
                .retain(|field, _| schema["properties"][field.as_str()] != Value::Null);
            body[name] = json!({ "\u{1}": [] });
            let response = post(shared(), path, &body).json();
            let message = response["error"]["message"].to_string();
            assert!(
                !message.contains("unknown field `") || message.contains("\u{fffd}"),
                "{name}: {message}"
            );
        }
    }
}

/// The page loads nothing from elsewhere, and its policy would not let it.
#[test]
fn the_page_is_part_of_the_program() {
    for (path, media) in [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
    ] {
        let response = get(shared(), path);
        assert_eq!(response.status, 200, "{path}");
        assert!(response.header("content-type").unwrap().starts_with(media));
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"));
        let text = String::from_utf8(response.body).unwrap();
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{path}"
        );
        assert!(text.len() > 500, "{path}");
    }
}
