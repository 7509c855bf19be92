//! A model that draws by rectified flow, over the same interfaces.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::OnceLock;

use image::RgbImage;
use janus_pipeline::{FlowParams, Guidance, Janus, SessionOptions, Solver};
use serde_json::{Value, json};

use crate::client::{
    Running, connect, expect_no_panic, get, metric, pixels, post, posting, serve, settings, until,
};

const NAME: &str = "janus-flow";

fn flow(settings: janus_server::Settings) -> Running {
    serve(NAME, janus_tests::demo_flow(), settings)
}

/// A server that all tests share that change nothing.
fn shared() -> SocketAddr {
    static SHARED: OnceLock<Running> = OnceLock::new();
    SHARED.get_or_init(|| flow(settings())).address
}

/// The model in this process: what a request gets alone.
fn alone() -> Janus {
    janus_tests::load_library();
    Janus::open(janus_tests::demo_flow(), &SessionOptions::default()).unwrap()
}

fn drawing(seed: u64) -> Value {
    json!({ "prompt": "a red circle", "seed": seed, "steps": 6 })
}

fn pictures(answer: &Value) -> Vec<RgbImage> {
    let data = answer["data"].as_array().unwrap().iter();
    data.map(|picture| pixels(&picture["b64_json"])).collect()
}

#[test]
fn drawings_are_the_librarys_pictures() {
    let mut janus = alone();
    let params = FlowParams {
        images: 2,
        steps: 5,
        solver: Solver::AdamsBashforth,
        guidance: Guidance::new(1.5),
        ..janus.flow_params(11).unwrap()
    };
    let drawn = janus.generate_flow_images("a red circle", &params).unwrap();
    let body = json!({
        "model": NAME, "prompt": "a red circle", "seed": 11, "n": 2, "steps": 5, "solver": "ab2",
        "guidance": 1.5,
    });
    let response = post(shared(), "/v1/images/generations", &body);
    assert_eq!(response.status, 200);
    let answer = response.json();
    assert_eq!(pictures(&answer), drawn);
    assert_eq!(
        (&answer["seed"], &answer["size"]),
        (&json!(11), &json!(format!("{0}x{0}", drawn[0].width())))
    );
    let positions = janus.manifest().flow().unwrap().num_tokens();
    assert_eq!(answer["usage"]["output_tokens"], 2 * positions);
    let prompt = janus
        .begin_flow("a red circle", &params)
        .unwrap()
        .prompt_tokens();
    assert_eq!(answer["usage"]["input_tokens"], prompt);

    // Without settings the model's own count.
    let own = janus.flow_params(3).unwrap();
    let drawn = janus.generate_flow_images("a red circle", &own).unwrap();
    let body = json!({ "prompt": "a red circle", "seed": 3 });
    assert_eq!(
        pictures(&post(shared(), "/v1/images/generations", &body).json()),
        drawn
    );
}

#[test]
fn drawings_are_shown_on_their_way() {
    let mut janus = alone();
    let params = FlowParams {
        steps: 6,
        ..janus.flow_params(4).unwrap()
    };
    let mut stream = janus.generate_flow("a red circle", &params).unwrap();
    let mut on_the_way = Vec::new();
    for at in [2, 4, 6] {
        while stream.done() < at {
            stream.next().unwrap().unwrap();
        }
        on_the_way.extend(stream.pictures().unwrap());
    }
    let mut body = drawing(4);
    body["stream"] = true.into();
    body["partial_images"] = 2.into();
    let events = post(shared(), "/v1/images/generations", &body).events();
    let kinds: Vec<_> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    let partial = "image_generation.partial_image";
    assert_eq!(kinds, [partial, partial, "image_generation.completed"]);
    for (event, expected) in events.iter().zip(&on_the_way) {
        assert_eq!(pixels(&event["b64_json"]), *expected);
    }
    assert_ne!(on_the_way[1], on_the_way[2]);
}

