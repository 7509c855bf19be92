//! Zip archives (B14 to B18).

use expect_test::{Expect, expect};
use janus_convert::checkpoint::Checkpoint;

use super::pickler::{Tensor, dict, entries};
use super::zip::{Entry, archive, patch};
use super::{PYTORCH, check, check_sparse, message, sparse};

const STORED: [u8; 24] = [7; 24];

/// The entries of a file that is read: a dictionary with one tensor.
fn good() -> Vec<Entry> {
    entries(
        &dict(&[("a", &Tensor::default().pickle())]),
        &[("0", &STORED)],
    )
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
    check_altered(|_| {}, &expect![[r#"accepted: 1 tensors"#]]);
}

#[test]
fn b14_names_and_kinds_of_entries() {
    let named = |name: &[u8]| Entry::new(name, []);
    check_with(
        named(b"../../x"),
        &expect![[r#"Refused: archive: entry `../../x` is not named by a plain relative path"#]],
    );
    check_with(
        named(b"/etc/x"),
        &expect![[r#"Refused: archive: entry `/etc/x` is not named by a plain relative path"#]],
    );
    check_with(
        named(b"C:/x"),
        &expect![[r#"Refused: archive: entry `C:/x` is not named by a plain relative path"#]],
    );
    check_with(
        named(b"m\\x"),
        &expect![[r#"Refused: archive: entry `m\\x` is not named by a plain relative path"#]],
    );
    check_with(
        named(b"m/"),
        &expect![[r#"Refused: archive: entry `m/` is not named by a plain relative path"#]],
    );
    check_with(
        named(b""),
        &expect![[r#"Refused: archive: entry `` is not named by a plain relative path"#]],
    );
    check_with(
        named(b"m/\xff"),
        &expect![[r#"Refused: archive: entry `m/�` is not named by a plain relative path"#]],
    );
    check_with(
        named(b"m/\x1b[31m"),
        &expect![[
            r#"Refused: archive: entry `m/\u{1b}[31m` is not named by a plain relative path"#
        ]],
    );
    check_with(
        named(b"m/data/0"),
        &expect![[r#"Malformed: archive: entry `m/data/0` is there twice"#]],
    );
    let link = Entry {
        made_by: 3 << 8,
        attributes: 0o12_0777 << 16,
        ..named(b"m/x")
    };
    check_with(
        link,
        &expect![[r#"Refused: archive: entry `m/x` is not a regular file"#]],
    );
    let file = Entry {
        made_by: 3 << 8,
        attributes: 0o10_0644 << 16,
        ..named(b"m/x")
    };
    check_with(file, &expect![[r#"accepted: 1 tensors"#]]);
}

#[test]
fn b15_local_headers_that_say_something_else() {
    check_altered(
        |e| e.local_name = Some(b"m/data/1".to_vec()),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about the name"#
        ]],
    );
    check_altered(
        |e| e.local_name = Some(b"m/data/0x".to_vec()),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about the name"#
        ]],
    );
    check_altered(
        |e| e.local_size = Some(23),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about the size"#
        ]],
    );
    check_altered(
        |e| e.local_method = Some(8),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about the compression method"#
        ]],
    );
    check_altered(
        |e| e.local_crc32 = Some(1),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about the checksum"#
        ]],
    );
    check_altered(
        |e| e.size = Some(25),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about the size"#
        ]],
    );
    check_altered(
        |e| e.size = Some(u32::MAX - 1),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about the size"#
        ]],
    );
    check_altered(
        |e| e.size = Some(u32::MAX),
        &expect![[r#"Malformed: archive: its directory is damaged at entry 1 of 2"#]],
    );
    check_altered(
        |e| e.offset = Some(1),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about its length"#
        ]],
    );
    check_altered(
        |e| e.offset = Some(1 << 30),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its local header and the directory do not agree about its length"#
        ]],
    );
}

#[test]
fn b15_entries_that_share_bytes() {
    // One entry within another: the inner one is an archive's entry of its own.
    let inner = archive(&[Entry::new("m/data/1", STORED)]);
    let mut entries = good();
    entries[1].data = inner;
    let outer = 30 + entries[0].name.len() + entries[0].data.len() + 30 + entries[1].name.len();
    entries.push(Entry {
        offset: Some(outer as u32),
        ..Entry::new("m/data/1", STORED)
    });
    check(
        PYTORCH,
        &archive(&entries),
        &expect![[
            r#"Malformed: archive: entry `m/data/0` reaches to byte 378, into what begins at 240"#
        ]],
    );
    // Two names for the same bytes: the second header is the first one's.
    let mut entries = good();
    let other_name = b"m/x".to_vec();
    entries.insert(
        1,
        Entry {
            offset: Some(0),
            name: other_name,
            ..entries[0].clone()
        },
    );
    check(
        PYTORCH,
        &archive(&entries),
        &expect![[
            r#"Malformed: archive: entry `m/x`: its local header and the directory do not agree about the name"#
        ]],
    );
}

#[test]
fn b16_compressed_encrypted_damaged() {
    check_altered(
        |e| e.method = 8,
        &expect![[
            r#"Refused: archive: entry `m/data/0` is compressed by method 8; `torch.save` stores entries as they are"#
        ]],
    );
    check_altered(
        |e| e.flags = 1,
        &expect![[r#"Malformed: archive: entry `m/data/0` is encrypted"#]],
    );
    check_altered(
        |e| e.flags = 1 << 6,
        &expect![[r#"Malformed: archive: entry `m/data/0` is encrypted"#]],
    );
    let mut entries = good();
    (entries[0].crc32, entries[0].local_crc32) = (Some(1), Some(1));
    check(
        PYTORCH,
        &archive(&entries),
        &expect![[
            r#"Verification: `pytorch_model.bin` is damaged: entry `m/data.pkl` has CRC-32 8170e3a5; it should be 00000001"#
        ]],
    );
}

/// The checksums of storages are compared when the whole file is read for its SHA-256.
#[test]
fn b16_a_storage_that_is_damaged() {
    let mut file = archive(&good());
    patch(&mut file, &STORED, &[&[8][..], &STORED[1..]].concat());
    let dir = sparse(PYTORCH, &file, file.len() as u64);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let error = checkpoint.sha256_files(|_, _| {}).unwrap_err();
    expect![[r#"Verification: `pytorch_model.bin` is damaged: entry `m/data/0` has CRC-32 ed2faaf3; it should be 0e3aa13a"#]].assert_eq(&format!("{:?}: {}", error.fault(), message(&error)));
}

#[test]
fn b17_data_descriptors_and_byte_orders() {
    let described = |alter: fn(&mut Vec<u8>)| {
        let mut entries = good();
        entries[1] = entries[1].clone().with_descriptor();
        entries[1].descriptor.iter_mut().for_each(alter);
        archive(&entries)
    };
    check(
        PYTORCH,
        &described(|_| {}),
        &expect![[r#"accepted: 1 tensors"#]],
    );
    check(
        PYTORCH,
        &described(|d| d[4] ^= 1),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its data descriptor and the directory do not agree about checksum or size"#
        ]],
    );
    check(
        PYTORCH,
        &described(|d| d[8] ^= 1),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its data descriptor and the directory do not agree about checksum or size"#
        ]],
    );
    check(
        PYTORCH,
        &described(Vec::clear),
        &expect![[
            r#"Malformed: archive: entry `m/data/0`: its data descriptor and the directory do not agree about checksum or size"#
        ]],
    );
    check_with(
        Entry::new("m/byteorder", "little"),
        &expect![[r#"accepted: 1 tensors"#]],
    );
    check_with(
        Entry::new("m/byteorder", "big"),
        &expect![[r#"Malformed: dictionary: its byte order is `big`; only `little` is read"#]],
    );
    check_with(
        Entry::new("m/byteorder", vec![b'x'; 1 << 20]),
        &expect![[
            r#"Malformed: dictionary: its byte order is `xxxxxxxxxxxxxxxx`; only `little` is read"#
        ]],
    );
}

#[test]
fn b18_archives_of_another_kind() {
    check_with(
        Entry::new("m/constants.pkl", ""),
        &expect![[
            r#"Malformed: dictionary: it is a TorchScript archive; save the module's `state_dict()` instead"#
        ]],
    );
    check_with(
        Entry::new("m/code/__torch__.py", ""),
        &expect![[
            r#"Malformed: dictionary: it is a TorchScript archive; save the module's `state_dict()` instead"#
        ]],
    );
    check_with(
        Entry::new("n/data.pkl", ""),
        &expect![[
            r#"Malformed: dictionary: it is several archives in one: there is no entry `data.pkl` in one directory at the top"#
        ]],
    );
    check(
        PYTORCH,
        &archive(&[Entry::new("weight.npy", "")]),
        &expect![[
            r#"Malformed: dictionary: it is a NumPy archive: there is no entry `data.pkl` in one directory at the top"#
        ]],
    );
    check(
        PYTORCH,
        &archive(&[Entry::new("a/b/data.pkl", "")]),
        &expect![[
            r#"Malformed: dictionary: it is some other zip archive: there is no entry `data.pkl` in one directory at the top"#
        ]],
    );
    check(
        PYTORCH,
        &archive(&[Entry::new("data.pkl", "")]),
        &expect![[
            r#"Malformed: dictionary: it is some other zip archive: there is no entry `data.pkl` in one directory at the top"#
        ]],
    );
    check(
        PYTORCH,
        &archive(&[]),
        &expect![[
            r#"Malformed: dictionary: it is some other zip archive: there is no entry `data.pkl` in one directory at the top"#
        ]],
    );
}

#[test]
fn a_pickle_above_the_limit() {
    let large = Entry::new("m/data.pkl", vec![0; (64 << 20) + 1]);
    check(
        PYTORCH,
        &archive(&[large]),
        &expect![[r#"Refused: dictionary: its pickle has 67108865 bytes; the limit is 67108864"#]],
    );
    check_sparse(
        PYTORCH,
        b"PK\x03\x04",
        1 << 30,
        &expect![[
            r#"Malformed: archive: it does not end with a zip directory: it is truncated, or something was appended to it"#
        ]],
    );
}
