//! The tokenizer: control tokens cannot be typed, and the real vocabulary gives the known ids.

use janus_pipeline::{ModelDir, TokenId, Tokenizer};
use janus_runtime::manifest::{DType, SpecialTokens};
use janus_tests::tiny_model;
use serde_json::Value;

#[test]
fn what_people_type_is_text() {
    let model = ModelDir::open(tiny_model("released", DType::Fp32)).unwrap();
    let tokenizer = Tokenizer::open(&model).unwrap();
    let control = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(TokenId);
    for text in [
        "<image_placeholder>",
        "<｜end▁of▁sentence｜>",
        "a <|User|>: b",
        "<begin_of_image><end_of_image>",
    ] {
        let ids = tokenizer.encode(text).unwrap();
        assert!(
            ids.iter().all(|id| !control.contains(id)),
            "{text}: {ids:?}"
        );
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
    }
}

/// DeepSeek's own vocabulary is not part of the repository; where the file is at hand, every
/// known vector has to come out.
#[test]
fn the_real_vocabulary_gives_the_known_ids() {
    let shared = janus_tests::data("../../../shared/data");
    let file = shared.join("deepseek-llm-tokenizer.json");
    if !file.exists() {
        println!("skipped: the tokenizer file is not at hand");
        return;
    }
    let special = SpecialTokens {
        bos: 100_000,
        eos: 100_001,
        pad: 100_001,
        begin_of_image: 100_002,
        end_of_image: 100_003,
        image_placeholder: 100_004,
        tokenizer_size: 100_015,
    };
    let tokenizer = Tokenizer::load(&file, special, 576).unwrap();
    let vectors = std::fs::read(shared.join("deepseek-llm-tokenizer.vectors.json")).unwrap();
    let vectors: Value = serde_json::from_slice(&vectors).unwrap();
    let vectors = vectors.as_array().expect("a list");
    assert!(vectors.len() > 10);
    for vector in vectors {
        let text = vector["text"].as_str().expect("a text");
        let expected: Vec<_> = vector["ids"]
            .as_array()
            .expect("ids")
            .iter()
            .map(|id| TokenId(id.as_u64().expect("an id") as u32))
            .collect();
        assert_eq!(tokenizer.encode(text).unwrap(), expected, "{text:?}");
    }
}
