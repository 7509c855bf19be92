//! `janus serve` as a process: what it refuses to start with, signals, faults from outside (cases F07, F09, F16,
//! F22, F23, G14, G18).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::Folder;

/// A server that runs, and what it says.
struct Serving {
    child: Child,
    address: SocketAddr,
    said: JoinHandle<String>,
}

impl Serving {
    /// Starts one, and waits until it answers.
    fn start(folder: &Folder, arguments: &[&str]) -> Self {
        Self::of(&mut folder.command([&["serve", "--listen", "127.0.0.1:0"], arguments].concat()))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let from = said.len();
            assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
            if let Some((_, address)) = said[from..].split_once("answers at http://") {
                break address.trim().parse().unwrap();
            }
        };
        let said = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            lines.read_to_end(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        });
        Self {
            child,
            address,
            said,
        }
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for its end; gives its status, and that nothing broke inside it.
    fn end(mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        let said = self.said.join().unwrap();
        assert!(!said.contains("panicked"), "{said}");
        status
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Sends a request and reads until the server closes; nothing where it closed without a word.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut answer = String::new();
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()));
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn draw(address: SocketAddr, seed: usize) -> String {
    let body = json!({ "prompt": "a red circle", "seed": seed, "n": 2 });
    ask(address, "POST", "/v1/images/generations", &body.to_string())
}

/// Many long answers in a stream; it takes a while.
fn talk(address: SocketAddr) -> String {
    let body: Value = json!({
        "messages": [{ "role": "user", "content": "is there a red circle?" }],
        "temperature": 2.0, "seed": 3, "n": 32, "max_tokens": 200, "stream": true,
    });
    ask(address, "POST", "/v1/chat/completions", &body.to_string())
}

/// Waits until so many requests have come in, those that are done included.
fn until_come_in(address: SocketAddr, count: f64) {
    for _ in 0..3000 {
        let metrics = ask(address, "GET", "/metrics", "");
        let value = |name: &str| -> f64 {
            let mut lines = metrics.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap().parse().unwrap()
        };
        if value("janus_requests_under_way") + value("janus_request_seconds_count") >= count {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("they never came in");
}

#[test]
fn what_it_refuses_to_start_with() {
    let folder = Folder::new();
    folder.refused(["serve", "--listen", "0.0.0.0:0"], 2, "--insecure");
    folder.refused(
        ["serve", "--max-rows", "0"],
        2,
        "max_rows is 0; it should be 1 or above",
    );
    folder.refused(["serve", "--private-image-hosts", "here"], 2, "HOST:PORT");
    folder.refused(
        ["serve", "nowhere", "--listen", "127.0.0.1:0"],
        3,
        "nowhere",
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    folder.refused(
        ["serve", "--listen", &address],
        5,
        &format!("cannot listen on {address}"),
    );
    std::fs::write(folder.path("janus.toml"), "max_row = 8\n").unwrap();
    folder.refused(["serve", "--settings", "janus.toml"], 2, "`max_row`");
    let ran = folder
        .command(["serve"])
        .env("JANUS_MAX_ROWS", "many")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2));
}

/// SIGTERM, and Ctrl-C, while pictures are drawn: what was taken on is finished, what comes then is told.
#[test]
fn it_finishes_what_it_began() {
    let folder = Folder::new();
    for name in ["TERM", "INT"] {
        let server = Serving::start(&folder, &["--drain-seconds", "600"]);
        let address = server.address;
        // A connection that nobody uses does not keep it.
        let idle = TcpStream::connect(address).unwrap();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..24)
                .map(|i| scope.spawn(move || draw(address, i)))
                .collect();
            until_come_in(address, 24.0);
            server.signal(name);
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .collect()
        });
        for answer in &answers {
            let done = answer.starts_with("HTTP/1.1 200") && answer.ends_with('}');
            let told = answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: ");
            assert!(done || told, "{name}: {answer:.300}");
        }
        let done = answers
            .iter()
            .filter(|answer| answer.starts_with("HTTP/1.1 200"));
        assert!(done.count() >= 12);
        assert_eq!(server.end().code(), Some(0), "{name}");
        drop(idle);
        assert!(TcpStream::connect(address).is_err());
    }
}

