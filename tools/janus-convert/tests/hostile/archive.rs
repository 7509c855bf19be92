//! Zip archives (B14 to B18).

use std::fs;

use expect_test::{Expect, expect};
use janus_convert::checkpoint::Checkpoint;

use super::pickler::{Tensor, dict, entries};
use super::zip::{Entry, archive, archive_with_comment, patch};
use super::{PYTORCH, check, check_sparse, message, sparse};

const STORED: [u8; 24] = [7; 24];

/// The entries of a file that is read: a dictionary with one tensor.
fn good() -> Vec<Entry> {
    entries(&dict(&[("a", &Tensor::default().pickle())]), &[("0", &STORED)])
}

/// Opens a file of which the storage's entry is altered.
#[track_caller]
fn check_altered(alter: impl FnOnce(&mut Entry), expected: &Expect) {
    let mut entries = good();
    alter(&mut entries[1]);
    check(PYTORCH, &archive(&entries), expected);
}

/// Opens a file with one entry more.
#[track_caller]
fn check_with(more: Entry, expected: &Expect) {
    let mut entries = good();
    entries.push(more);
    check(PYTORCH, &archive(&entries), expected);
}

#[test]
fn an_archive_that_is_read() {
    check_altered(|_| {}, &expect![[""]]);
}

#[test]
fn b14_names_and_kinds_of_entries() {
    let named = |name: &[u8]| Entry::new(name, []);
    check_with(named(b"../../x"), &expect![[""]]);
    check_with(named(b"/etc/x"), &expect![[""]]);
    check_with(named(b"C:/x"), &expect![[""]]);
    check_with(named(b"m\\x"), &expect![[""]]);
    check_with(named(b"m/"), &expect![[""]]);
    check_with(named(b""), &expect![[""]]);
    check_with(named(b"m/\xff"), &expect![[""]]);
    check_with(named(b"m/\x1b[31m"), &expect![[""]]);
    check_with(named(b"m/data/0"), &expect![[""]]);
    let link = Entry { made_by: 3 << 8, attributes: 0o12_0777 << 16, ..named(b"m/x") };
    check_with(link, &expect![[""]]);
    let file = Entry { made_by: 3 << 8, attributes: 0o10_0644 << 16, ..named(b"m/x") };
    check_with(file, &expect![[""]]);
}

#[test]
fn b15_local_headers_that_say_something_else() {
    check_altered(|e| e.local_name = Some(b"m/data/1".to_vec()), &expect![[""]]);
    check_altered(|e| e.local_name = Some(b"m/data/0x".to_vec()), &expect![[""]]);
    check_altered(|e| e.local_size = Some(23), &expect![[""]]);
    check_altered(|e| e.local_method = Some(8), &expect![[""]]);
    check_altered(|e| e.local_crc32 = Some(1), &expect![[""]]);
    check_altered(|e| e.size = Some(25), &expect![[""]]);
    check_altered(|e| e.size = Some(u32::MAX - 1), &expect![[""]]);
    check_altered(|e| e.size = Some(u32::MAX), &expect![[""]]);
    check_altered(|e| e.offset = Some(1), &expect![[""]]);
    check_altered(|e| e.offset = Some(1 << 30), &expect![[""]]);
}

#[test]
fn b15_entries_that_share_bytes() {
    // One entry within another: the inner one is an archive's entry of its own.
    let inner = archive(&[Entry::new("m/data/1", STORED)]);
    let mut entries = good();
    entries[1].data = inner;
    let outer = 30 + entries[0].name.len() + entries[0].data.len() + 30 + entries[1].name.len();
    entries.push(Entry { offset: Some(outer as u32), ..Entry::new("m/data/1", STORED) });
    check(PYTORCH, &archive(&entries), &expect![[""]]);
    // Two names for the same bytes: the second header is the first one's.
    let mut entries = good();
    entries.insert(1, Entry { offset: Some(0), ..entries[0].clone() });
    check(PYTORCH, &archive(&entries), &expect![[""]]);
}

#[test]
fn b15_end_records() {
    let good = good();
    check(PYTORCH, &archive_with_comment(&good, b"a comment"), &expect![[""]]);
    check(PYTORCH, &archive_with_comment(&good, &[b'-'; 65535]), &expect![[""]]);
    // A second archive behind the first, and an end record that points to the first directory.
    let file = archive(&good);
    check(PYTORCH, &[&file[..], &file].concat(), &expect![[""]]);
    check(PYTORCH, &[&file[..], &file[file.len() - 22..]].concat(), &expect![[""]]);
    check(PYTORCH, &file[..file.len() - 1], &expect![[""]]);
    check(PYTORCH, &file[..file.len() / 2], &expect![[""]]);
    let mut fewer = file.clone();
    let end = fewer.len() - 22;
    fewer[end + 8..end + 12].copy_from_slice(&[1, 0, 1, 0]);
    check(PYTORCH, &fewer, &expect![[""]]);
    let mut more = file.clone();
    more[end + 8..end + 12].copy_from_slice(&[3, 0, 3, 0]);
    check(PYTORCH, &more, &expect![[""]]);
    let mut parts = file;
    parts[end + 4] = 1;
    check(PYTORCH, &parts, &expect![[""]]);
}

