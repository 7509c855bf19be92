//! What is well-formed in its parts and makes no sense as a whole: requests that run into each other (G06),
//! mutated ones (G09), bodies that are no JSON (H01). None is an error of the server's.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::client::{connect, expect_no_panic, expect_well, get, post, posting, raw, shared};
use crate::hostile::asking;

/// What follows a request that is answered is read as the next one, and nothing else is.
#[test]
fn requests_are_not_mixed_up() {
    let next = "GET /v1/models/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // The length is a lie that would hide the next request in a body.
    let hidden = format!(
        "POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n0\r\n\r\n{next}",
        5 + next.len()
    );
    let mut stream = connect(shared());
    stream.write_all(hidden.as_bytes()).unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    assert!(text.matches("HTTP/1.1 ").count() <= 2, "{text}");
    // Many at once are answered in their order.
    let one = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = connect(shared());
    let last = format!("{}{next}", one.repeat(1000));
    let writing = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || (&writing).write_all(last.as_bytes()).unwrap());
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1000);
        assert!(text.contains("HTTP/1.1 404"), "G06");
    });
    expect_well(shared(), "G06");
}

/// Who closes one half has left: a server cannot tell it from a client that is gone, and the work for those
/// has to end.
#[test]
fn half_of_a_connection_is_none() {
    let mut stream = connect(shared());
    stream
        .write_all(&posting("/v1/images/generations", "{\"prompt\": \"x\"}")[..80])
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(
        rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"),
        "{rest:?}"
    );
    // With answers of the server not read, the end of a connection is a reset.
    for _ in 0..20 {
        let mut stream = connect(shared());
        let one = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(one.repeat(20).as_bytes()).unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
    }
    expect_well(shared(), "G06");
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

/// Requests with bytes changed, left out, doubled: refused or answered, and never an error of the server's.
#[test]
fn mutations() {
    let mut dice = Dice(7);
    let seeds = [
        posting(
            "/v1/images/generations",
            "{\"prompt\": \"\", \"seed\": 1, \"n\": 0}",
        ),
        posting(
            "/v1/chat/completions",
            "{\"messages\": [{\"role\": \"user\", \"content\": []}]}",
        ),
        posting(
            "/v1/embeddings",
            "{\"input\": [\"data:image/png;base64,iVBORw0KGgo=\"]}",
        ),
        asking(
            "GET /v1/models/x?y=z HTTP/1.1",
            "Authorization: Bearer k\r\n",
        ),
    ];
    for round in 0..600 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=dice.below(4) {
            let (at, other) = (dice.below(bytes.len()), dice.below(256) as u8);
            match dice.below(4) {
                0 => bytes[at] = other,
                1 => bytes.insert(at, other),
                2 => drop(bytes.remove(at)),
                _ => {
                    let piece = bytes[at..(at + 40).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        let mut stream = connect(shared());
        let _ = stream.write_all(&bytes);
        // A body that has become too short would be waited for.
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let shown = String::from_utf8_lossy(&bytes);
        assert!(!answer.starts_with(b"HTTP/1.1 5"), "G09 {round}: {shown}");
    }
    expect_well(shared(), "G09");
}

/// Bodies of each kind of nonsense, for each endpoint.
#[test]
fn bodies() {
    let deep = format!("{{\"messages\": {}", "[".repeat(200_000));
    let wide = format!("{{\"messages\": [{}0]}}", "0,".repeat(2_000_000));
    let names = (0..100_000)
        .map(|i| format!("\"x{i}\":0,"))
        .collect::<String>();
    let names = format!("{{{names}\"y\":0}}");
    for path in [
        "/v1/chat/completions",
        "/v1/images/generations",
        "/v1/embeddings",
    ] {
        for body in [
            "",
            " ",
            "null",
            "true",
            "[]",
            "5",
            "\"x\"",
            "{",
            "}",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{,}",
            "{} {}",
            "{}x",
            "\u{feff}{}",
            "{\"\\ud800\": 1}",
            "{\"prompt\": \"\\x\"}",
            "{\"n\": 1e999}",
            "{\"n\": 01}",
            "{\"n\": NaN}",
            "{'n': 1}",
            "{\"n\": 1} // x",
            "\0",
            &deep,
            &wide,
            &names,
        ] {
            let response = raw(shared(), &posting(path, body));
            let shown: String = body.chars().take(40).collect();
            assert_eq!(response.status, 400, "H01 {path} {shown}");
            let error = &response.json()["error"];
            assert_eq!(error["type"], "invalid_request_error", "H01 {path} {shown}");
            assert!(response.body.len() < 2048, "H01 {path} {shown}");
        }
        let mut bytes = posting(path, "{\"prompt\": \"..\"}");
        let end = bytes.len();
        bytes[end - 4..end - 2].copy_from_slice(b"\xff\xfe");
        assert_eq!(raw(shared(), &bytes).status, 400, "H01 {path} not UTF-8");
    }
    expect_well(shared(), "H01");
}

/// The same mistake gets the same words, whoever asks in between.
#[test]
fn answers_to_mistakes_do_not_change() {
    let wrong = serde_json::json!({ "prompt": "x", "n": 77 });
    let first = post(shared(), "/v1/images/generations", &wrong).json();
    for _ in 0..5 {
        get(shared(), "/v1/models");
        assert_eq!(
            post(shared(), "/v1/images/generations", &wrong).json(),
            first
        );
    }
    expect_no_panic();
}
