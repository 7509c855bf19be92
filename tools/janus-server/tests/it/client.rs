//! A server in this process, and a client that sends what it is told, right or wrong.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use janus_pipeline::{Janus, ModelDir, SessionOptions};
use janus_server::{Drained, Served, Server, Settings};
use serde_json::Value;

/// How long a client waits for bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Drained>>,
}

impl Running {
    /// Tells the server to stop.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Tells the server to stop, and waits for its end.
    pub(crate) fn end(mut self) -> Drained {
        self.stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Settings for a port that is free.
pub(crate) fn settings() -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..Settings::default()
    }
}

/// A server of the demo model.
pub(crate) fn start(settings: Settings) -> Running {
    serve("janus-demo", janus_tests::demo_model(), settings)
}

/// A server of an exported model.
pub(crate) fn serve(name: &str, model: PathBuf, settings: Settings) -> Running {
    janus_tests::load_library();
    count_panics();
    let name = name.to_owned();
    let server = Server::bind(settings).unwrap();
    let (address, ready) = (server.address(), std::sync::mpsc::channel());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        let dir = ModelDir::open(model).unwrap();
        let served = Served {
            name,
            dir: &dir,
            options: SessionOptions::default(),
        };
        let until = async {
            let _ = stopped.await;
        };
        server
            .run(served, |_| ready.0.send(()).unwrap(), until)
            .unwrap()
    });
    ready.1.recv().unwrap();
    Running {
        address,
        stop: Some(stop),
        thread: Some(thread),
    }
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the panics of servers' threads from now on; those of tests have other names.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            if name.starts_with("janus-") || name.starts_with("tokio") {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            usual(info);
        }));
    });
}

/// No thread of a server has panicked, those that are caught included.
pub(crate) fn expect_no_panic() {
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

/// What has to hold after every hostile request: others are answered, and nothing broke.
pub(crate) fn expect_well(address: SocketAddr, after: &str) {
    assert_eq!(get(address, "/ready").status, 200, "{after}");
    expect_no_panic();
}

/// A server with the default settings, which all tests share that change nothing.
pub(crate) fn shared() -> SocketAddr {
    static SHARED: OnceLock<Running> = OnceLock::new();
    SHARED.get_or_init(|| start(settings())).address
}

/// The demo model in this process: what a request gives alone.
pub(crate) fn alone() -> Janus {
    janus_tests::load_library();
    Janus::open(janus_tests::demo_model(), &SessionOptions::default()).unwrap()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut fields = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        fields.next().map(|(_, value)| value)
    }

    /// The `data` of each event of a stream, which ends as streams should.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = String::from_utf8(self.body.clone()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        let data: Vec<_> = data.collect();
        let (last, events) = data.split_last().unwrap();
        assert_eq!(*last, "[DONE]");
        events
            .iter()
            .map(|e| serde_json::from_str(e).unwrap())
            .collect()
    }
}

/// Sends bytes as they are and reads until the server closes.
pub(crate) fn raw(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = connect(address);
    // The server may refuse before it has read everything.
    let _ = stream.write_all(bytes);
    read(&mut stream)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads a response until the server closes.
pub(crate) fn read(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    // A server that refuses what it has not read resets the connection after the response.
    let _ = stream.read_to_end(&mut bytes);
    parse(&bytes)
}

/// What the server sends until it closes; nothing where it closes without a word.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Response> {
    let mut stream = connect(address);
    // The server may refuse before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    (!answer.is_empty()).then(|| parse(&answer))
}

fn parse(bytes: &[u8]) -> Response {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let rest = &bytes[end + 4..];
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = match chunked {
        true => unchunk(rest),
        false => rest.to_vec(),
    };
    Response { status, head, body }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n");
        let end = end.expect("a whole response");
        let length = std::str::from_utf8(&bytes[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + length + 4..];
    }
}

/// A request with a body of JSON, as bytes.
pub(crate) fn posting(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

pub(crate) fn post(address: SocketAddr, path: &str, body: &Value) -> Response {
    raw(address, &posting(path, &body.to_string()))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    raw(address, request.as_bytes())
}

/// The value of a line of `/metrics`.
pub(crate) fn metric(address: SocketAddr, name: &str) -> f64 {
    let text = String::from_utf8(get(address, "/metrics").body).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines
        .find_map(|rest| rest.strip_prefix(' '))
        .unwrap()
        .parse()
        .unwrap()
}

/// Waits until something is so, for as long as a test has.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came to this: {what}");
}

/// A picture as a data URL.
pub(crate) fn data_url(picture: &image::RgbImage) -> String {
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    format!(
        "data:image/png;base64,{}",
        STANDARD.encode(png.into_inner())
    )
}

/// The pixels of a picture in base64.
pub(crate) fn pixels(b64: &Value) -> image::RgbImage {
    let bytes = STANDARD.decode(b64.as_str().unwrap()).unwrap();
    image::load_from_memory(&bytes).unwrap().into_rgb8()
}
