//! Closed pipes, full disks, Ctrl-C.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Folder, Ran};

#[test]
fn whoever_has_read_enough_may_go() {
    let folder = Folder::new();
    let mut command = folder.command(["inspect"]);
    let mut child = folder.spawn(&mut command);
    let mut first = [0; 5];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    // Nobody reads what is wrong either.
    let mut child = folder.spawn(&mut folder.command(["text", "nowhere", "hi"]));
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told() {
    let folder = Folder::new();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for arguments in [&["inspect"][..], &["inspect", "--json"], &["text", "hi"]] {
        let ran = Ran::from(folder.command(arguments).stdout(full()).output().unwrap());
        assert_eq!(ran.code, 5, "{arguments:?}");
        let told = "error: cannot write to standard output";
        assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
    }
    let output = folder
        .command(["inspect", "nowhere"])
        .stderr(full())
        .output();
    assert_eq!(output.unwrap().status.code(), Some(3));
}

#[test]
fn ctrl_c_stops_and_leaves_nothing() {
    // While graphs are opened, where the command does not work in steps, and after.
    for wait in [0, 10, 25, 50, 75, 100, 150, 200, 300, 400] {
        let folder = Folder::new();
        assert_eq!(interrupted(&folder, wait), Some(130), "after {wait} ms");
        assert!(folder.names().is_empty());
    }
}

/// The status of an examination that is interrupted so many milliseconds after it began to load.
fn interrupted(folder: &Folder, wait: u64) -> Option<i32> {
    let arguments = [
        "eval",
        "scenes",
        "--per-category",
        "9999",
        "--sheet",
        "sheet.png",
        "-v",
    ];
    let mut child = folder.spawn(&mut folder.command(arguments));
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("model: ") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0);
    }
    std::thread::sleep(Duration::from_millis(wait));
    let interrupt = ["-s", "INT", &child.id().to_string()];
    let sent = Command::new("kill").args(interrupt).status().unwrap();
    assert!(sent.success());
    std::io::copy(&mut stderr, &mut std::io::sink()).unwrap();
    child.wait().unwrap().code()
}
