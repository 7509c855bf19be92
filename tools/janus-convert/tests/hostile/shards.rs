//! Lists of shards (A21 to A23).

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::safetensors::{file, header_of};
use super::{check_dir, sparse};

const INDEX: &str = "model.safetensors.index.json";

/// A directory with a list of shards, and shards that hold one-byte tensors.
fn sharded(index: &str, shards: &[(&str, &[&str])]) -> TempDir {
    let dir = sparse(INDEX, index.as_bytes(), index.len() as u64);
    for (shard, names) in shards {
        fs::write(dir.path().join(shard), file(&header_of(names), names.len())).unwrap();
    }
    dir
}

fn index(entries: &[(&str, &str)]) -> String {
    let entries = entries.iter().map(|(tensor, shard)| {
        let (tensor, shard) = (
            serde_json::to_string(tensor).unwrap(),
            serde_json::to_string(shard).unwrap(),
        );
        format!("{tensor}:{shard}")
    });
    format!(
        r#"{{"metadata":{{}},"weight_map":{{{}}}}}"#,
        entries.collect::<Vec<_>>().join(",")
    )
}

#[track_caller]
fn check_index(index: &str, shards: &[(&str, &[&str])], expected: &Expect) {
    check_dir(sharded(index, shards).path(), expected);
}

/// Names of shards that are not plain file names, or not there.
#[test]
fn a21_names_of_shards() {
    let check_name =
        |name: &str, expected: &Expect| check_index(&index(&[("a", name)]), &[], expected);
    check_name(
        "missing",
        &expect![[
            r#"Malformed: shard `missing` is in `model.safetensors.index.json`, but not in the directory"#
        ]],
    );
    check_name(
        "../x",
        &expect![[
            r#"Refused: list: shard `../x` is not the plain name of a file in the same directory"#
        ]],
    );
    check_name(
        "/dev/zero",
        &expect![[
            r#"Refused: list: shard `/dev/zero` is not the plain name of a file in the same directory"#
        ]],
    );
    check_name(
        "C:\\x",
        &expect![[
            r#"Refused: list: shard `C:\\x` is not the plain name of a file in the same directory"#
        ]],
    );
    check_name(
        "a/../../x",
        &expect![[
            r#"Refused: list: shard `a/../../x` is not the plain name of a file in the same directory"#
        ]],
    );
    check_name(
        "..",
        &expect![[
            r#"Refused: list: shard `..` is not the plain name of a file in the same directory"#
        ]],
    );
    check_name(
        "",
        &expect![[
            r#"Refused: list: shard `` is not the plain name of a file in the same directory"#
        ]],
    );
    check_name(
        "a\0b",
        &expect![[
            r#"Refused: list: shard `a\0b` is not the plain name of a file in the same directory"#
        ]],
    );
}

