//! A small byte-level BPE of our own, with the family's special tokens in their places.
//!
//! It knows every byte and a few words, so any text can be encoded. Between its last word and the special tokens the
//! vocabulary has no entries, as in the released tokenizers it has none after the last.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::shape::TokenIds;

pub(super) const BOS: &str = "<｜begin▁of▁sentence｜>";
pub(super) const EOS: &str = "<｜end▁of▁sentence｜>";
pub(super) const PAD: &str = "<｜▁pad▁｜>";

/// The other special tokens.
pub(super) const ADDED: [&str; 5] = [
    "<begin_of_image>",
    "<end_of_image>",
    "<image_placeholder>",
    "<|User|>",
    "<|Assistant|>",
];

/// What is one token; a space in front is part of it.
const WORDS: [&str; 24] = [
    " a",
    " the",
    " of",
    " and",
    " is",
    " in",
    " on",
    " to",
    " with",
    " red",
    " blue",
    " green",
    " cat",
    " dog",
    " fox",
    " snow",
    " picture",
    " image",
    " circle",
    " square",
    " large",
    " small",
    "User",
    "Assistant",
];

/// `tokenizer.json`
pub(super) fn tokenizer(ids: &TokenIds) -> Value {
    let special = special_tokens(ids);
    let (mut vocabulary, merges) = byte_level_bpe();
    // The model knows the special tokens too: only so do they keep ids that do not follow on the last.
    vocabulary.extend(
        special
            .iter()
            .map(|(id, content)| ((*content).to_owned(), *id)),
    );
    let added = special.iter().map(|(id, content)| {
        json!({
            "id": id,
            "content": content,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true,
        })
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                { "type": "Digits", "individual_digits": true },
                byte_level(false),
            ],
        },
        "post_processor": null,
        "decoder": byte_level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    })
}

fn special_tokens(ids: &TokenIds) -> BTreeMap<u32, &'static str> {
    let added = [
        ids.begin_of_image,
        ids.end_of_image,
        ids.image_placeholder,
        ids.user,
        ids.assistant,
    ];
    let named = [(ids.bos, BOS), (ids.eos, EOS), (ids.pad, PAD)];
    named
        .into_iter()
        .chain(added.into_iter().zip(ADDED))
        .collect()
}

fn byte_level(add_prefix_space: bool) -> Value {
    json!({
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": true,
        "use_regex": true,
    })
}

/// The bytes, then what the words are merged from, piece by piece.
fn byte_level_bpe() -> (BTreeMap<String, u32>, Vec<[String; 2]>) {
    let letters = letters_of_bytes();
    let mut vocabulary = BTreeMap::new();
    for (id, letter) in letters_in_order(&letters).into_iter().enumerate() {
        vocabulary.insert(letter.to_string(), id as u32);
    }
    let mut merges = Vec::new();
    for word in WORDS {
        let mut spelled = word
            .bytes()
            .map(|byte| letters[usize::from(byte)].to_string());
        let mut piece = spelled.next().unwrap_or_default();
        for letter in spelled {
            let merged = format!("{piece}{letter}");
            if !vocabulary.contains_key(&merged) {
                vocabulary.insert(merged.clone(), vocabulary.len() as u32);
                merges.push([piece, letter]);
            }
            piece = merged;
        }
    }
    (vocabulary, merges)
}

/// The letter that stands for each byte in a byte-level vocabulary: itself if it is printable Latin-1, otherwise the next
/// of those from U+0100 on.
fn letters_of_bytes() -> [char; 256] {
    let mut spare = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 {
        byte if is_its_own_letter(byte) => char::from(byte),
        _ => spare.next().unwrap_or_default(),
    })
}

/// Bytes that are their own letters come first.
fn letters_in_order(letters: &[char; 256]) -> Vec<char> {
    let (own, others): (Vec<u8>, Vec<u8>) = (0..=255).partition(|byte| is_its_own_letter(*byte));
    own.into_iter()
        .chain(others)
        .map(|byte| letters[usize::from(byte)])
        .collect()
}

fn is_its_own_letter(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}
