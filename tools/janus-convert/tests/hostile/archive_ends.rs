//! The ends of zip archives (B15).

use std::fs;

use expect_test::{Expect, expect};

use super::pickler::{Tensor, dict, entries};
use super::zip::{archive, archive_with_comment};
use super::{PYTORCH, check};

#[test]
fn b15_end_records() {
    let good = entries(
        &dict(&[("a", &Tensor::default().pickle())]),
        &[("0", &[7; 24])],
    );
    check(
        PYTORCH,
        &archive_with_comment(&good, b"a comment"),
        &expect![[
            r#"Malformed: archive: it does not end with a zip directory: it is truncated, or something was appended to it"#
        ]],
    );
    check(
        PYTORCH,
        &archive_with_comment(&good, &[b'-'; 65535]),
        &expect![[
            r#"Malformed: archive: it does not end with a zip directory: it is truncated, or something was appended to it"#
        ]],
    );
    // A second archive behind the first, and an end record that points to the first directory.
    let file = archive(&good);
    check(
        PYTORCH,
        &[&file[..], &file].concat(),
        &expect![[
            r#"Malformed: archive: its directory of 110 bytes at 264 should end at byte 770"#
        ]],
    );
    check(
        PYTORCH,
        &[&file[..], &file[file.len() - 22..]].concat(),
        &expect![[
            r#"Malformed: archive: its directory of 110 bytes at 264 should end at byte 396"#
        ]],
    );
    check(
        PYTORCH,
        &file[..file.len() - 1],
        &expect![[
            r#"Malformed: archive: it does not end with a zip directory: it is truncated, or something was appended to it"#
        ]],
    );
    check(
        PYTORCH,
        &file[..file.len() / 2],
        &expect![[
            r#"Malformed: archive: it does not end with a zip directory: it is truncated, or something was appended to it"#
        ]],
    );
    let mut fewer = file.clone();
    let end = fewer.len() - 22;
    fewer[end + 8..end + 12].copy_from_slice(&[1, 0, 1, 0]);
    check(
        PYTORCH,
        &fewer,
        &expect![[r#"Malformed: archive: its directory is damaged at entry 1 of 1"#]],
    );
    let mut more = file.clone();
    more[end + 8..end + 12].copy_from_slice(&[3, 0, 3, 0]);
    check(
        PYTORCH,
        &more,
        &expect![[r#"Malformed: archive: its directory is damaged at entry 2 of 3"#]],
    );
    let mut parts = file;
    parts[end + 4] = 1;
    check(
        PYTORCH,
        &parts,
        &expect![[
            r#"Malformed: archive: it does not end with a zip directory: it is truncated, or something was appended to it"#
        ]],
    );
}

/// The released kind, with zip64 records, altered in one place.
#[test]
fn b15_zip64_records() {
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/janus-tiny/released-bin"
    );
    let file = fs::read(format!("{fixture}/{PYTORCH}")).unwrap();
    let end64 = file.len() - 22 - 20 - 56;
    let check_at = |at: usize, bytes: &[u8], expected: &Expect| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        check(PYTORCH, &file, expected);
    };
    check_at(end64, b"PK\x06\x06", &expect![[r#"accepted: 416 tensors"#]]);
    check_at(
        end64 + 4,
        &[45],
        &expect![[
            r#"Malformed: archive: its end records do not agree about what the zip64 record is"#
        ]],
    );
    check_at(
        end64 + 24,
        &[0xff; 16],
        &expect![[
            r#"Malformed: archive: its end records do not agree about the number of entries"#
        ]],
    );
    check_at(
        end64 + 40,
        &[0xff; 8],
        &expect![[
            r#"Malformed: archive: its end records do not agree about the size of the directory"#
        ]],
    );
    check_at(
        end64 + 48,
        &[0; 8],
        &expect![[
            r#"Malformed: archive: its end records do not agree about where the directory is"#
        ]],
    );
    check_at(
        end64 + 56 + 8,
        &[0; 8],
        &expect![[
            r#"Malformed: archive: its end records do not agree about where the zip64 record is"#
        ]],
    );
    check_at(
        end64 + 76 + 12,
        &[0xff; 8],
        &expect![[r#"accepted: 416 tensors"#]],
    );
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
    check(
        PYTORCH,
        &file,
        &expect![[
            r#"Refused: archive: its directory has 1099511627776 entries and 1048576 bytes; the limits are 200000 and 67108864"#
        ]],
    );
}
