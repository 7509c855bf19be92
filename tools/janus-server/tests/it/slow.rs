//! Clients that take their time (cases G01, F14): closed when theirs is up, and nobody else waits for them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use janus_server::Settings;
use serde_json::json;

use crate::client::{connect, expect_well, get, metric, post, posting, settings, start, until};

fn hurried() -> Settings {
    Settings {
        header_seconds: 1,
        body_seconds: 1,
        write_seconds: 1,
        ..settings()
    }
}

/// Sends bytes one by one until the server has had enough of it; gives what it said.
fn drip(mut stream: TcpStream, bytes: &[u8]) -> String {
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut said = Vec::new();
    for byte in bytes.iter().chain(std::iter::repeat(&b'a')) {
        let written = stream.write_all(&[*byte]);
        let mut some = [0; 1024];
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(count) => said.extend(&some[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && written.is_ok() => {}
            Err(_) => break,
        }
    }
    String::from_utf8(said).unwrap()
}

/// Whether somebody else is answered, with a picture at that.
fn expect_served(address: SocketAddr) {
    let body = json!({ "prompt": "a red circle", "seed": 1 });
    assert_eq!(post(address, "/v1/images/generations", &body).status, 200);
}

/// A head, and a body, of which there is always something to come.
#[test]
fn drops_are_not_waited_for() {
    let server = start(hurried());
    let address = server.address;
    let body = posting("/v1/images/generations", "{\"prompt\": \"a red circle\"}");
    let head = body
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let endless = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: ".to_vec();
    std::thread::scope(|scope| {
        let heads: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| drip(connect(address), &endless)))
            .collect();
        let bodies: Vec<_> = (0..40)
            .map(|_| {
                scope.spawn(|| {
                    let mut stream = connect(address);
                    // As long a body as it says would take for ever in this way.
                    let text = String::from_utf8(body[..head].to_vec()).unwrap();
                    let text = text.replace("Content-Length: 26", "Content-Length: 100000");
                    stream.write_all(text.as_bytes()).unwrap();
                    drip(stream, b"{")
                })
            })
            .collect();
        expect_served(address);
        for client in heads {
            let said = client.join().unwrap();
            assert!(
                said.is_empty() || said.starts_with("HTTP/1.1 408"),
                "{said}"
            );
        }
        for client in bodies {
            let said = client.join().unwrap();
            assert!(
                said.starts_with("HTTP/1.1 400") && said.contains("1 seconds"),
                "{said}"
            );
        }
    });
    assert_eq!(metric(address, "janus_requests_under_way"), 0.0);
    expect_well(address, "G01");
}

/// Clients that stop in the middle of a head or a body.
#[test]
fn who_stops_is_not_waited_for() {
    let server = start(hurried());
    let address = server.address;
    let mut slow: Vec<_> = (0..50).map(|_| connect(address)).collect();
    let body = posting("/v1/images/generations", "{\"prompt\": \"a red circle\"}");
    for (i, stream) in slow.iter_mut().enumerate() {
        let begun: &[u8] = match i % 3 {
            0 => b"",
            1 => b"GET /v1/models HTTP/1.1\r\nHost:",
            // A head, and half a body.
            _ => &body[..body.len() - 5],
        };
        stream.write_all(begun).unwrap();
    }
    assert_eq!(get(address, "/ready").status, 200);
    for (i, stream) in slow.iter_mut().enumerate() {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        if i % 3 == 2 {
            let text = String::from_utf8_lossy(&rest).into_owned();
            assert!(
                text.starts_with("HTTP/1.1 400") && text.contains("1 seconds"),
                "{text}"
            );
        }
    }
    assert_eq!(metric(address, "janus_requests_under_way"), 0.0);
}

/// Clients that ask and do not read: their connections end, and make room.
#[test]
fn who_does_not_read_is_not_waited_for() {
    let server = start(Settings {
        max_connections: 4,
        ..hurried()
    });
    let address = server.address;
    // More than the sockets of both ends hold.
    let many = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2000);
    let held: Vec<_> = (0..4)
        .map(|_| {
            let stream = connect(address);
            stream
                .set_write_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            let _ = (&stream).write_all(many.as_bytes());
            stream
        })
        .collect();
    until("room for others", || {
        let mut stream = connect(address);
        let _ = stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).is_ok() && bytes.starts_with(b"HTTP/1.1 200")
    });
    drop(held);
    expect_well(address, "F14");
}

/// Who reads slowly, but reads, gets everything.
#[test]
fn who_reads_slowly_gets_everything() {
    let server = start(hurried());
    let whole = get(server.address, "/openapi.json").body;
    let mut stream = connect(server.address);
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    let mut some = vec![0; 4096];
    loop {
        std::thread::sleep(Duration::from_millis(150));
        match stream.read(&mut some).unwrap() {
            0 => break,
            count => bytes.extend(&some[..count]),
        }
    }
    assert!(bytes.ends_with(&whole));
}