/// When the time is up the rest are told, in their streams, and the status says so.
#[test]
fn it_tells_those_whom_it_cuts_short() {
    let folder = Folder::new();
    let server = Serving::start(&folder, &["--drain-seconds", "0", "--max-n", "32"]);
    let address = server.address;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..12)
            .map(|_| scope.spawn(move || talk(address)))
            .collect();
        until_come_in(address, 12.0);
        server.signal("TERM");
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let mut cut = 0;
    for answer in &answers {
        let told = answer.contains("the server is stopping");
        assert!(told || answer.contains("data: [DONE]"), "{answer:.300}");
        cut += usize::from(told);
    }
    assert!(cut > 0);
    assert_eq!(server.end().code(), Some(143));
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let folder = Folder::new();
    let server = Serving::start(&folder, &["--drain-seconds", "600", "--max-n", "32"]);
    let address = server.address;
    let clients: Vec<_> = (0..12)
        .map(|_| std::thread::spawn(move || talk(address)))
        .collect();
    until_come_in(address, 12.0);
    server.signal("TERM");
    // It has heard the first when it says that it is stopping.
    while !ask(address, "GET", "/ready", "").contains("stopping") {
        std::thread::sleep(Duration::from_millis(10));
    }
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(143));
    clients.into_iter().for_each(|client| drop(client.join()));
}

/// After SIGKILL nothing has to be cleaned up: the same address, the same answer.
#[test]
fn it_starts_again_after_a_kill() {
    let folder = Folder::new();
    let first = Serving::start(&folder, &["--max-n", "32"]);
    let address = first.address;
    let body = |answer: String| {
        answer
            .split_once("\"data\"")
            .map(|(_, data)| data.to_owned())
    };
    let expected = body(draw(address, 5)).unwrap();
    let clients: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(move || talk(address)))
        .collect();
    // The first was the picture.
    until_come_in(address, 9.0);
    first.signal("KILL");
    assert_eq!(first.end().code(), None);
    clients
        .into_iter()
        .for_each(|client| drop(client.join().unwrap()));
    let listen = ["serve", "--listen", &address.to_string()];
    let second = Serving::of(&mut folder.command(listen));
    assert_eq!(body(draw(second.address, 5)).unwrap(), expected);
    second.signal("TERM");
    assert_eq!(second.end().code(), Some(0));
}

/// Nobody reads what it says, or there is no room for it.
#[test]
#[cfg(target_os = "linux")]
fn what_it_says_need_not_arrive() {
    let folder = Folder::new();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let listen = ["serve", "--listen", &free.to_string()];
    let mut child = folder.command(listen).stderr(full).spawn().unwrap();
    while TcpStream::connect(free).is_err() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(draw(free, 1).starts_with("HTTP/1.1 200"));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// More connections than the system has sockets for: they wait or are refused, and when some are free again
/// everything is as before.
#[test]
#[cfg(target_os = "linux")]
fn it_gets_by_with_few_sockets() {
    let folder = Folder::new();
    let server = folder.command(["serve", "--listen", "127.0.0.1:0"]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 48; exec \"$0\" \"$@\""])
        .arg(server.get_program());
    limited.args(server.get_args()).stdin(Stdio::null());
    limited.envs(
        server
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let server = Serving::of(&mut limited);
    let many: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    drop(many);
    assert!(draw(server.address, 1).starts_with("HTTP/1.1 200"));
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}

/// The files of the model are deleted, or others put in their place, while it is served: what was opened stays
/// what it was.
#[test]
fn it_keeps_the_model_that_it_opened() {
    let folder = Folder::new();
    let model = folder.path("model");
    copy(&janus_tests::demo_model(), &model);
    let server = Serving::of(&mut folder.command(["serve", "model", "--listen", "127.0.0.1:0"]));
    let body = |answer: String| {
        answer
            .split_once("\"data\"")
            .map(|(_, data)| data.to_owned())
    };
    let before = body(draw(server.address, 3)).unwrap();
    std::fs::rename(&model, folder.path("old")).unwrap();
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("manifest.json"), "{}").unwrap();
    std::fs::remove_dir_all(folder.path("old")).unwrap();
    assert_eq!(body(draw(server.address, 3)).unwrap(), before);
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
