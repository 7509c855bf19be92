//! Files that are missing, too many or not what their names say.

use std::fmt::Write;
use std::fs;

use expect_test::expect;
use janus_convert::{ConvertOptions, convert};

use crate::common::{Alteration, Altered, chain};
use crate::refusal;

#[test]
fn files() {
    let path =
        |name: &'static str| move |c: &Altered| fs::remove_file(c.released().join(name)).unwrap();
    let cases: [(&str, Alteration<'_>); 16] = [
        ("no weights", &path("model.safetensors")),
        ("no configuration", &path("config.json")),
        ("no preparation", &path("preprocessor_config.json")),
        ("no tokenizer", &path("tokenizer.json")),
        ("an empty file", &|c| c.write("config.json", b"")),
        ("a list", &|c| c.write("config.json", b"[]")),
        ("a byte order mark", &|c| {
            c.write("config.json", b"\xef\xbb\xbf{}")
        }),
        ("a key twice", &|c| {
            c.write("config.json", br#"{"a": {"b": 1, "b": 2}}"#)
        }),
        ("deep", &|c| c.write("config.json", &[b'['; 100_000])),
        ("large", &|c| c.write("config.json", &[b' '; 2 << 20])),
        ("no special token", &|c| {
            let text = fs::read_to_string(c.released().join("tokenizer.json")).unwrap();
            c.write(
                "tokenizer.json",
                text.replace("<｜▁pad▁｜>", "<pad>").as_bytes(),
            );
        }),
        ("an id twice", &|c| {
            c.write(
                "tokenizer.json",
                br#"{"model": {"vocab": {"a": 1, "b": 1}}}"#,
            );
        }),
        ("an id without an embedding", &|c| {
            c.write("tokenizer.json", br#"{"model": {"vocab": {"a": 640}}}"#);
        }),
        ("an id that is no number", &|c| {
            c.write("tokenizer.json", br#"{"model": {"vocab": {"a": -1}}}"#);
        }),
        ("a token twice", &|c| {
            c.write(
                "tokenizer.json",
                br#"{"model": {"vocab": {"a": 1, "a": 2}}}"#,
            );
        }),
        ("an added token without text", &|c| {
            let tokens = br#"{"added_tokens": [{"id": 3, "content": ""}], "model": {"vocab": {}}}"#;
            c.write("tokenizer.json", tokens);
        }),
    ];
    let mut text = String::new();
    for (case, alter) in cases {
        writeln!(text, "{case}\n    {}", refusal("released", alter)).unwrap();
    }
    expect![[r#"
        no weights
            no weights in `…`: expected model.safetensors, model.safetensors.index.json, diffusion_pytorch_model.safetensors, pytorch_model.bin, pytorch_model.bin.index.json, diffusion_pytorch_model.bin
        no configuration
            cannot read `…/config.json`: NotFound
        no preparation
            cannot read `…/preprocessor_config.json`: NotFound
        no tokenizer
            cannot read `…/tokenizer.json`: NotFound
        an empty file
            cannot parse `…/config.json`: EOF while parsing a value at line 1 column 0
        a list
            cannot parse `…/config.json`: a list is not an object
        a byte order mark
            cannot parse `…/config.json`: expected value at line 1 column 1
        a key twice
            cannot parse `…/config.json`: key `b` is there twice at line 1 column 22
        deep
            cannot parse `…/config.json`: recursion limit exceeded at line 1 column 128
        large
            `…/config.json` is larger than 1048576 bytes
        no special token
            `…/tokenizer.json` has no token `<｜▁pad▁｜>`
        an id twice
            `…/tokenizer.json`: `id` is 1 for two tokens; it should be another for each
        an id without an embedding
            `…/tokenizer.json`: `id` is 640 for one token; it should be below the model's vocab_size = 640
        an id that is no number
            cannot parse `…/tokenizer.json`: invalid value: integer `-1`, expected u32 at line 1 column 28
        a token twice
            cannot parse `…/tokenizer.json`: key `a` is there twice at line 1 column 36
        an added token without text
            `…/tokenizer.json`: `content` is empty in added token 3; it should be a text
    "#]].assert_eq(&text);
}

#[cfg(unix)]
#[test]
fn links_and_pipes() {
    use std::os::unix::fs::symlink;
    let cases: [(&str, Alteration<'_>); 3] = [
        ("a link to a file elsewhere", &|c| {
            fs::write(c.released().with_file_name("secret"), "of another user").unwrap();
            symlink("../secret", c.released().join("LICENSE")).unwrap();
        }),
        ("a link to a directory", &|c| {
            fs::remove_file(c.released().join("config.json")).unwrap();
            symlink(".", c.released().join("config.json")).unwrap();
        }),
        ("a device", &|c| {
            fs::remove_file(c.released().join("config.json")).unwrap();
            symlink("/dev/zero", c.released().join("config.json")).unwrap();
        }),
    ];
    let mut text = String::new();
    for (case, alter) in cases {
        let checkpoint = Altered::copy("released");
        alter(&checkpoint);
        let options = ConvertOptions::default();
        let error = convert(&checkpoint.released(), &checkpoint.out(), &options).unwrap_err();
        let place = checkpoint.released().canonicalize().unwrap();
        let place = place.parent().unwrap().display().to_string();
        writeln!(text, "{case}\n    {}", chain(&error).replace(&place, "…")).unwrap();
        assert!(!checkpoint.out().exists());
    }
    expect![[r#"
        a link to a file elsewhere
            `LICENSE` is a link to `…/secret`, outside of the checkpoint's directory; put a copy in its place
        a link to a directory
            `config.json` is a directory, a pipe or a device, not a regular file
        a device
            `config.json` is a link to `/dev/zero`, outside of the checkpoint's directory; put a copy in its place
    "#]].assert_eq(&text);
}