/// Shards that are not regular files. None is opened: opening the pipe would block for ever.
#[cfg(target_os = "linux")]
#[test]
fn a21_kinds_of_shards() {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    let check_made = |make: &dyn Fn(&Path), expected: &Expect| {
        let dir = sharded(&index(&[("a", "s")]), &[]);
        make(&dir.path().join("s"));
        check_dir(dir.path(), expected);
    };
    check_made(
        &|s| fs::create_dir(s).unwrap(),
        &expect![[r#"Refused: `s` is a directory, not a regular file"#]],
    );
    check_made(
        &|s| assert!(Command::new("mkfifo").arg(s).status().unwrap().success()),
        &expect![[r#"Refused: `s` is a pipe or a device, not a regular file"#]],
    );
    check_made(
        &|s| symlink("/dev/zero", s).unwrap(),
        &expect![[r#"Refused: `s` is a pipe or a device, not a regular file"#]],
    );
    check_made(
        &|s| symlink("/proc/version", s).unwrap(),
        &expect![[
            r#"Refused: `s` is a link to `/proc/version`, outside of the checkpoint's directory; put a copy in its place"#
        ]],
    );
    check_made(
        &|s| symlink("s", s).unwrap(),
        &expect![[
            r#"Environment: cannot open `s`: Too many levels of symbolic links (os error 40)"#
        ]],
    );
}

/// A hub cache keeps the files in `blobs` and links to them from its snapshots.
#[cfg(unix)]
#[test]
fn a21_links_into_a_hub_cache() {
    use std::os::unix::fs::symlink;

    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (cache.path().join("blobs"), cache.path().join("snapshots/1"));
    fs::create_dir(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(blobs.join("0"), file(&header_of(&["a"]), 1)).unwrap();
    symlink("../../blobs/0", snapshot.join("model.safetensors")).unwrap();
    check_dir(&snapshot, &expect![[r#"accepted: 1 tensors"#]]);
}

#[test]
fn a22_lists_that_do_not_agree_with_their_shards() {
    let (a, b) = (("s1", &["a"][..]), ("s2", &["b"][..]));
    let both = index(&[("a", "s1"), ("b", "s2")]);
    check_index(&both, &[a, b], &expect![[r#"accepted: 2 tensors"#]]);
    check_index(
        &both,
        &[a, ("s2", &["a", "b"])],
        &expect![[r#"Malformed: tensor `a` is in `s1` and in `s2`"#]],
    );
    check_index(
        &both,
        &[a, ("s2", &["c"])],
        &expect![[r#"Malformed: tensor `b` should be in `s2`, which does not hold it"#]],
    );
    check_index(
        &index(&[("a", "s2"), ("b", "s2"), ("c", "s1")]),
        &[("s1", &["a", "c"]), b],
        &expect![[r#"Malformed: tensor `a` should be in `s2`, which does not hold it"#]],
    );
    check_index(
        &both,
        &[a, ("s2", &["b", "c", "d"])],
        &expect![[
            r#"accepted: 4 tensors; the shards hold 2 tensors that `model.safetensors.index.json` does not name"#
        ]],
    );
    check_index(
        &both.replace("{}", r#"{"total_size":3}"#),
        &[a, b],
        &expect![[
            r#"accepted: 2 tensors; `model.safetensors.index.json` says that all tensors take 3 bytes; they take 2"#
        ]],
    );
    check_index(
        &both.replace("{}", r#"{"total_size":2.0}"#),
        &[a, b],
        &expect![[r#"accepted: 2 tensors"#]],
    );
}

#[test]
fn a22_lists_that_are_no_lists() {
    let a = [("s1", &["a"][..])];
    check_index(
        "",
        &a,
        &expect![[
            r#"Malformed: list: it is not what it should be: EOF while parsing a value at line 1 column 0"#
        ]],
    );
    check_index(
        "[]",
        &a,
        &expect![[
            r#"Malformed: list: it is not what it should be: invalid length 0, expected an object with a `weight_map` at line 1 column 2"#
        ]],
    );
    check_index(
        r#"{"weight_map":{}}"#,
        &a,
        &expect![[r#"Malformed: list: it names no tensors"#]],
    );
    check_index(
        r#"{"weight_map":{"a":1}}"#,
        &a,
        &expect![[
            r#"Malformed: list: it is not what it should be: invalid type: integer `1`, expected a string at line 1 column 20"#
        ]],
    );
    check_index(
        r#"{"weight_map":{"a":"s1","a":"s1"}}"#,
        &a,
        &expect![[
            r#"Malformed: list: it is not what it should be: `a` is there twice at line 1 column 33"#
        ]],
    );
    let many = (0..1001).map(|i| i.to_string()).collect::<Vec<_>>();
    let many = many
        .iter()
        .map(|n| (n.as_str(), n.as_str()))
        .collect::<Vec<_>>();
    check_index(
        &index(&many),
        &a,
        &expect![[r#"Refused: list: it names 1001 shards; the limit is 1000"#]],
    );
    check_dir(
        sparse(INDEX, b"{", (16 << 20) + 1).path(),
        &expect![[r#"Refused: list: it has 16777217 bytes; the limit is 16777216"#]],
    );
}

#[test]
fn a23_one_shard_under_two_names() {
    let list = index(&[("a", "s1"), ("b", "s2")]);
    let dir = sharded(&list, &[("s1", &["a", "b"])]);
    fs::hard_link(dir.path().join("s1"), dir.path().join("s2")).unwrap();
    check_dir(dir.path(), &expect![[r#"accepted: 2 tensors"#]]);
    check_index(
        &index(&[("a", "s1"), ("b", "s1")]),
        &[("s1", &["a", "b"])],
        &expect![[r#"accepted: 2 tensors"#]],
    );
}
