//! Random checkpoints are what released ones are, but for what they have learnt.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};

use janus_convert::checkpoint::{Checkpoint, Container};
use janus_convert::synth::{self, ModelShape, SynthError, SynthOptions};
use janus_convert::{ConvertOptions, convert};
use tempfile::TempDir;
use tokenizers::Tokenizer;

fn tiny() -> SynthOptions<'static> {
    SynthOptions::released(&ModelShape::TINY)
}

fn written(options: &SynthOptions<'_>) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("checkpoint");
    let mut last = (0, 1);
    synth::write(options, &directory, &mut |done, total| last = (done, total)).unwrap();
    assert_eq!(last.0, last.1);
    (place, directory)
}

#[track_caller]
fn assert_same_tensors(one: &Path, other: &Path) {
    let (one, other) = (
        Checkpoint::open(one).unwrap(),
        Checkpoint::open(other).unwrap(),
    );
    assert!(one.names().eq(other.names()));
    for name in one.names() {
        let read = |checkpoint: &Checkpoint| {
            let root = checkpoint.root();
            root.tensor(name, root.shape(name).unwrap())
                .unwrap()
                .read_f32()
                .unwrap()
        };
        assert_eq!(read(&one), read(&other), "{name}");
    }
    assert!(one.notes().is_empty() && other.notes().is_empty());
}

/// Tensors and parameters of the released models, and of their ports.
#[test]
fn sizes_are_the_published_ones() {
    for (shape, released, ported) in [
        (&ModelShape::JANUS_1_3B, (882, 2_089_297_547), 964),
        (&ModelShape::JANUS_PRO_1B, (882, 2_089_297_547), 964),
        (&ModelShape::JANUS_PRO_7B, (936, 7_420_434_059), 1018),
    ] {
        assert_eq!(
            SynthOptions::released(shape).size(),
            released,
            "{}",
            shape.name
        );
        assert_eq!(
            SynthOptions::transformers(shape).size().0,
            ported,
            "{}",
            shape.name
        );
        assert_eq!(ModelShape::named(shape.name), Some(shape));
    }
    let flow = SynthOptions::released(&ModelShape::JANUS_FLOW_1_3B);
    assert_eq!(flow.size().1, 2_046_367_504);
    assert_eq!(flow.vae_size(), Some((248, 83_653_863)));
    assert_eq!(tiny().vae_size(), None);
}

/// The tiny JanusFlow of the fixtures and its VAE were made by the official code and by diffusers.
#[test]
fn a_flow_has_the_official_names_and_shapes_and_is_converted() {
    let fixtures = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/janusflow-tiny"
    ));
    let (place, directory) = written(&SynthOptions::released(&ModelShape::TINY_FLOW));
    let vae = directory.join(synth::VAE);
    for (ours, theirs) in [(&directory, "released"), (&vae, "sdxl-vae")] {
        let ours = Checkpoint::open(ours).unwrap();
        let theirs = Checkpoint::open(&fixtures.join(theirs)).unwrap();
        assert!(ours.names().eq(theirs.names()));
        for name in ours.names() {
            let (ours, theirs) = (ours.root().shape(name), theirs.root().shape(name));
            assert_eq!(ours.unwrap(), theirs.unwrap(), "{name}");
        }
    }
    let options = ConvertOptions {
        vae: Some(vae),
        ..ConvertOptions::default()
    };
    let manifest = convert(&directory, &place.path().join("export"), &options).unwrap();
    assert_eq!(manifest.flow().unwrap().latent_size, 8);
    let sources: Vec<_> = manifest.source.files.keys().map(String::as_str).collect();
    let expected = [
        "model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ];
    assert_eq!(sources, expected);

    let ported = SynthOptions::transformers(&ModelShape::TINY_FLOW);
    let refused = synth::write(&ported, &place.path().join("ported"), &mut |_, _| {});
    assert!(matches!(refused, Err(SynthError::NoSuchLayout { .. })));
}

/// The released tiny model of the fixtures was made by the official code.
#[test]
fn names_and_shapes_are_those_of_the_official_code() {
    let fixtures = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/janus-tiny"
    ));
    for (options, fixture) in [
        (tiny(), "released"),
        (
            SynthOptions::transformers(&ModelShape::TINY),
            "transformers",
        ),
    ] {
        let (_place, directory) = written(&options);
        let ours = Checkpoint::open(&directory).unwrap();
        let theirs = Checkpoint::open(&fixtures.join(fixture)).unwrap();
        assert!(ours.names().eq(theirs.names()));
        for name in ours.names() {
            assert_eq!(
                ours.root().shape(name).unwrap(),
                theirs.root().shape(name).unwrap(),
                "{name}"
            );
        }
    }
}

