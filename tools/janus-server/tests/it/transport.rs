//! HTTP as strangers speak it: keys, hosts, origins, lengths, slowness, nonsense.

use std::io::{Read, Write};

use janus_server::Settings;
use serde_json::json;

use crate::client::{Running, connect, get, post, posting, raw, settings, shared, start};

const ROUTES: [&str; 12] = [
    "/",
    "/page.css",
    "/page.js",
    "/health",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/v1/models",
    "/v1/models/janus-demo",
    "/v1/chat/completions",
    "/v1/images/generations",
    "/v1/embeddings",
];

/// A request for the list of models with further lines in its head.
fn asking(lines: &str) -> Vec<u8> {
    format!("GET /v1/models HTTP/1.1\r\nConnection: close\r\n{lines}\r\n").into_bytes()
}

fn keyed() -> Running {
    start(Settings {
        api_key: Some("a-long-secret-key".to_owned()),
        ..settings()
    })
}

/// Every method at every address (G09, G10): no error of the server's.
#[test]
fn methods_and_addresses() {
    for method in [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "X",
    ] {
        for route in ROUTES.iter().chain(&[
            "/v1",
            "/v1/",
            "//v1//models",
            "/v1/models/..%2f..",
            "/%00",
            "/v1/chat/completions/",
            "/../etc/passwd",
            "/v1/models?x=1",
            "/v1/models/%ff",
        ]) {
            let request = format!(
                "{method} {route} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            );
            let response = raw(shared(), request.as_bytes());
            let known = [200, 400, 404, 405, 415];
            assert!(
                known.contains(&response.status),
                "{method} {route}: {}",
                response.status
            );
            if response.status != 200 && method != "HEAD" && !response.body.is_empty() {
                assert!(
                    response.json()["error"]["message"].is_string(),
                    "{method} {route}"
                );
            }
        }
    }
    let long = format!("/{}", "a".repeat(60_000));
    assert!([404, 414, 431].contains(&get(shared(), &long).status));
}

/// What a form of another site can send (G16).
#[test]
fn media_that_is_not_json() {
    let body = "{\"prompt\": \"x\"}";
    for media in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let request = String::from_utf8(posting("/v1/images/generations", body)).unwrap();
        let request = request.replace("application/json", media);
        assert_eq!(raw(shared(), request.as_bytes()).status, 415, "{media}");
    }
}

/// Names and pages of others (G15): a page that somebody's DNS points here, a form of another site.
#[test]
fn hosts_and_origins() {
    for (lines, status) in [
        ("Host: localhost\r\n", 200),
        ("Host: 127.0.0.1:8080\r\n", 200),
        ("Host: [::1]:8080\r\n", 200),
        ("Host: evil.example\r\n", 403),
        ("Host: localhost.evil.example\r\n", 403),
        ("Host: evil.example:8080\r\n", 403),
        ("", 403),
        ("Host: localhost\r\nOrigin: http://localhost\r\n", 200),
        ("Host: localhost\r\nOrigin: https://evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: null\r\n", 403),
        (
            "Host: localhost\r\nOrigin: http://localhost.evil.example\r\n",
            403,
        ),
    ] {
        let response = raw(shared(), &asking(lines));
        assert_eq!(response.status, status, "{lines:?}");
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
    let server = start(Settings {
        allowed_origins: vec!["https://friend.example".to_owned()],
        allowed_hosts: vec!["janus.example".to_owned()],
        ..settings()
    });
    let friend = "Host: janus.example\r\nOrigin: https://friend.example\r\n";
    let response = raw(server.address, &asking(friend));
    assert_eq!(response.status, 200);
    let allowed = response.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://friend.example"));
    assert_eq!(response.header("access-control-allow-credentials"), None);
    let preflight =
        format!("OPTIONS /v1/chat/completions HTTP/1.1\r\n{friend}Connection: close\r\n\r\n");
    assert_eq!(raw(server.address, preflight.as_bytes()).status, 204);
    let other = preflight.replace("friend", "other");
    assert_eq!(raw(server.address, other.as_bytes()).status, 403);
}

/// Without the key nothing is told but whether the server works, and the page has a place for it (G11, G13).
#[test]
fn keys() {
    let server = keyed();
    let long = format!("Authorization: Bearer {}\r\n", "k".repeat(20_000));
    let mut bodies = Vec::new();
    for lines in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Authorization: Bearer a-long-secret-ke\r\n",
        "Authorization: Bearer a-long-secret-key2\r\n",
        "Authorization: a-long-secret-key\r\n",
        "Authorization: Basic a-long-secret-key\r\n",
        "Authorization: Bearer \r\n",
        "Authorization:\r\n",
        "Authorization: Bearer a-long-secret-key\r\nAuthorization: Bearer a-long-secret-key\r\n",
        "X-Api-Key: a-long-secret-key\r\n",
        &long,
    ] {
        let response = raw(
            server.address,
            &asking(&format!("Host: localhost\r\n{lines}")),
        );
        assert_eq!(response.status, 401, "{lines:?}");
        bodies.push(response.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let lines = format!("Host: localhost\r\nAuthorization: {scheme} a-long-secret-key\r\n");
        assert_eq!(raw(server.address, &asking(&lines)).status, 200);
    }
    assert_eq!(
        get(server.address, "/v1/models?key=a-long-secret-key").status,
        401
    );
    for route in ROUTES {
        let open = ["/", "/page.css", "/page.js", "/health", "/ready"].contains(&route);
        let expected = if open { 200 } else { 401 };
        assert_eq!(get(server.address, route).status, expected, "{route}");
    }
    assert_eq!(get(server.address, "/v2/anything").status, 401);
}

/// A connection too many is closed; when one is free the next is taken.
#[test]
fn connections_are_bounded() {
    let server = start(Settings {
        max_connections: 2,
        header_seconds: 5,
        ..settings()
    });
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = connect(server.address);
            stream
                .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .unwrap();
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            stream
        })
        .collect();
    let mut refused = connect(server.address);
    let _ = refused.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut bytes = Vec::new();
    let _ = refused.read_to_end(&mut bytes);
    assert!(bytes.is_empty());
    drop(held);
    crate::client::until("a free connection", || {
        let mut stream = connect(server.address);
        let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut bytes = Vec::new();
        let _ = stream.write_all(request);
        stream.read_to_end(&mut bytes).is_ok() && bytes.starts_with(b"HTTP/1.1 200")
    });
}

/// What clients send does not become part of a head, a log or a label (G17, G19).
#[test]
fn nothing_of_a_request_leaks() {
    let evil = "\u{1b}[31m\r\nX-Injected: yes";
    let body = json!({ "model": evil, "messages": [{ "role": "user", "content": "x" }] });
    let response = post(shared(), "/v1/chat/completions", &body);
    assert_eq!(response.status, 404);
    assert!(!response.head.contains("Injected"));
    let text = String::from_utf8(response.body).unwrap();
    assert!(!text.contains("\\u001b") && text.len() < 2048, "{text}");
    let long = json!({ "model": "m".repeat(1_000_000), "prompt": "x" });
    let response = post(shared(), "/v1/images/generations", &long);
    assert!(response.status == 404 && response.body.len() < 2048);
    let lines = "Host: localhost\r\nX-Request-Id: mine\r\n";
    let id = raw(shared(), &asking(lines));
    assert_ne!(id.header("x-request-id"), Some("mine"));
    for i in 0..20 {
        get(shared(), &format!("/nothing-{i}"));
    }
    let metrics = String::from_utf8(get(shared(), "/metrics").body).unwrap();
    assert!(!metrics.contains("nothing-"));
}
