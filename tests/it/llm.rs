//! The language model's cache and batches: what is cached equals what is computed anew, and
//! company changes nothing.

use janus_llm::{Embeddings, Error, KvCache, LanguageModel, Prefill};
use janus_runtime::manifest::DType;
use janus_runtime::{ImageToken, ModelDir, SessionOptions, TokenId};
use janus_tests::{assert_close, load_library, tiny_model};
use ndarray::{Array2, Axis, s};

/// Cached and uncached passes add up the same products in another order.
const TOLERANCE: f64 = 1e-5;

fn tiny() -> LanguageModel {
    load_library();
    let model = ModelDir::open(tiny_model("released", DType::Fp32)).unwrap();
    LanguageModel::open(&model, &SessionOptions::default()).unwrap()
}

fn ids(seed: u32, count: u32) -> Vec<TokenId> {
    (0..count)
        .map(|i| TokenId((seed * 37 + i * 11) % 300))
        .collect()
}

/// The last hidden state after a whole prompt in one pass.
fn whole(llm: &mut LanguageModel, embeds: &Embeddings) -> Array2<f32> {
    let mut cache = llm.new_cache(1, embeds.positions()).unwrap();
    llm.forward(embeds, &mut cache).unwrap().last()
}

#[test]
fn cached_decoding_equals_uncached() {
    let mut llm = tiny();
    let prompt = llm.embed_text(&ids(1, 24)).unwrap();
    for pieces in [
        vec![24],
        vec![1; 24],
        vec![23, 1],
        vec![5, 7, 12],
        vec![1, 22, 1],
    ] {
        let mut cache = llm.new_cache(1, 40).unwrap();
        let mut start = 0;
        let mut last = None;
        for piece in &pieces {
            let part = prompt.slice(start..start + piece);
            let hidden = llm.forward(&part, &mut cache).unwrap();
            // Every position of the piece, not only the last, equals the shorter prompt's end.
            let first = hidden.view().slice(s![.., 0, ..]).to_owned();
            let expected = whole(&mut llm, &prompt.slice(0..start + 1));
            assert_close(
                &format!("{pieces:?} at {start}"),
                first.view(),
                expected.view(),
                TOLERANCE,
            );
            start += piece;
            last = Some(hidden.last());
        }
        let expected = whole(&mut llm, &prompt);
        assert_close(
            &format!("{pieces:?}"),
            last.unwrap().view(),
            expected.view(),
            TOLERANCE,
        );
    }
}

#[test]
fn rows_of_different_length_advance_together() {
    let mut llm = tiny();
    let prompts: Vec<_> = [3, 9, 17]
        .map(|n| llm.embed_text(&ids(n, n)).unwrap())
        .into();
    let mut batch = llm.new_cache(3, 32).unwrap();
    for (row, prompt) in prompts.iter().enumerate() {
        let mut alone = llm.new_cache(1, prompt.positions()).unwrap();
        llm.forward(prompt, &mut alone).unwrap();
        batch.copy_row(row, &alone, 0).unwrap();
    }
    // One row goes on with text, the others with codes of a picture.
    for step in 0..4 {
        let code = llm
            .embed_image_tokens(&[ImageToken(step), ImageToken(90 + step)])
            .unwrap();
        let text = llm.embed_text(&[TokenId(20 + step)]).unwrap();
        let next = Embeddings::stack(&[text, code]);
        let hidden = llm.forward(&next, &mut batch).unwrap();
        assert_eq!(batch.lengths(), [3, 9, 17].map(|n| n + step as usize + 1));

        for (row, prompt) in prompts.iter().enumerate() {
            let mut alone = llm.new_cache(1, 32).unwrap();
            llm.forward(prompt, &mut alone).unwrap();
            let mut expected = None;
            for earlier in 0..=step {
                let token = match row {
                    0 => llm.embed_text(&[TokenId(20 + earlier)]),
                    1 => llm.embed_image_tokens(&[ImageToken(earlier)]),
                    _ => llm.embed_image_tokens(&[ImageToken(90 + earlier)]),
                };
                expected = Some(llm.forward(&token.unwrap(), &mut alone).unwrap().last());
            }
            let found = hidden.last().slice(s![row..row + 1, ..]).to_owned();
            assert_close("row", found.view(), expected.unwrap().view(), TOLERANCE);
        }
    }
}

