//! The transformer of another exporter: a prompt, steps with the cache that it gave, rows of different
//! lengths.

use std::collections::BTreeMap;

use janus_llm::Embeddings;
use janus_runtime::Output;
use janus_runtime::manifest::Dim;
use ndarray::{Array, Array3, Axis, s};

use super::layout::What;
use super::reference::{Reference, joined, one_row, row};
use super::session::{Pass, ranked};
use crate::error::Result;

/// Positions that two rows have, and how many of the second row's are padding.
const PADDED: (usize, usize) = (8, 3);

impl Pass<'_> {
    /// A prompt, steps after it, and rows of different lengths.
    pub(super) fn decoder(&mut self, reference: &mut Reference<'_>) -> Result<()> {
        let by_ids = self.file.inputs.contains_key(&What::Ids);
        let [word, other] = reference.step_ids();
        let mut pieces = match by_ids {
            true => vec![reference.prompt_without_picture()?],
            false => vec![reference.prompt_with_picture()?],
        };
        pieces.push(reference.embed_text(&[word])?);
        pieces.push(match by_ids {
            true => reference.embed_text(&[other])?,
            false => reference.embed_code()?,
        });
        let given: Vec<_> = match by_ids {
            true => [reference.ids(), row(&[word]), row(&[other])]
                .map(Output::I64)
                .into(),
            false => pieces.iter().map(floats).collect(),
        };
        let expected = reference.hidden(&pieces)?;

        let mut past = self.empty(1);
        let (mut found, mut all) = (Vec::new(), 0);
        for (given, piece) in given.into_iter().zip(&pieces) {
            let new = piece.positions();
            let done = all;
            all += new;
            let mut outputs = self.feed(
                &[
                    (if by_ids { What::Ids } else { What::Embeds }, given),
                    (What::Mask, Output::I64(Array::ones(vec![1, all]))),
                    (
                        What::Positions,
                        Output::I64(one_row(done as i64..all as i64)),
                    ),
                    (
                        What::Kept,
                        Output::I64(Array::from_elem(vec![1], new as i64)),
                    ),
                ],
                &past,
            )?;
            let present = self.file.outputs.get(&What::Present).into_iter().flatten();
            past = present.filter_map(|name| outputs.remove(name)).collect();
            found.push(outputs);
        }
        self.decoded(&found[..1], &expected[..1], " of the prompt", reference)?;
        self.decoded(
            &found[1..],
            &expected[1..],
            " of the steps after it",
            reference,
        )?;
        match self.takes_padding() {
            true => self.padded(reference),
            false => Ok(()),
        }
    }

    /// Compares the hidden states and the scores of some pieces, whichever there are.
    fn decoded(
        &mut self,
        found: &[BTreeMap<String, Output>],
        expected: &[Array3<f32>],
        label: &str,
        reference: &mut Reference<'_>,
    ) -> Result<()> {
        for what in [What::Hidden, What::Logits] {
            let Some(name) = self.output(what) else {
                continue;
            };
            let expected: Vec<_> = match what {
                What::Hidden => expected.to_vec(),
                _ => {
                    let scores = expected.iter().map(|hidden| reference.text_logits(hidden));
                    scores.map(|it| Ok(ranked(it?))).collect::<Result<_>>()?
                }
            };
            let found = found
                .iter()
                .zip(&expected)
                .map(|(outputs, expected)| self.taken(outputs.get(name), name, expected.shape()));
            let found = found.collect::<Result<Vec<_>>>()?;
            // Scores of the last position alone, where an exporter left the others out.
            let last = |all: &Array3<f32>, found: &Array3<f32>| {
                let from = all.len_of(Axis(1)) - found.len_of(Axis(1));
                all.slice(s![.., from.., ..]).to_owned()
            };
            let expected: Vec<_> = expected
                .iter()
                .zip(&found)
                .map(|(a, b)| last(a, b))
                .collect();
            self.tell(name, label, &joined(&found), &joined(&expected));
        }
        Ok(())
    }

    /// Two rows, the second one beginning with positions that the mask leaves out.
    fn padded(&mut self, reference: &mut Reference<'_>) -> Result<()> {
        let (length, padding) = PADDED;
        let whole = reference.prompt_without_picture()?.slice(0..length);
        let expected = [
            reference.hidden(std::slice::from_ref(&whole))?.remove(0),
            reference.hidden(&[whole.slice(padding..length)])?.remove(0),
        ];
        let Some(name) = self.output(What::Hidden) else {
            return Ok(());
        };
        let place = |row: usize, at: usize| at as i64 - (row * padding) as i64;
        let mask = Array::from_shape_fn((2, length), |(row, at)| i64::from(place(row, at) >= 0));
        // Where the mask leaves a position out, its number is 1, as transformers.js has it.
        let ids = Array::from_shape_fn((2, length), |(row, at)| match place(row, at) {
            ..0 => 1,
            number => number,
        });
        let given = [
            (What::Embeds, floats(&whole.repeat_row(0, 2))),
            (What::Mask, Output::I64(mask.into_dyn())),
            (What::Positions, Output::I64(ids.into_dyn())),
            (
                What::Kept,
                Output::I64(Array::from_elem(vec![1], length as i64)),
            ),
        ];
        let past = self.empty(2);
        let outputs = self.feed(&given, &past)?;
        let width = expected[0].len_of(Axis(2));
        let found = self.taken(outputs.get(name), name, &[2, length, width])?;
        let found = [
            found.slice(s![..1, .., ..]).to_owned(),
            found.slice(s![1.., padding.., ..]).to_owned(),
        ];
        self.tell(name, " of padded rows", &joined(&found), &joined(&expected));
        Ok(())
    }

    /// Whether rows may begin with padding: not in graphs whose attention knows the lengths of rows alone.
    fn takes_padding(&self) -> bool {
        let batch = self.spec(What::Embeds).and_then(|spec| spec.shape.first());
        self.file.form.masks && matches!(batch, Some(Dim::Named(_)))
    }
}

pub(super) fn floats(embeds: &Embeddings) -> Output {
    Output::F32(embeds.view().to_owned().into_dyn())
}
