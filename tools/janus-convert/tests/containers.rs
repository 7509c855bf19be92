//! The containers of one model hold the same tensors with the same values.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::PathBuf;

use janus_convert::checkpoint::{Checkpoint, CheckpointError, Container, Ignored};
use sha2::{Digest, Sha256};

fn fixture(name: &str) -> PathBuf {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/janus-tiny");
    PathBuf::from(models).join(name)
}

fn open(name: &str) -> Checkpoint {
    Checkpoint::open(&fixture(name)).unwrap()
}

fn values(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let root = checkpoint.root();
    let tensor = root.tensor(name, root.shape(name).unwrap()).unwrap();
    tensor.read_f32().unwrap()
}

#[test]
fn safetensors_and_pytorch_hold_the_same() {
    let (safetensors, pytorch) = (open("released"), open("released-bin"));
    assert_eq!(safetensors.container(), Container::Safetensors);
    assert_eq!(pytorch.container(), Container::PyTorch);
    assert_eq!(safetensors.len(), 416);
    assert!(safetensors.names().eq(pytorch.names()));
    for name in safetensors.names() {
        assert_eq!(
            safetensors.root().shape(name).unwrap(),
            pytorch.root().shape(name).unwrap()
        );
        assert_eq!(values(&safetensors, name), values(&pytorch, name), "{name}");
    }
    safetensors.expect_all_used(&[]).unwrap();
    pytorch.expect_all_used(&[]).unwrap();
    assert_eq!(
        (safetensors.doubtful(), pytorch.doubtful()),
        (vec![], vec![])
    );
}

#[test]
fn a_path_leads_to_its_tensors() {
    let checkpoint = open("released");
    let model = checkpoint.root().at("language_model.model");
    assert_eq!(model.count("layers"), 2);
    let layer = model.at("layers").at(1);
    assert_eq!(layer.path(), "language_model.model.layers.1");
    assert!(layer.has("input_layernorm.weight") && !layer.has("input_layernorm"));
    assert_eq!(layer.shape("mlp.up_proj.weight").unwrap(), [160, 96]);
    let up = layer
        .at("mlp")
        .tensor("up_proj.weight", &[160, 96])
        .unwrap();
    assert_eq!(
        up.name(),
        "language_model.model.layers.1.mlp.up_proj.weight"
    );
    assert_eq!(
        (up.len(), up.dtype().to_string()),
        (15360, "BF16".to_owned())
    );
    assert_eq!(checkpoint.root().count("language_model.model.norm"), 0);
}

#[test]
fn chunks_and_ranges_make_up_the_whole() {
    let checkpoint = open("released-bin");
    let tensor = checkpoint
        .root()
        .tensor("gen_vision_model.quantize.codebook_used", &[65536])
        .unwrap();
    let whole = tensor.read_f32().unwrap();
    let mut chunks = Vec::new();
    tensor
        .for_each_f32_chunk(|values| {
            chunks.extend_from_slice(values);
            Ok::<_, CheckpointError>(())
        })
        .unwrap();
    let mut range = [0.0; 1000];
    tensor.read_f32_range(64536, &mut range).unwrap();
    assert_eq!(chunks, whole);
    assert_eq!(range, whole[64536..]);
}

#[test]
fn what_is_left_aside_is_named() {
    let checkpoint = open("released");
    let root = checkpoint.root();
    root.tensor("gen_embed.weight", root.shape("gen_embed.weight").unwrap())
        .unwrap();
    let ignored = |pattern| Ignored {
        pattern,
        reason: "it is not of interest here",
    };
    let most = [
        ignored("language_model.*"),
        ignored("vision_model.*"),
        ignored("gen_vision_model.*"),
    ];
    match checkpoint.expect_all_used(&most) {
        Err(CheckpointError::Unused { count: 12, first }) => {
            assert_eq!(
                first[..2],
                ["aligner.layers.0.bias", "aligner.layers.0.weight"]
            );
        }
        other => panic!("{other:?}"),
    }
    let all = [
        &most[..],
        &[
            ignored("aligner.*"),
            ignored("gen_aligner.*"),
            ignored("gen_head.*"),
        ],
    ]
    .concat();
    checkpoint.expect_all_used(&all).unwrap();
    // A pattern without a star is a whole name.
    assert!(
        checkpoint
            .expect_all_used(&[&most[..], &[ignored("aligner.")]].concat())
            .is_err()
    );
}

#[test]
fn digests_are_those_of_the_files() {
    for name in ["released", "released-bin"] {
        let checkpoint = open(name);
        let mut last = (0, 0);
        let digests = checkpoint
            .sha256_files(|read, total| last = (read, total))
            .unwrap();
        let [digest] = digests.as_slice() else {
            panic!("{digests:?}")
        };
        let bytes = std::fs::read(fixture(name).join(&digest.name)).unwrap();
        assert_eq!(
            (digest.size, last),
            (bytes.len() as u64, (digest.size, digest.size))
        );
        let sha256 = Sha256::digest(&bytes);
        assert_eq!(
            digest.sha256,
            sha256
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect::<String>()
        );
        assert_eq!(checkpoint.source_files()[0].name(), digest.name);
    }
}