/// The file tells how it was drawn.
#[test]
fn a_picture_tells_how_it_was_drawn() {
    use base64::Engine as _;
    let answer = post(shared(), "/v1/images/generations", &drawing(9)).json();
    let b64 = answer["data"][0]["b64_json"].as_str().unwrap();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(b64)
        .unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for part in [
        "\"solver\":\"ab2\"",
        "\"steps\":6",
        "\"seed\":9",
        "\"model\":\"janus-flow\"",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

/// Several at a time, with questions in between: each gets what it gets alone.
#[test]
fn company_changes_nothing() {
    let address = shared();
    let ask = json!({
        "messages": [{ "role": "user", "content": "is there a red circle?" }],
        "max_tokens": 12, "temperature": 1.0, "seed": 5,
    });
    let alone: Vec<_> = (0..3)
        .map(|seed| pictures(&post(address, "/v1/images/generations", &drawing(seed)).json()))
        .collect();
    let said = post(address, "/v1/chat/completions", &ask).json()["choices"].clone();
    std::thread::scope(|scope| {
        let drawn: Vec<_> = (0..6)
            .map(|i| {
                scope.spawn(move || post(address, "/v1/images/generations", &drawing(i % 3)).json())
            })
            .collect();
        let answers: Vec<_> = (0..3)
            .map(|_| {
                scope
                    .spawn(|| post(address, "/v1/chat/completions", &ask).json()["choices"].clone())
            })
            .collect();
        for answer in answers {
            assert_eq!(answer.join().unwrap(), said);
        }
        for (i, drawn) in drawn.into_iter().enumerate() {
            assert_eq!(pictures(&drawn.join().unwrap()), alone[i % 3], "{i}");
        }
    });
    expect_no_panic();
}

#[test]
fn what_is_wrong_is_named() {
    for (field, value, param) in [
        ("temperature", json!(1), "temperature"),
        ("steps", json!(0), "steps"),
        ("steps", json!(101), "steps"),
        ("steps", json!(2.5), "steps"),
        ("solver", json!("rk4"), "solver"),
        ("guidance", json!(-1), "guidance"),
        ("n", json!(5), "n"),
        ("size", json!("1024x1024"), "size"),
        ("prompt", json!(""), "prompt"),
    ] {
        let mut body = drawing(1);
        body[field] = value;
        let response = post(shared(), "/v1/images/generations", &body);
        assert_eq!(response.status, 400, "{field}");
        assert_eq!(response.json()["error"]["param"], param);
    }
    let body = json!({ "prompt": "red ".repeat(5000) });
    let response = post(shared(), "/v1/images/generations", &body);
    assert_eq!(
        (response.status, &response.json()["error"]["code"]),
        (400, &json!("context_length_exceeded"))
    );
    // And the other way round, of a model that draws by tokens.
    for field in ["steps", "solver"] {
        let mut body = json!({ "prompt": "x" });
        body[field] = if field == "steps" {
            json!(4)
        } else {
            json!("euler")
        };
        let response = post(crate::client::shared(), "/v1/images/generations", &body);
        assert_eq!(
            (response.status, &response.json()["error"]["param"]),
            (400, &json!(field))
        );
    }
}

/// The first of two leaves in the middle of its picture: the second is drawn, and nothing is left.
#[test]
fn who_leaves_is_forgotten() {
    let server = flow(settings());
    let address = server.address;
    let long = json!({ "prompt": "x", "steps": 100, "n": 4, "stream": true, "partial_images": 16 });
    let mut first = connect(address);
    first
        .write_all(&posting("/v1/images/generations", &long.to_string()))
        .unwrap();
    first.read_exact(&mut [0]).unwrap();
    let second = std::thread::spawn(move || post(address, "/v1/images/generations", &drawing(2)));
    until("both are in", || {
        metric(address, "janus_flow_requests") == 2.0
    });
    drop(first);
    assert_eq!(second.join().unwrap().status, 200);
    assert_eq!(metric(address, "janus_cancelled_total"), 1.0);
    until("nobody is left", || {
        metric(address, "janus_requests_under_way") == 0.0
    });
    until("nobody waits", || {
        metric(address, "janus_flow_requests") == 0.0
    });
    assert_eq!(server.end().cut, 0);
}

/// When the time to stop is up, the one that is being drawn and the one that waits are told.
#[test]
fn what_is_cut_short_is_told() {
    let mut server = flow(janus_server::Settings {
        drain_seconds: 0,
        ..settings()
    });
    let address = server.address;
    let long = json!({ "prompt": "x", "steps": 100, "n": 4 });
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| post(address, "/v1/images/generations", &long)))
            .collect();
        until("both are in", || {
            metric(address, "janus_flow_requests") == 2.0
        });
        server.stop();
        for client in clients {
            let response = client.join().unwrap();
            assert_eq!(response.status, 503);
            assert_eq!(
                response.json()["error"]["message"],
                "the server is stopping"
            );
        }
    });
    assert_eq!(server.end().cut, 2);
}

#[test]
fn the_model_tells_how_it_draws() {
    let model = get(shared(), "/v1/models").json()["data"][0].clone();
    assert_eq!(model["janus"]["steps"], 12);
    assert!(model["janus"]["image_size"].as_u64().unwrap() > 0);
    let other = get(crate::client::shared(), "/v1/models").json();
    assert_eq!(other["data"][0]["janus"]["steps"], Value::Null);
}