#[test]
fn a_row_that_was_cut_back_forgets() {
    let mut llm = tiny();
    let prompt = llm.embed_text(&ids(2, 12)).unwrap();
    let other = llm.embed_text(&ids(5, 6)).unwrap();
    let mut cache = llm.new_cache(1, 32).unwrap();
    llm.forward(&prompt.slice(0..6), &mut cache).unwrap();
    llm.forward(&other, &mut cache).unwrap();
    cache.truncate(0, 6);
    let hidden = llm.forward(&prompt.slice(6..12), &mut cache).unwrap();
    assert_close(
        "cut back",
        hidden.last().view(),
        whole(&mut llm, &prompt).view(),
        TOLERANCE,
    );
}

#[test]
fn prompts_of_one_length_can_start_together() {
    let mut llm = tiny();
    let prompts: Vec<_> = [1, 2]
        .map(|seed| llm.embed_text(&ids(seed, 8)).unwrap())
        .into();
    let mut cache = llm.new_cache(2, 16).unwrap();
    let hidden = llm
        .forward(&Embeddings::stack(&prompts), &mut cache)
        .unwrap();
    for (row, prompt) in prompts.iter().enumerate() {
        let found = hidden.last().index_axis(Axis(0), row).to_owned();
        let expected = whole(&mut llm, prompt);
        assert_close("row", found.view(), expected.row(0), TOLERANCE);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut llm = tiny();
    let context = llm.config().context_length;
    assert!(matches!(llm.new_cache(0, 8), Err(Error::CacheSize { .. })));
    assert!(matches!(
        llm.new_cache(1, context + 1),
        Err(Error::CacheSize { .. })
    ));
    let mut cache = llm.new_cache(2, 8).unwrap();

    let one = llm.embed_text(&ids(1, 9)).unwrap();
    assert!(matches!(
        llm.forward(&one, &mut cache),
        Err(Error::Rows {
            found: 1,
            expected: 2
        })
    ));
    let two = Embeddings::stack(&[one.clone(), one.clone()]);
    let error = llm.forward(&two, &mut cache).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 0 would have 9 positions; the cache holds 8"
    );
    llm.forward(&two.slice(0..2), &mut cache).unwrap();
    let error = llm.forward(&two.slice(0..2), &mut cache).unwrap_err();
    assert!(
        matches!(
            error,
            Error::RaggedChunk {
                positions: 2,
                rows: 2
            }
        ),
        "{error}"
    );
    assert_eq!(cache.lengths(), [2, 2]);

    let error = llm.embed_text(&[TokenId(640)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "token id 640 is outside of the vocabulary of 640"
    );
    let error = llm.embed_image_tokens(&[ImageToken(128)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "image token 128 is outside of the vocabulary of 128"
    );
}

fn run(llm: &mut LanguageModel, prompt: &Embeddings) -> (Prefill, usize) {
    let mut prefill = llm.prefill(prompt.clone()).unwrap();
    let at_once = prefill.done();
    while !prefill.is_complete() {
        llm.advance(&mut prefill).unwrap();
    }
    (prefill, at_once)
}

/// The hidden state of one more position after a cache.
fn next(llm: &mut LanguageModel, cache: &KvCache) -> Array2<f32> {
    let mut longer = llm.new_cache(1, cache.lengths()[0] + 1).unwrap();
    longer.copy_row(0, cache, 0).unwrap();
    let embeds = llm.embed_text(&ids(7, 1)).unwrap();
    llm.forward(&embeds, &mut longer).unwrap().last()
}

#[test]
fn what_prompts_begin_with_is_remembered() {
    let mut llm = tiny();
    let first = llm.embed_text(&ids(1, 30)).unwrap();
    let mut other = ids(1, 30);
    other.truncate(20);
    other.extend(ids(2, 15));
    let other = llm.embed_text(&other).unwrap();

    assert_eq!(run(&mut llm, &first).1, 0, "nothing is known yet");
    let (known, at_once) = run(&mut llm, &other);
    assert_eq!(at_once, 20, "as much as both have in common");
    assert_eq!(run(&mut llm, &first).1, 30, "the first is still known");
    assert_eq!(run(&mut llm, &other.slice(0..35)).1, 35);

    let (cold, at_once) = run(&mut tiny(), &other);
    assert_eq!(at_once, 0);
    let warm = next(&mut llm, known.cache());
    let cold = next(&mut llm, cold.cache());
    assert_close(
        "after a remembered prefix",
        warm.view(),
        cold.view(),
        TOLERANCE,
    );
}

#[test]
fn long_prompts_go_piece_by_piece() {
    let mut llm = tiny();
    let length = llm.config().context_length as u32 - 8;
    let prompt = llm.embed_text(&ids(3, length)).unwrap();
    let mut prefill = llm.prefill(prompt.clone()).unwrap();
    let mut seen = Vec::new();
    while !prefill.is_complete() {
        llm.advance(&mut prefill).unwrap();
        seen.push(prefill.done());
    }
    assert_eq!(seen.len(), length.div_ceil(256) as usize, "{seen:?}");
    let pieces = next(&mut llm, prefill.cache());
    let mut whole = llm.new_cache(1, length as usize).unwrap();
    llm.forward(&prompt, &mut whole).unwrap();
    let whole = next(&mut llm, &whole);
    assert_close("pieces and whole", pieces.view(), whole.view(), TOLERANCE);
}

/// What a row comes to does not depend on the rows beside it, and is what the other form computes, in
/// another precision.
#[test]
fn steps_of_quantised_models_have_a_form_for_many_rows() {
    const ROWS: usize = 5;
    load_library();
    assert!(!tiny().has_wide_form());
    let model = ModelDir::open(tiny_model("released", DType::Q8)).unwrap();
    let mut llm = LanguageModel::open(&model, &SessionOptions::default()).unwrap();
    assert!(llm.has_wide_form());
    let prompt = llm.embed_text(&ids(4, 40)).unwrap();
    let (prefix, _) = run(&mut llm, &prompt);
    let step = llm.embed_text_rows(&ids(5, ROWS as u32)).unwrap();
    let caches = |llm: &LanguageModel, rows| {
        let mut cache = llm.new_cache(rows, 41).unwrap();
        (0..rows).for_each(|row| cache.copy_row(row, prefix.cache(), 0).unwrap());
        cache
    };
    let mut cache = caches(&llm, ROWS);
    let together = llm.forward_wide(&step, &mut cache).unwrap().last();
    assert_eq!(cache.lengths(), [41; ROWS]);
    let mut cache = caches(&llm, ROWS);
    let narrow = llm.forward(&step, &mut cache).unwrap().last();
    assert_ne!(together, narrow, "another form");
    assert_close("either form", together.view(), narrow.view(), 5e-2);
    for row in 0..ROWS {
        let mut cache = caches(&llm, 1);
        let alone = llm.forward_wide(&step.repeat_row(row, 1), &mut cache);
        assert_eq!(
            alone.unwrap().last().row(0),
            together.row(row),
            "row {row} alone"
        );
    }
}

/// The graph for many positions computes what the other one does, in another precision.
#[test]
fn prompts_of_quantised_models_have_a_graph_of_their_own() {
    load_library();
    let expected = {
        let mut llm = tiny();
        let prompt = llm.embed_text(&ids(4, 40)).unwrap();
        let (known, _) = run(&mut llm, &prompt);
        next(&mut llm, known.cache())
    };
    let model = ModelDir::open(tiny_model("released", DType::Q8)).unwrap();
    for threshold in [usize::MAX, 2] {
        let mut llm = LanguageModel::open(&model, &SessionOptions::default()).unwrap();
        llm.set_prefill_threshold(threshold);
        let prompt = llm.embed_text(&ids(4, 40)).unwrap();
        let (known, _) = run(&mut llm, &prompt);
        let found = next(&mut llm, known.cache());
        let what = format!("from {threshold} positions");
        assert_close(&what, found.view(), expected.view(), 5e-2);
    }
}
