//! Many at once: every answer is the one that the request gets alone; too many are told to come
//! back; who leaves is forgotten.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;

use janus_pipeline::Janus;
use janus_server::Settings;
use serde_json::{Value, json};

use crate::client::{
    Response, alone, connect, metric, pixels, post, posting, raw, settings, start, until,
};

/// A request of a client, and where it goes.
#[derive(Clone)]
enum Asked {
    Text(Value),
    Picture(Value),
}

impl Asked {
    /// Something different for each number.
    fn number(i: usize) -> Self {
        let colour = ["red", "blue"][i % 2];
        let kind = ["circle", "square"][i / 2 % 2];
        match i % 3 {
            0 => Self::Text(json!({
                "messages": [{ "role": "user", "content": format!("is there a {colour} {kind}?") }],
                "temperature": 1.5, "seed": i, "max_tokens": 8 + i % 20,
            })),
            _ => Self::Picture(json!({
                "prompt": format!("a {colour} {kind}"), "seed": i, "n": 1 + i % 2,
                "guidance": if i.is_multiple_of(5) { 1.0 } else { 5.0 },
            })),
        }
    }

    fn send(&self, address: SocketAddr) -> Response {
        match self {
            Self::Text(body) => post(address, "/v1/chat/completions", body),
            Self::Picture(body) => post(address, "/v1/images/generations", body),
        }
    }

    /// What has to come back, from the library itself.
    fn expected(&self, janus: &mut Janus) -> Vec<Vec<u8>> {
        use janus_pipeline::{Prompt, Sampling, TextParams};
        let number = |body: &Value, field: &str| body[field].as_u64().unwrap();
        match self {
            Self::Text(body) => {
                let prompt = body["messages"][0]["content"].as_str().unwrap();
                let params = TextParams {
                    max_new_tokens: number(body, "max_tokens") as usize,
                    sampling: Sampling::random(1.5, number(body, "seed")),
                };
                let prompt = Prompt::new().user(prompt);
                let stream = janus.generate_text(&prompt, &params).unwrap();
                let text: String = stream.map(Result::unwrap).collect();
                vec![text.into_bytes()]
            }
            Self::Picture(body) => {
                let mut params = janus.image_params(number(body, "seed"));
                params.images = number(body, "n") as usize;
                params.guidance_scale = body["guidance"].as_f64().unwrap() as f32;
                let prompt = body["prompt"].as_str().unwrap();
                let pictures = janus.generate_images(prompt, &params).unwrap();
                pictures
                    .into_iter()
                    .map(image::RgbImage::into_raw)
                    .collect()
            }
        }
    }
}

/// What came back: a text, or the pixels of pictures.
fn found(response: &Response) -> Vec<Vec<u8>> {
    assert_eq!(
        response.status,
        200,
        "{}",
        String::from_utf8_lossy(&response.body)
    );
    let answer = response.json();
    match answer["data"].as_array() {
        Some(data) => data
            .iter()
            .map(|d| pixels(&d["b64_json"]).into_raw())
            .collect(),
        None => vec![
            answer["choices"][0]["message"]["content"]
                .as_str()
                .unwrap()
                .into(),
        ],
    }
}

/// Clients that each ask one thing after the other, of both kinds, with fewer rows than they would
/// fill: they come, wait, join and leave in every order.
#[test]
fn every_answer_is_the_one_that_the_request_gets_alone() {
    const CLIENTS: usize = 16;
    const EACH: usize = 6;
    let server = start(Settings {
        max_rows: 12,
        prompt_piece: 8,
        ..settings()
    });
    let address = server.address;
    let asked: Vec<_> = (0..CLIENTS * EACH).map(Asked::number).collect();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients = asked.chunks(EACH).map(|own| {
            let ask = move || {
                own.iter()
                    .map(|a| found(&a.send(address)))
                    .collect::<Vec<_>>()
            };
            scope.spawn(ask)
        });
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    let mut janus = alone();
    for (i, (asked, answer)) in asked.iter().zip(&answers).enumerate() {
        assert!(asked.expected(&mut janus) == *answer, "request {i}");
    }
    assert!(metric(address, "janus_batch_rows") <= 12.0);
    assert_eq!(server.end().cut, 0);
}

/// Ten times as many as there is room for (F15): those who are let in are served, the others are told
/// when to come back, and afterwards everything is as before.
#[test]
fn too_many_are_told_to_come_back() {
    const LIMIT: usize = 4;
    let server = start(Settings {
        max_requests: LIMIT,
        ..settings()
    });
    let address = server.address;
    let responses: Vec<_> = std::thread::scope(|scope| {
        let clients =
            (0..10 * LIMIT).map(|i| scope.spawn(move || (i, Asked::number(i).send(address))));
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let mut janus = alone();
    let mut served = 0;
    for (i, response) in &responses {
        match response.status {
            200 => {
                served += 1;
                assert!(
                    found(response) == Asked::number(*i).expected(&mut janus),
                    "request {i}"
                );
            }
            status => {
                assert_eq!(status, 429);
                let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=63).contains(&seconds));
                assert_eq!(response.json()["error"]["code"], "rate_limit_exceeded");
            }
        }
    }
    assert!(
        served >= LIMIT && served < responses.len(),
        "{served} served"
    );
    until("room again", || {
        metric(address, "janus_requests_under_way") == 0.0
    });
    assert_eq!(Asked::number(0).send(address).status, 200);
}