/// The released kind, with zip64 records, altered in one place.
#[test]
fn b15_zip64_records() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/janus-tiny/released-bin");
    let file = fs::read(format!("{fixture}/{PYTORCH}")).unwrap();
    let end64 = file.len() - 22 - 20 - 56;
    let check_at = |at: usize, bytes: &[u8], expected: &Expect| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        check(PYTORCH, &file, expected);
    };
    check_at(end64, b"PK\x06\x06", &expect![[""]]);
    check_at(end64 + 4, &[45], &expect![[""]]);
    check_at(end64 + 24, &[0xff; 16], &expect![[""]]);
    check_at(end64 + 40, &[0xff; 8], &expect![[""]]);
    check_at(end64 + 48, &[0; 8], &expect![[""]]);
    check_at(end64 + 56 + 8, &[0; 8], &expect![[""]]);
    check_at(end64 + 76 + 12, &[0xff; 8], &expect![[""]]);
}

#[test]
fn b15_more_entries_than_any_model_has() {
    let mut end = b"PK\x06\x06".to_vec();
    end.extend_from_slice(&[&44u64.to_le_bytes()[..], &[0; 12]].concat());
    for number in [1u64 << 40, 1 << 40, 1 << 20, 4] {
        end.extend_from_slice(&number.to_le_bytes());
    }
    let place = (4u64 + (1 << 20)).to_le_bytes();
    end.extend_from_slice(&[b"PK\x06\x07\0\0\0\0", &place[..], &[1, 0, 0, 0]].concat());
    end.extend_from_slice(&[&b"PK\x05\x06\0\0\0\0"[..], &[0xff; 12], &[0; 2]].concat());
    let file = [&b"PK\x03\x04"[..], &vec![0; 1 << 20], &end].concat();
    check(PYTORCH, &file, &expect![[""]]);
}

#[test]
fn b16_compressed_encrypted_damaged() {
    check_altered(|e| e.method = 8, &expect![[""]]);
    check_altered(|e| e.flags = 1, &expect![[""]]);
    check_altered(|e| e.flags = 1 << 6, &expect![[""]]);
    let mut entries = good();
    (entries[0].crc32, entries[0].local_crc32) = (Some(1), Some(1));
    check(PYTORCH, &archive(&entries), &expect![[""]]);
}

/// The checksums of storages are compared when the whole file is read for its SHA-256.
#[test]
fn b16_a_storage_that_is_damaged() {
    let mut file = archive(&good());
    patch(&mut file, &STORED, &[&[8][..], &STORED[1..]].concat());
    let dir = sparse(PYTORCH, &file, file.len() as u64);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let error = checkpoint.sha256_files(|_, _| {}).unwrap_err();
    expect![[""]].assert_eq(&format!("{:?}: {}", error.fault(), message(&error)));
}

#[test]
fn b17_data_descriptors_and_byte_orders() {
    let described = |alter: fn(&mut Vec<u8>)| {
        let mut entries = good();
        entries[1] = entries[1].clone().with_descriptor();
        entries[1].descriptor.iter_mut().for_each(alter);
        archive(&entries)
    };
    check(PYTORCH, &described(|_| {}), &expect![[""]]);
    check(PYTORCH, &described(|d| d[4] ^= 1), &expect![[""]]);
    check(PYTORCH, &described(|d| d[8] ^= 1), &expect![[""]]);
    check(PYTORCH, &described(Vec::clear), &expect![[""]]);
    check_with(Entry::new("m/byteorder", "little"), &expect![[""]]);
    check_with(Entry::new("m/byteorder", "big"), &expect![[""]]);
    check_with(Entry::new("m/byteorder", vec![b'x'; 1 << 20]), &expect![[""]]);
}

#[test]
fn b18_archives_of_another_kind() {
    check_with(Entry::new("m/constants.pkl", ""), &expect![[""]]);
    check_with(Entry::new("m/code/__torch__.py", ""), &expect![[""]]);
    check_with(Entry::new("n/data.pkl", ""), &expect![[""]]);
    check(PYTORCH, &archive(&[Entry::new("weight.npy", "")]), &expect![[""]]);
    check(PYTORCH, &archive(&[Entry::new("a/b/data.pkl", "")]), &expect![[""]]);
    check(PYTORCH, &archive(&[Entry::new("data.pkl", "")]), &expect![[""]]);
    check(PYTORCH, &archive(&[]), &expect![[""]]);
}

#[test]
fn a_pickle_above_the_limit() {
    let large = Entry::new("m/data.pkl", vec![0; (64 << 20) + 1]);
    check(PYTORCH, &archive(&[large]), &expect![[""]]);
    check_sparse(PYTORCH, b"PK\x03\x04", 1 << 40, &expect![[""]]);
}
