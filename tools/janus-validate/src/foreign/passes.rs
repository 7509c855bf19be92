//! The graphs of another exporter, run on what an export is run on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use janus_llm::Embeddings;
use janus_runtime::manifest::{Dim, ElementType, TensorSpec};
use janus_runtime::{Graph, ModelDir, Output, SessionOptions};
use ndarray::{Array, Array3, ArrayD, Axis, s};

use super::layout::{Part, What};
use super::reference::{Reference, joined, row};
use super::{ForeignDir, ForeignGraph};
use crate::compare::compare_rows;
use crate::default_tolerance;
use crate::error::{Error, Result};
use crate::probe::{Inputs, borrowed};
use crate::report::{NotChecked, Reason, Report, Row};

/// Positions of the rows that are compared with one another's padding, and how many of the second row's
/// are padding.
const PADDED: (usize, usize) = (8, 3);

/// Runs graphs that another exporter wrote on the same inputs as an export of the same weights and
/// compares what they give.
///
/// The inputs are a prompt with a picture and steps after it; each graph is given what the export's
/// graphs hand on. The transformer runs a prompt without a cache, then steps of one position with the
/// keys and values that it gave. Told is, of hidden states, embeddings and scores, the largest relative
/// error of any position. The tolerance is that of [`default_tolerance`], of the graph's precision or of
/// the export's if that is larger, unless one is given. `options` are for the graphs and for the export.
/// `progress` is told each graph, and may stop it.
///
/// # Errors
///
/// [`Error::ForeignGraph`] where a graph cannot be opened or does not take the inputs,
/// [`Error::OtherOutput`] where it gives another shape, [`Error::Cancelled`]. Numbers that differ are not
/// an error: see [`Report::passed`].
pub fn compare_foreign(
    foreign: &ForeignDir,
    reference: &ModelDir,
    options: [&SessionOptions; 2],
    tolerance: Option<f64>,
    progress: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Report> {
    let least = default_tolerance(reference.manifest().converter.dtype);
    let language = &reference.manifest().language;
    let heads = [language.num_kv_heads, language.head_dim];
    let mut expected = Reference::new(reference, options[1])?;
    let mut rows = Vec::new();
    for file in &foreign.graphs {
        if progress(&file.name).is_break() {
            return Err(Error::Cancelled);
        }
        let mut pass = Pass {
            file,
            graph: Graph::of_file(&file.path, file.form.part.role(), options[0])
                .map_err(|source| file.failed(source))?,
            tolerance: tolerance.unwrap_or_else(|| default_tolerance(file.dtype).max(least)),
            heads,
            rows: Vec::new(),
        };
        pass.run(&mut expected)?;
        rows.extend(pass.rows);
    }
    let skipped = |name: &str, reason| NotChecked {
        name: name.to_owned(),
        reason,
    };
    let missing = foreign
        .missing()
        .into_iter()
        .map(|stem| skipped(stem, Reason::NotThere));
    let others = foreign
        .others
        .iter()
        .map(|name| skipped(name, Reason::OtherGraph));
    Ok(Report {
        rows,
        not_checked: missing.chain(others).collect(),
    })
}

/// A graph at work.
struct Pass<'a> {
    file: &'a ForeignGraph,
    graph: Graph,
    /// Heads of keys and values, and their width.
    heads: [usize; 2],
    tolerance: f64,
    rows: Vec<Row>,
}

