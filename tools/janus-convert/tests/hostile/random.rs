//! Files that are damaged at random: whatever comes of them, it is no panic, and what is accepted can be read.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use janus_convert::checkpoint::Checkpoint;

use super::pickler::{Tensor, dict, pytorch};
use super::safetensors::{file, header_of};
use super::zip::archive;
use super::{PYTORCH, SAFETENSORS};

/// Copies that are made of each file.
const COPIES: u32 = 4000;

#[test]
fn safetensors() {
    let shaped = r#"{"a.b":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"__metadata__":{"x":"y"},"c":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}"#;
    damage(SAFETENSORS, 1, &file(shaped, 16));
    damage(SAFETENSORS, 2, &file(&header_of(&["a", "b", "c"]), 3));
}

/// Damages the pickle before it is put into the archive, so that its checksum fits.
#[test]
fn pickles() {
    let transposed = Tensor {
        shape: &[3, 2],
        strides: &[1, 3],
        ..Tensor::default()
    };
    let pickle = dict(&[
        ("a", &Tensor::default().pickle()),
        ("b", &transposed.pickle()),
    ]);
    let mut random = Random(3);
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..COPIES {
        let pickle = damaged(&mut random, &pickle);
        open(dir.path(), PYTORCH, &pytorch(&pickle, &[("0", &[0; 24])]));
    }
}

#[test]
fn archives() {
    let pickle = dict(&[("a", &Tensor::default().pickle())]);
    damage(PYTORCH, 4, &pytorch(&pickle, &[("0", &[0; 24])]));
    let entries = super::pickler::entries(&pickle, &[("0", &[0; 24])]);
    let described = entries
        .into_iter()
        .map(super::zip::Entry::with_descriptor)
        .collect::<Vec<_>>();
    damage(PYTORCH, 5, &archive(&described));
}

fn damage(name: &str, seed: u64, content: &[u8]) {
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..COPIES {
        open(dir.path(), name, &damaged(&mut random, content));
    }
}

/// Some bytes are replaced, some left out, some put in; numbers near the ends of their range more often than others.
fn damaged(random: &mut Random, content: &[u8]) -> Vec<u8> {
    const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xfe, 0xff, b'.', b'0'];
    let mut content = content.to_vec();
    for _ in 0..1 + random.next() % 4 {
        let at = random.next() % content.len().max(1);
        let any = random.next();
        let byte = if any.is_multiple_of(2) {
            TELLING[(any >> 8) % 8]
        } else {
            (any >> 8) as u8
        };
        match random.next() % 6 {
            0 => content.truncate(at),
            1 => content.insert(at.min(content.len()), byte),
            2 if at < content.len() => drop(content.remove(at)),
            _ if at < content.len() => content[at] = byte,
            _ => {}
        }
    }
    content
}

fn open(dir: &Path, name: &str, content: &[u8]) {
    // Written over, not cut first: some file systems wait for the disk after a cut.
    let path = dir.join(name);
    let mut file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .unwrap();
    file.write_all(content).unwrap();
    file.set_len(content.len() as u64).unwrap();
    let Ok(checkpoint) = Checkpoint::open(dir) else {
        return;
    };
    for name in checkpoint.names() {
        let shape = checkpoint.root().shape(name).unwrap();
        if let Ok(tensor) = checkpoint.root().tensor(name, shape) {
            tensor
                .for_each_f32_chunk(|_| Ok::<_, janus_convert::checkpoint::CheckpointError>(()))
                .unwrap();
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 32) as usize
    }
}