#[test]
fn containers_and_shards_hold_the_same() {
    let (_place, whole) = written(&tiny());
    for container in [Container::Safetensors, Container::PyTorch] {
        let (_place, single) = written(&tiny().contained_in(container));
        assert_same_tensors(&whole, &single);
        let shards = SynthOptions {
            shard_size: 3_000_000,
            ..tiny().contained_in(container)
        };
        let (_place, sharded) = written(&shards);
        assert_eq!(Checkpoint::open(&sharded).unwrap().source_files().len(), 3);
        assert_same_tensors(&whole, &sharded);
    }
}

#[test]
fn values_depend_on_the_seed_alone() {
    let tensor = |seed| {
        let (_place, directory) = written(&tiny().seeded(seed));
        fs::read(directory.join("model.safetensors")).unwrap()
    };
    assert!(tensor(1) == tensor(1));
    assert!(tensor(1) != tensor(2));
}

/// Both layouts of one seed are the same model: the converter makes the same graphs of them.
#[test]
fn both_layouts_are_converted() {
    let graphs = |options: &SynthOptions<'_>| {
        let (place, directory) = written(options);
        let out = place.path().join("export");
        convert(&directory, &out, &ConvertOptions::default()).unwrap();
        let names = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names = names
            .map(|name| name.into_string().unwrap())
            .collect::<Vec<_>>();
        names.retain(|name| name.contains(".onnx"));
        names.sort_unstable();
        let data = |name: &String| fs::read(out.join(name)).unwrap();
        names
            .iter()
            .filter(|name| name.ends_with(".data"))
            .map(data)
            .collect::<Vec<_>>()
    };
    let released = graphs(&tiny());
    assert!(!released.is_empty());
    assert!(released == graphs(&SynthOptions::transformers(&ModelShape::TINY)));
}

#[test]
fn the_tokenizer_has_the_special_tokens_in_their_places() {
    for ids in [ModelShape::TINY.tokens, ModelShape::JANUS_PRO_7B.tokens] {
        let shape = ModelShape {
            tokens: ids,
            ..ModelShape::TINY
        };
        let (_place, directory) = written(&SynthOptions::released(&shape));
        let tokenizer = Tokenizer::from_file(directory.join("tokenizer.json")).unwrap();
        for (token, id) in [
            ("<｜begin▁of▁sentence｜>", ids.bos),
            ("<｜end▁of▁sentence｜>", ids.eos),
            ("<｜▁pad▁｜>", ids.pad),
            ("<begin_of_image>", ids.begin_of_image),
            ("<image_placeholder>", ids.image_placeholder),
            ("<end_of_image>", ids.end_of_image),
        ] {
            assert_eq!(tokenizer.token_to_id(token), Some(id), "{token}");
        }
        let text = "<|User|>: a red fox, 42 é 雪\n\n<|Assistant|>:<begin_of_image>";
        let encoding = tokenizer.encode(text, false).unwrap();
        assert_eq!(encoding.get_ids()[0], ids.user);
        assert_eq!(encoding.get_ids().last(), Some(&ids.begin_of_image));
        assert!(encoding.get_tokens().contains(&"Ġfox".to_owned()));
        assert_eq!(tokenizer.decode(encoding.get_ids(), false).unwrap(), text);
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left() {
    let (place, directory) = written(&tiny());
    let again = synth::write(&tiny(), &directory, &mut |_, _| {});
    assert!(matches!(again, Err(SynthError::Exists { .. })), "{again:?}");
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let below = synth::write(&tiny(), &file.join("checkpoint"), &mut |_, _| {});
    assert!(matches!(below, Err(SynthError::Create { .. })), "{below:?}");
    let names = fs::read_dir(place.path()).unwrap().count();
    assert_eq!(names, 2, "the checkpoint and the file");
}

#[test]
fn a_model_larger_than_the_disk_is_refused_at_once() {
    let mut shape = ModelShape::TINY;
    shape.language.layers = 10_000;
    shape.language.intermediate = 1 << 28;
    let place = tempfile::tempdir().unwrap();
    let options = SynthOptions::released(&shape);
    let error =
        synth::write(&options, &place.path().join("checkpoint"), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, SynthError::DiskSpace { .. }), "{error}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