impl Pass<'_> {
    fn run(&mut self, reference: &mut Reference<'_>) -> Result<()> {
        match self.file.form.part {
            Part::Prompt => self.prompt(reference),
            Part::Decoder => self.decoder(reference),
            Part::TextHead | Part::ImageHead => self.head(reference),
            Part::ImageEmbed => {
                let given = [(What::Codes, Output::I64(reference.codes()))];
                let expected = reference.code_embeds()?;
                self.once(&given, What::Embeds, "", &expected)
            }
            Part::ImageDecoder => {
                let given = [(What::Codes, Output::I64(reference.codes()))];
                self.once(&given, What::Pixels, "", &reference.pixels()?)
            }
        }
    }

    /// The prompt with its picture in place, and the same with a picture that is not used.
    fn prompt(&mut self, reference: &mut Reference<'_>) -> Result<()> {
        let places = reference.picture_positions();
        let used = places.iter().filter(|it| **it != 0).count();
        for (with_picture, label) in [(true, ""), (false, " without its picture")] {
            let expected = match with_picture {
                true => reference.prompt_with_picture()?,
                false => reference.prompt_without_picture()?,
            };
            let factor = i64::from(with_picture);
            let given = [
                (What::Ids, Output::I64(reference.ids())),
                (What::PixelValues, Output::F32(reference.pixel_values())),
                (What::PicturePositions, Output::I64(&places * factor)),
                (
                    What::PictureRows,
                    Output::I64(Array::from_elem(vec![1, 1, used], factor)),
                ),
            ];
            self.once(
                &given,
                What::Embeds,
                label,
                &expected.view().to_owned().into_dyn(),
            )?;
        }
        Ok(())
    }

    /// Hidden states of the prompt, by one head or the other.
    fn head(&mut self, reference: &mut Reference<'_>) -> Result<()> {
        let prompt = reference.prompt_with_picture()?;
        let hidden = reference.hidden(&[prompt])?.remove(0);
        let expected = match self.file.form.part {
            Part::TextHead => reference.text_logits(&hidden)?,
            _ => reference.image_logits(&hidden)?,
        };
        self.once(
            &[(What::Hidden, Output::F32(hidden.into_dyn()))],
            What::Logits,
            "",
            &expected,
        )
    }

    /// A prompt, steps after it, and rows of different lengths.
    fn decoder(&mut self, reference: &mut Reference<'_>) -> Result<()> {
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
        let mut found = Vec::new();
        for (given, piece) in given.into_iter().zip(&pieces) {
            let done = past.first().map_or(0, |layer| shape(layer)[2]);
            let (new, all) = (piece.positions(), done + piece.positions());
            let mut outputs = self.feed(
                &[
                    (if by_ids { What::Ids } else { What::Embeds }, given),
                    (What::Mask, Output::I64(Array::ones(vec![1, all]))),
                    (What::Positions, positions(done..all)),
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
            let Some(name) = self.file.outputs.get(&what).and_then(|names| names.first()) else {
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
            reference.hidden(&[whole.clone()])?.remove(0),
            reference.hidden(&[whole.slice(padding..length)])?.remove(0),
        ];
        let Some(name) = self
            .file
            .outputs
            .get(&What::Hidden)
            .and_then(|names| names.first())
        else {
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

    /// Runs the graph once and compares one output.
    fn once(
        &mut self,
        given: &[(What, Output)],
        what: What,
        label: &str,
        expected: &ArrayD<f32>,
    ) -> Result<()> {
        let outputs = self.feed(given, &[])?;
        let Some(name) = self.file.outputs.get(&what).and_then(|names| names.first()) else {
            return Ok(());
        };
        let found = match outputs.get(name) {
            Some(Output::F32(found)) if found.len() == expected.len() => found
                .to_shape(expected.shape())
                .ok()
                .map(|it| it.into_owned()),
            _ => None,
        };
        match found {
            Some(found) => self.tell(name, label, &found, expected),
            None => return Err(self.other(outputs.get(name), name, expected.shape())),
        }
        Ok(())
    }

    /// Runs the graph on what it has inputs for.
    fn feed(
        &mut self,
        given: &[(What, Output)],
        past: &[Output],
    ) -> Result<BTreeMap<String, Output>> {
        let mut inputs = Inputs::new();
        for (what, names) in &self.file.inputs {
            if *what == What::Past {
                inputs.extend(names.iter().cloned().zip(past.iter().cloned()));
            }
            let value = given.iter().find(|(it, _)| it == what);
            if let (Some((_, value)), Some(spec)) = (value, self.spec(*what)) {
                inputs.insert(spec.name.clone(), fitted(value, spec));
            }
        }
        let outputs = self.graph.run(&borrowed(&inputs));
        Ok(outputs
            .map_err(|source| self.file.failed(source))?
            .into_values())
    }

    /// Keys and values before the first position.
    fn empty(&self, rows: usize) -> Vec<Output> {
        let names = self.file.inputs.get(&What::Past).into_iter().flatten();
        let spec = |name: &String| {
            self.graph
                .entry()
                .inputs
                .iter()
                .find(|spec| spec.name == *name)
        };
        let [heads, width] = self.heads;
        let zeros = |spec: &TensorSpec| {
            let extents = spec.shape.iter().zip([rows, heads, 0, width]);
            let extents = extents.map(|(dim, expected)| match dim {
                Dim::Fixed(extent) => *extent,
                Dim::Named(_) => expected,
            });
            Output::F32(ArrayD::zeros(extents.collect::<Vec<_>>()))
        };
        names.filter_map(spec).map(zeros).collect()
    }

    fn spec(&self, what: What) -> Option<&TensorSpec> {
        let name = self.file.inputs.get(&what)?.first()?;
        self.graph
            .entry()
            .inputs
            .iter()
            .find(|spec| spec.name == *name)
    }

    /// An output of the transformer: of the shape that is expected, or of its last positions.
    fn taken(&self, found: Option<&Output>, name: &str, expected: &[usize]) -> Result<Array3<f32>> {
        let fits = |found: &[usize]| {
            let [rows, positions, width] = found else {
                return false;
            };
            [*rows, *width] == [expected[0], expected[2]]
                && (1..=expected[1]).contains(positions)
                && (*positions == 1 || *positions == expected[1])
        };
        match found {
            Some(Output::F32(array)) if fits(array.shape()) => Ok(ranked(array.clone())),
            _ => Err(self.other(found, name, expected)),
        }
    }

    fn other(&self, found: Option<&Output>, name: &str, expected: &[usize]) -> Error {
        Error::OtherOutput {
            path: self.file.path.clone(),
            tensor: name.to_owned(),
            found: found.map_or("nothing".to_owned(), |it| format!("{:?}", shape(it))),
            expected: format!("{expected:?}"),
        }
    }

    fn tell(&mut self, name: &str, label: &str, found: &ArrayD<f32>, expected: &ArrayD<f32>) {
        let file = &self.file.name;
        // Pictures are compared as a whole: a patch of one colour may be near zero.
        let width = match self.file.form.part {
            Part::ImageDecoder => expected.len(),
            _ => expected.shape().last().copied().unwrap_or(1),
        };
        let name = format!("{file}: {name}{label}");
        let row = compare_rows(name, file, found, expected, width, self.tolerance);
        self.rows.push(row);
    }
}

impl ForeignGraph {
    fn failed(&self, source: janus_runtime::Error) -> Error {
        Error::ForeignGraph {
            path: self.path.clone(),
            source,
        }
    }
}

fn floats(embeds: &Embeddings) -> Output {
    Output::F32(embeds.view().to_owned().into_dyn())
}

/// `[1, s]`
fn positions(range: std::ops::Range<usize>) -> Output {
    let all = range.map(|at| at as i64).collect();
    Output::I64(
        ndarray::Array1::from_vec(all)
            .insert_axis(Axis(0))
            .into_dyn(),
    )
}

/// An array that was seen to have three axes.
fn ranked(array: ArrayD<f32>) -> Array3<f32> {
    array.into_dimensionality().unwrap_or_default()
}

fn shape(value: &Output) -> &[usize] {
    match value {
        Output::F32(array) => array.shape(),
        Output::I64(array) => array.shape(),
        Output::I32(array) => array.shape(),
    }
}

/// A value in the rank and the type that are asked for, if only axes of one are between.
fn fitted(value: &Output, spec: &TensorSpec) -> Output {
    fn reshaped<T: Clone>(mut array: ArrayD<T>, rank: usize) -> ArrayD<T> {
        while array.ndim() > rank && array.len_of(Axis(0)) == 1 {
            array = array.index_axis_move(Axis(0), 0);
        }
        while array.ndim() < rank {
            array = array.insert_axis(Axis(0));
        }
        array
    }
    let rank = spec.shape.len();
    match value {
        Output::F32(array) => Output::F32(reshaped(array.clone(), rank)),
        Output::I64(array) if spec.dtype == ElementType::I32 => {
            Output::I32(reshaped(array.mapv(|it| it as i32), rank))
        }
        Output::I64(array) => Output::I64(reshaped(array.clone(), rank)),
        Output::I32(array) => Output::I32(reshaped(array.clone(), rank)),
    }
}
