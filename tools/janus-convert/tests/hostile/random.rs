//! Files that are damaged at random: whatever comes of them, it is no panic, and what is accepted can be read.

use super::pickler::pytorch;
use super::reading::read_all;
use super::{PYTORCH, SAFETENSORS, seeds};

/// Copies that are made of each file.
const COPIES: u32 = 3000;

#[test]
fn safetensors() {
    damage(SAFETENSORS, &seeds::safetensors(), Vec::clone);
}

/// Damages the pickle before it is put into the archive, so that its checksum fits.
#[test]
fn pickles() {
    damage(PYTORCH, &seeds::pickles(), |pickle| {
        pytorch(pickle, &[("0", &[0; 24])])
    });
}

#[test]
fn archives() {
    damage(PYTORCH, &seeds::archives(), Vec::clone);
}

fn damage(name: &str, seeds: &[Vec<u8>], finish: impl Fn(&Vec<u8>) -> Vec<u8>) {
    let mut random = Random(1);
    let dir = tempfile::tempdir().unwrap();
    for seed in seeds {
        let accepted = (0..COPIES).filter(|_| {
            let content = finish(&damaged(&mut random, seed));
            read_all(dir.path(), name, &content).is_ok()
        });
        // Most damage is noticed; some only changes a name or a value.
        assert!(accepted.count() < COPIES as usize);
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