/// A client that leaves: while it waits, while its answer is streamed, while it is not.
#[test]
fn who_leaves_is_forgotten() {
    let server = start(Settings {
        max_rows: 64,
        max_n: 64,
        prompt_piece: 1,
        ..settings()
    });
    let address = server.address;
    let endless = |stream: bool, round: usize| {
        // So long a question is read for long, position by position; its beginning is new in each round. And
        // there are rows for no more.
        let question = format!("{}{}", "blue ".repeat(round), "a red circle ".repeat(25));
        json!({
            "messages": [{ "role": "user", "content": question }],
            "temperature": 2.0, "seed": 3, "max_tokens": 100, "stream": stream, "n": 64,
        })
        .to_string()
    };
    for (round, stream) in [true, false, true].into_iter().enumerate() {
        let before = metric(address, "janus_cancelled_total");
        let mut first = connect(address);
        first
            .write_all(&posting("/v1/chat/completions", &endless(stream, round)))
            .unwrap();
        if stream {
            let mut byte = [0];
            first.read_exact(&mut byte).unwrap();
        } else {
            until("it runs", || {
                metric(address, "janus_requests_under_way") >= 1.0
            });
        }
        let mut second = connect(address);
        second
            .write_all(&posting("/v1/chat/completions", &endless(stream, round)))
            .unwrap();
        until("both are in", || {
            metric(address, "janus_requests_under_way") == 2.0
                || metric(address, "janus_cancelled_total") > before
        });
        drop(second);
        drop(first);
        until("nobody is left", || {
            metric(address, "janus_requests_under_way") == 0.0
        });
    }
    assert!(metric(address, "janus_cancelled_total") >= 3.0);
    until("no rows are left", || {
        metric(address, "janus_batch_rows") == 0.0
    });
}

/// A request that fits at no time is refused, not left to wait.
#[test]
fn what_never_fits_is_refused() {
    let server = start(Settings {
        max_rows: 2,
        ..settings()
    });
    let body = json!({ "prompt": "a red circle", "n": 2 });
    let response = post(server.address, "/v1/images/generations", &body);
    assert_eq!(response.status, 400);
    let message = response.json()["error"]["message"].to_string();
    assert!(
        message.contains("4 rows") && message.contains("2 rows"),
        "{message}"
    );
}

/// What comes in before the server is told to stop is finished; what comes after is told.
#[test]
fn a_server_that_stops_finishes_what_it_began() {
    let mut server = start(settings());
    let address = server.address;
    let responses: Vec<_> = std::thread::scope(|scope| {
        let clients = (0..12).map(|i| scope.spawn(move || (i, Asked::number(i).send(address))));
        let clients: Vec<_> = clients.collect();
        until("they are in", || {
            metric(address, "janus_requests_under_way") > 2.0
        });
        server.stop();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    assert_eq!(server.end().cut, 0);
    let mut janus = alone();
    let mut served = 0;
    for (i, response) in &responses {
        match response.status {
            200 => {
                served += 1;
                assert!(
                    found(response) == Asked::number(*i).expected(&mut janus),
                    "request {i}"
                );
            }
            status => assert_eq!((status, response.header("retry-after")), (503, Some("5"))),
        }
    }
    assert!(served > 2, "{served} served");
    assert!(std::net::TcpStream::connect(address).is_err());
}

/// When the time is up, those who are not done are told so; none is left without a word.
#[test]
fn what_is_cut_short_is_told() {
    let mut server = start(Settings {
        drain_seconds: 0,
        max_rows: 64,
        max_n: 64,
        ..settings()
    });
    let address = server.address;
    let body = json!({
        "messages": [{ "role": "user", "content": "is there a red circle?" }],
        "temperature": 2.0, "seed": 3, "n": 64, "max_tokens": 200, "stream": true,
    })
    .to_string();
    let response = std::thread::scope(|scope| {
        let client = scope.spawn(|| raw(address, &posting("/v1/chat/completions", &body)));
        until("it runs", || {
            metric(address, "janus_sequences_running") > 0.0
        });
        server.stop();
        client.join().unwrap()
    });
    let text = String::from_utf8(response.body).unwrap();
    let told = text.ends_with("data: [DONE]\n\n") || text.contains("the server is stopping");
    assert!(told, "{text}");
    server.end();
}
