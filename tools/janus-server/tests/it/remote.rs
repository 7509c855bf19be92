//! Pictures of other servers (cases E19 to E21): not fetched unless that is allowed, and then from where they
//! may come.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use image::RgbImage;
use janus_server::Settings;
use serde_json::{Value, json};

use crate::client::{Running, data_url, expect_no_panic, post, settings, shared, start};

/// A server of files, some of which are pictures.
struct Files {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Files {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || answer(stream.unwrap(), address));
            }
        });
        Self { address, asked }
    }

    fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

fn picture() -> RgbImage {
    RgbImage::from_fn(48, 48, |x, _| image::Rgb([x as u8 * 5, 30, 30]))
}

fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture()
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// Answers one request by its path.
fn answer(mut stream: TcpStream, own: SocketAddr) {
    let mut head = Vec::new();
    let mut byte = [0];
    // The first byte of TLS, which is not spoken here.
    while !head.ends_with(b"\r\n\r\n")
        && head.first() != Some(&0x16)
        && stream.read(&mut byte).is_ok_and(|n| n > 0)
    {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut say = |head: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
    };
    let moved = |to: &str| format!("302 Found\r\nLocation: {to}");
    match path {
        "" => say("400 Bad Request", b""),
        "/a.png" => say("200 OK\r\nContent-Type: image/png", &png()),
        "/bytes" => say("200 OK\r\nContent-Type: application/octet-stream", &png()),
        "/lie" => say("200 OK\r\nContent-Type: image/jpeg", &png()),
        "/page" => say("200 OK\r\nContent-Type: text/html", b"<html>"),
        "/empty" => say("200 OK\r\nContent-Type: image/png", b""),
        "/missing" => say("404 Not Found", b"no"),
        "/broken" => say("500 Oh", b"no"),
        "/nonsense" => say("what?", b""),
        "/moved" => say(&moved("a.png"), b""),
        "/moved-twice" => say(&moved("/moved"), b""),
        "/moved-on" => say(&moved("/moved-on"), b""),
        "/moved-nowhere" => say("302 Found", b""),
        "/moved-to-file" => say(&moved("file:///etc/passwd"), b""),
        "/moved-to-port" => say(
            &moved(&format!("http://localhost:{}/a.png", own.port())),
            b"",
        ),
        "/moved-inside" => say(&moved("http://127.0.0.2/a.png"), b""),
        "/moved-to-metadata" => say(&moved("http://169.254.169.254/latest/"), b""),
        "/long" => {
            say("200 OK\r\nContent-Type: image/png", &png());
            while stream.write_all(&[0; 65_536]).is_ok() {}
        }
        "/slow" => {
            say(
                "200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000",
                b"",
            );
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        _ => std::thread::sleep(Duration::from_secs(5)),
    }
}

/// A server that may fetch from `files`, though it is not public.
fn allowed(files: &Files) -> Running {
    start(Settings {
        allow_remote_images: true,
        private_image_hosts: vec![files.address.to_string()],
        remote_image_seconds: 2,
        ..settings()
    })
}

fn embedding(server: SocketAddr, url: &str) -> (u16, Value) {
    let response = post(server, "/v1/embeddings", &json!({ "input": url }));
    (response.status, response.json())
}

/// What `/v1/embeddings` says of an address that it does not take.
fn refusal(server: SocketAddr, url: &str) -> String {
    let (status, answer) = embedding(server, url);
    assert_eq!(status, 400, "{url}: {answer}");
    assert_eq!(answer["error"]["param"], "input", "{url}");
    answer["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn nothing_is_fetched_unless_it_is_allowed() {
    let files = Files::new();
    for url in [
        files.url("a.png"),
        files.url("a.png").replace("http", "HTTP"),
    ] {
        assert!(
            refusal(shared(), &url).contains("remote images are disabled"),
            "E19 {url}"
        );
    }
    assert_eq!(files.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_picture_is_the_same_wherever_it_comes_from() {
    let files = Files::new();
    let server = allowed(&files);
    let (status, expected) = embedding(server.address, &data_url(&picture()));
    assert_eq!(status, 200);
    for name in ["a.png", "bytes", "moved", "moved-twice"] {
        let (status, found) = embedding(server.address, &files.url(name));
        assert_eq!((status, &found), (200, &expected), "{name}");
    }
    // Conversations take them too.
    let part = json!({ "type": "image_url", "image_url": { "url": files.url("a.png") } });
    let body = json!({ "messages": [{ "role": "user", "content": [part] }], "max_tokens": 2 });
    assert_eq!(
        post(server.address, "/v1/chat/completions", &body).status,
        200
    );
}

#[test]
fn what_comes_back_is_looked_at() {
    let files = Files::new();
    let server = allowed(&files);
    for (name, message) in [
        (
            "lie",
            "the picture says it is `image/jpeg`, but is image/png",
        ),
        ("page", "PNG, JPEG or WebP"),
        ("empty", "PNG, JPEG or WebP"),
        ("missing", "status 404"),
        ("broken", "status 500"),
        ("nonsense", "cannot be fetched"),
        ("moved-on", "more than 3 redirects"),
        ("moved-to-file", "should begin with"),
        ("moved-to-port", "not fetched from port"),
        ("moved-inside", "not one of the public internet"),
        ("moved-to-metadata", "not one of the public internet"),
        ("moved-nowhere", "a redirect to nowhere"),
        ("long", "more than 20000000 bytes"),
        ("slow", "not there in time"),
        ("never", "not there in time"),
    ] {
        let said = refusal(server.address, &files.url(name));
        assert!(said.contains(message), "E21 {name}: {said}");
    }
    expect_no_panic();
}

/// Addresses of this machine, of its networks and of none, in every spelling.
#[test]
fn nothing_inside_is_asked() {
    let files = Files::new();
    let port = files.address.port();
    let server = start(Settings {
        allow_remote_images: true,
        remote_image_seconds: 2,
        ..settings()
    });
    let inside = "not one of the public internet";
    for (url, message) in [
        ("http://127.0.0.1/a.png", inside),
        ("https://127.0.0.1/a.png", inside),
        ("http://127.0.0.1:443/a.png", inside),
        ("http://0.0.0.0/a.png", inside),
        ("http://0/a.png", inside),
        ("http://[::1]/a.png", inside),
        ("http://[::ffff:127.0.0.1]/a.png", inside),
        ("http://[fc00::1]/a.png", inside),
        ("http://2130706433/a.png", inside),
        ("http://0x7f.1/a.png", inside),
        ("http://017700000001/a.png", inside),
        ("http://127.1/a.png", inside),
        ("http://169.254.169.254/latest/meta-data", inside),
        ("http://10.0.0.1/a.png", inside),
        ("http://100.64.0.1/a.png", inside),
        ("http://localhost/a.png", inside),
        ("http://LOCALHOST/a.png", inside),
        ("http://localhost:22/a.png", "port 22"),
        (&files.url("a.png"), &format!("port {port}")),
        ("http://a@127.0.0.1/a.png", "no user"),
        ("http://a:b@example.org/a.png", "no user"),
        (
            "http:\\\\127.0.0.1\\@example.org/a.png",
            "should be a picture",
        ),
        ("file:///etc/passwd", "should begin with"),
        ("ftp://example.org/a.png", "should begin with"),
        ("gopher://example.org/a.png", "should begin with"),
        ("http:///a.png", "cannot be read"),
        ("http://", "cannot be read"),
        ("https://exämple.org/a.png", "cannot be read"),
    ] {
        let said = refusal(server.address, url);
        assert!(said.contains(message), "E20 {url}: {said}");
    }
    assert_eq!(files.asked.load(Ordering::Relaxed), 0);
    expect_no_panic();
}

#[test]
fn hosts_may_be_few() {
    let server = start(Settings {
        allow_remote_images: true,
        remote_image_hosts: vec!["pictures.example".to_owned()],
        ..settings()
    });
    let said = refusal(server.address, "http://other.example/a.png");
    assert!(said.contains("remote_image_hosts"), "{said}");
    // This one would be asked, but there is none of that name.
    let said = refusal(server.address, "http://Pictures.example/a.png");
    assert!(!said.contains("remote_image_hosts"), "{said}");
}

/// What is not TLS is not taken for it.
#[test]
fn a_host_that_is_not_itself_is_refused() {
    let files = Files::new();
    let server = allowed(&files);
    let said = refusal(server.address, &files.url("a.png").replace("http", "https"));
    assert!(said.contains("cannot be"), "E21 {said}");
}
