//! Requests that nobody sends in good faith, byte by byte: each has its one answer, and after each the server
//! is as before. The numbers are those of the list of cases that the server was written against: G02 heads,
//! G03 lengths, G04 and G05 bodies, G07 and G08 other protocols, G10 addresses, G11 keys, G15 hosts, G17 values.

use janus_server::Settings;

use crate::client::{exchange, expect_well, raw, settings, shared, start};

/// The connection is closed without a word.
const CLOSED: u16 = 0;

/// Sends each of a table's requests and compares the status; what has a body says why in OpenAI's shape.
fn expect_each(cases: &[(&str, Vec<u8>, u16)]) {
    for (case, bytes, status) in cases {
        let response = exchange(shared(), bytes);
        let found = response.as_ref().map_or(CLOSED, |response| response.status);
        assert_eq!(found, *status, "{case}");
        // What cannot be read as HTTP is refused before anything of ours sees it, without a body.
        if let Some(response) = response.filter(|r| r.status >= 400 && !r.body.is_empty()) {
            assert!(response.json()["error"]["message"].is_string(), "{case}");
            assert!(response.body.len() < 2048, "{case}");
        }
        expect_well(shared(), case);
    }
}

/// A request with further lines in its head, of which the last of `lines` ends the head.
pub(crate) fn asking(first: &str, lines: &str) -> Vec<u8> {
    format!("{first}\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n").into_bytes()
}

fn health(lines: &str) -> Vec<u8> {
    asking("GET /health HTTP/1.1", lines)
}

/// A request to draw, with a body that is described by `lines`.
fn drawing(lines: &str) -> Vec<u8> {
    let head = "POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/json\r\n";
    format!("{head}{lines}").into_bytes()
}

fn long() -> String {
    "a".repeat(1_000_000)
}

fn many() -> String {
    (0..10_000).map(|i| format!("X-{i}: 1\r\n")).collect()
}

#[test]
fn heads() {
    let (long, many) = (long(), many());
    expect_each(&[
        (
            "G02 a line of the head of 1 MB",
            health(&format!("X-A: {long}\r\n")),
            431,
        ),
        ("G02 10000 lines", health(&many), 431),
        ("G02 65 lines", health(&"X-A: 1\r\n".repeat(65)), 431),
        ("G02 60 lines", health(&"X-A: 1\r\n".repeat(60)), 200),
        (
            "G02 a line without end",
            format!("GET /{long}").into_bytes(),
            431,
        ),
        (
            "G02 a method without end",
            format!("{long} / HTTP/1.1\r\n\r\n").into_bytes(),
            431,
        ),
        ("G02 nonsense", b"\x00\xff".repeat(500_000), 400),
        ("G02 a folded line", health("X-A: 1\r\n 2\r\n"), 400),
        ("G02 NUL in a value", health("X-A: \0\r\n"), 400),
        ("G02 NUL in a name", health("X\0: 1\r\n"), 400),
        ("G02 a line without colon", health("no colon\r\n"), 400),
        ("G02 a line without name", health(": 1\r\n"), 400),
        ("G02 a space before the colon", health("X-A : 1\r\n"), 400),
        ("G02 a return in a value", health("X-A: a\rb\r\n"), 400),
        (
            "G17 an escape in a value",
            health("X-A: \u{1b}[31m\r\n"),
            400,
        ),
        ("G17 a delete in a value", health("X-A: \u{7f}\r\n"), 400),
        (
            "G17 eight bits in a value",
            health("X-A: \u{fe}\u{ff}\r\n"),
            200,
        ),
        (
            "G17 an id of 20 KB",
            health(&format!("X-Request-Id: {}\r\n", &long[..20_000])),
            200,
        ),
        ("G15 two hosts", health("Host: localhost\r\n"), 400),
        (
            "G15 two hosts, another's",
            health("Host: evil.example\r\n"),
            400,
        ),
        (
            "G15 a user in the host",
            b"GET /health HTTP/1.1\r\nHost: localhost@evil.example\r\nConnection: close\r\n\r\n"
                .to_vec(),
            403,
        ),
        (
            "G11 NUL in a key",
            asking("GET /v1/models HTTP/1.1", "Authorization: Bearer k\0\r\n"),
            400,
        ),
    ]);
}

