//! What fuzzing begins with: small files that are accepted.

use std::{env, fs};

use super::pickler::{Tensor, dict, entries, global, join, pytorch, text};
use super::reading::read_all;
use super::safetensors::{file, header_of};
use super::zip::{Entry, archive};
use super::{PYTORCH, SAFETENSORS};

/// Safetensors files.
pub(super) fn safetensors() -> Vec<Vec<u8>> {
    let shaped = r#"{"a.b":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"__metadata__":{"x":"y"},"c":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}"#;
    vec![file(shaped, 16), file(&header_of(&["a", "b", "c"]), 3)]
}

/// Pickles that go with a storage `0` of 24 bytes.
pub(super) fn pickles() -> Vec<Vec<u8>> {
    let tensor = Tensor::default().pickle();
    let transposed = Tensor {
        shape: &[3, 2],
        strides: &[1, 3],
        ..Tensor::default()
    }
    .pickle();
    let parameter = [
        &global("torch._utils", "_rebuild_parameter")[..],
        b"(",
        &tensor,
        b"\x88}tR",
    ];
    let ordered = global("collections", "OrderedDict");
    let metadata = join(&[b"}", &text("_metadata"), &ordered, b")Rsb."]);
    let framed = join(&[b"}\x94\x8c\x01a\x94", &tensor, b"s."]);
    let length = (framed.len() as u64).to_le_bytes();
    vec![
        dict(&[("a", &tensor), ("b", &transposed)]),
        dict(&[("a", &join(&parameter))]),
        join(&[&ordered, b")R(", &text("a"), &tensor, b"u", &metadata]),
        join(&[b"\x80\x04\x95", &length, &framed]),
    ]
}

/// PyTorch files.
pub(super) fn archives() -> Vec<Vec<u8>> {
    let pickle = &pickles()[0];
    let storage: (&str, &[u8]) = ("0", &[0; 24]);
    let described = entries(pickle, &[storage])
        .into_iter()
        .map(Entry::with_descriptor);
    vec![
        pytorch(pickle, &[storage]),
        archive(&described.collect::<Vec<_>>()),
    ]
}

/// Writes them to the directory that `JANUS_FUZZ_CORPUS` names, if it names one.
#[test]
fn seeds_are_accepted() {
    let corpus = env::var_os("JANUS_FUZZ_CORPUS").map(std::path::PathBuf::from);
    let dir = tempfile::tempdir().unwrap();
    let whole = |pickle: &Vec<u8>| pytorch(pickle, &[("0", &[0; 24])]);
    for (target, name, seeds, files) in [
        ("safetensors", SAFETENSORS, safetensors(), safetensors()),
        (
            "pickle",
            PYTORCH,
            pickles(),
            pickles().iter().map(whole).collect(),
        ),
        ("archive", PYTORCH, archives(), archives()),
    ] {
        let dir = dir.path().join(target);
        fs::create_dir(&dir).unwrap();
        for (i, (seed, file)) in seeds.iter().zip(files).enumerate() {
            assert!(read_all(&dir, name, &file).unwrap() > 0);
            if let Some(corpus) = &corpus {
                fs::create_dir_all(corpus.join(target)).unwrap();
                fs::write(corpus.join(target).join(format!("seed-{i}")), seed).unwrap();
            }
        }
    }
}
