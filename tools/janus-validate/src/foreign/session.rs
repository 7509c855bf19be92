//! A graph of another exporter at work: inputs by what they are, outputs compared.

use std::collections::BTreeMap;

use janus_runtime::manifest::{Dim, ElementType, TensorSpec};
use janus_runtime::{Graph, Output};
use ndarray::{Array3, ArrayD, Axis};

use super::ForeignGraph;
use super::layout::{Part, What};
use crate::compare::compare_rows;
use crate::error::{Error, Result};
use crate::probe::{Inputs, borrowed};
use crate::report::Row;

/// A graph at work.
pub(super) struct Pass<'a> {
    pub(super) file: &'a ForeignGraph,
    pub(super) graph: Graph,
    /// Heads of keys and values, and their width.
    pub(super) heads: [usize; 2],
    pub(super) tolerance: f64,
    pub(super) rows: Vec<Row>,
}

impl<'a> Pass<'a> {
    /// Runs the graph once and compares one output.
    pub(super) fn once(
        &mut self,
        given: &[(What, Output)],
        what: What,
        label: &str,
        expected: &ArrayD<f32>,
    ) -> Result<()> {
        let outputs = self.feed(given, &[])?;
        let Some(name) = self.output(what) else {
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
    pub(super) fn feed(
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
    pub(super) fn empty(&self, rows: usize) -> Vec<Output> {
        let names = self.file.inputs.get(&What::Past).into_iter().flatten();
        let [heads, width] = self.heads;
        let zeros = |spec: &TensorSpec| {
            let extents = spec.shape.iter().zip([rows, heads, 0, width]);
            let extents = extents.map(|(dim, expected)| match dim {
                Dim::Fixed(extent) => *extent,
                Dim::Named(_) => expected,
            });
            Output::F32(ArrayD::zeros(extents.collect::<Vec<_>>()))
        };
        names
            .filter_map(|name| self.named(name))
            .map(zeros)
            .collect()
    }

    /// An input, if the graph has it.
    pub(super) fn spec(&self, what: What) -> Option<&TensorSpec> {
        self.named(self.file.inputs.get(&what)?.first()?)
    }

    fn named(&self, name: &str) -> Option<&TensorSpec> {
        let mut inputs = self.graph.entry().inputs.iter();
        inputs.find(|spec| spec.name == name)
    }

    /// Name of an output, if the graph has it.
    pub(super) fn output(&self, what: What) -> Option<&'a str> {
        let names = self.file.outputs.get(&what)?;
        names.first().map(String::as_str)
    }

    /// An output of the transformer: of the shape that is expected, or of its last positions.
    pub(super) fn taken(
        &self,
        found: Option<&Output>,
        name: &str,
        expected: &[usize],
    ) -> Result<Array3<f32>> {
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

    pub(super) fn tell(
        &mut self,
        name: &str,
        label: &str,
        found: &ArrayD<f32>,
        expected: &ArrayD<f32>,
    ) {
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
    pub(super) fn failed(&self, source: janus_runtime::Error) -> Error {
        Error::ForeignGraph {
            path: self.path.clone(),
            source: Box::new(source),
        }
    }
}

/// An array that was seen to have three axes.
pub(super) fn ranked(array: ArrayD<f32>) -> Array3<f32> {
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