#[test]
fn versions_and_protocols() {
    let hello = [
        &b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"[..],
        &[b'a'; 150],
    ]
    .concat();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    expect_each(&[
        ("G07 HTTP/2", preface, CLOSED),
        (
            "G07 an upgrade to HTTP/2",
            health("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
            200,
        ),
        (
            "G07 an upgrade to WebSocket",
            health("Upgrade: websocket\r\n"),
            200,
        ),
        ("G08 TLS", hello, 400),
        ("G02 HTTP/0.9", b"GET /\r\n\r\n".to_vec(), 400),
        (
            "G02 HTTP/1.0",
            b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n".to_vec(),
            200,
        ),
        (
            "G02 HTTP/3.7",
            b"GET /health HTTP/3.7\r\nHost: localhost\r\n\r\n".to_vec(),
            400,
        ),
    ]);
}

#[test]
fn lengths() {
    let trailer = |lines: &str| {
        drawing(&format!(
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n{lines}\r\n"
        ))
    };
    let (long, many) = (long(), many());
    expect_each(&[
        (
            "G03 2^63",
            drawing("Content-Length: 9223372036854775808\r\n\r\n"),
            413,
        ),
        (
            "G03 2^64",
            drawing("Content-Length: 18446744073709551616\r\n\r\n"),
            400,
        ),
        ("G03 below zero", drawing("Content-Length: -1\r\n\r\n"), 400),
        (
            "G03 with a sign",
            drawing("Content-Length: +2\r\n\r\n{}"),
            400,
        ),
        (
            "G03 in hexadecimal",
            drawing("Content-Length: 0x2\r\n\r\n{}"),
            400,
        ),
        ("G03 a list", drawing("Content-Length: 2, 2\r\n\r\n{}"), 400),
        (
            "G03 two that differ",
            drawing("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
            400,
        ),
        (
            "G03 a length and chunks",
            drawing("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
            400,
        ),
        (
            "G03 another encoding",
            drawing("Transfer-Encoding: identity\r\n\r\n{}"),
            400,
        ),
        (
            "G03 a chunk of 2^68",
            drawing("Transfer-Encoding: chunked\r\n\r\n1FFFFFFFFFFFFFFFF\r\n{}"),
            400,
        ),
        (
            "G03 a chunk of no number",
            drawing("Transfer-Encoding: chunked\r\n\r\nx\r\n{}"),
            400,
        ),
        (
            "G03 an extension of 1 MB",
            drawing(&format!(
                "Transfer-Encoding: chunked\r\n\r\n2;{long}\r\n{{}}\r\n0\r\n\r\n"
            )),
            400,
        ),
        (
            "G03 a trailer of 1 MB",
            trailer(&format!("X-A: {long}\r\n")),
            400,
        ),
        ("G03 10000 trailers", trailer(&many), 400),
        (
            "G04 gzip",
            drawing("Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
            415,
        ),
        (
            "G04 brotli",
            drawing("Content-Encoding: br\r\nContent-Length: 2\r\n\r\n{}"),
            415,
        ),
        (
            "G04 too long by what it says",
            drawing("Content-Length: 100000000\r\n\r\n"),
            413,
        ),
        (
            "G05 the same, if it may come",
            drawing("Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n"),
            413,
        ),
        ("G04 nothing", drawing("\r\n"), 400),
        (
            "G04 a body where none belongs",
            health("Content-Length: 2\r\n\r\n{}"),
            200,
        ),
    ]);
}

/// A chunk as long as can be said is one that never ends: given up when the time for a body is.
#[test]
fn a_chunk_without_end_is_not_waited_for() {
    let server = start(Settings {
        body_seconds: 1,
        ..settings()
    });
    let request = drawing("Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n{}");
    let response = raw(server.address, &request);
    assert_eq!(response.status, 400);
    let message = response.json()["error"]["message"].to_string();
    assert!(message.contains("after 1 seconds"), "{message}");
    expect_well(server.address, "G03 a chunk of 2^64");
}

/// Chunks of six bytes, a million: each is a piece of a body that is too long in the end.
#[test]
fn small_chunks_come_to_a_body_that_is_too_long() {
    let server = start(Settings {
        max_body_bytes: 1_000_000,
        ..settings()
    });
    let chunks = "6\r\n[[[[[[\r\n".repeat(1_000_000);
    let request = drawing(&format!(
        "Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    ));
    let response = raw(server.address, &request);
    assert_eq!(response.status, 413);
    let message = response.json()["error"]["message"].to_string();
    assert!(message.contains("max_body_bytes"), "{message}");
    expect_well(server.address, "G03 small chunks");
}

#[test]
fn addresses() {
    let long = long();
    let to = |address: &str| asking(&format!("GET {address} HTTP/1.1"), "");
    let mut cases = vec![
        ("G10 64 KiB", to(&format!("/{}", &long[..65_536])), 431),
        ("G10 30 KB", to(&format!("/{}", &long[..30_000])), 404),
        ("G10 a query of 1 MB", to(&format!("/health?{long}")), 431),
        ("G10 in UTF-8", to("/hé"), 404),
        ("G10 a tab", to("/\thealth"), 400),
        (
            "G10 another server's",
            to("http://evil.example/health"),
            403,
        ),
        ("G10 this server's", to("http://localhost/health"), 200),
        ("G10 a fragment", to("/health#x"), 200),
        (
            "G10 a tunnel",
            asking("CONNECT evil.example:443 HTTP/1.1", ""),
            403,
        ),
        ("G10 everything", asking("OPTIONS * HTTP/1.1", ""), 404),
        ("G10 no slash", to("health"), 403),
    ];
    for address in [
        "/v1/models/..%2f..%2fetc%2fpasswd",
        "/v1/models/../../etc/passwd",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page.js/../../../etc/passwd",
        "//page.js",
        "//v1//models",
        "/v1/models/%00",
        "/page.js%00.html",
        "/.git/config",
        "/PAGE.JS",
        "/health/",
        "/v1/models;x=1",
    ] {
        cases.push((address, to(address), 404));
    }
    expect_each(&cases);
}
