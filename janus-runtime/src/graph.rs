//! A graph of an exported model, ready to run.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{DynValue, Tensor, TensorElementType, TensorRef, ValueType};

use crate::binding::RunSettings;
use crate::contract::GraphKind;
use crate::error::{Error, Result};
use crate::manifest::{Dim, ElementType, GraphEntry, TensorSpec};
use crate::placement::Placement;
use crate::provider::ExecutionProvider;
use crate::session::{self, SessionOptions};
use crate::tensor::{Input, Output, Outputs};

/// A graph whose inputs and outputs matched the manifest when it was opened.
#[derive(Debug)]
pub struct Graph {
    kind: GraphKind,
    entry: GraphEntry,
    provider: ExecutionProvider,
    placement: Placement,
    /// Whether its steps are captured.
    captures: bool,
    /// Of runs that are not captured.
    pub(crate) uncaptured: RunSettings,
    pub(crate) session: Session,
}

impl Graph {
    /// Takes a session over after comparing its signature with the manifest's.
    pub(crate) fn new(
        kind: GraphKind,
        entry: GraphEntry,
        options: &SessionOptions,
        session: Session,
        placement: Placement,
    ) -> Result<Self> {
        expect_none_else(kind, &entry.outputs, session.outputs())?;
        Self::with_more_outputs(kind, entry, options, session, placement)
    }

    /// As [`Graph::new`] for a session that may have other outputs too.
    pub(crate) fn with_more_outputs(
        kind: GraphKind,
        entry: GraphEntry,
        options: &SessionOptions,
        session: Session,
        placement: Placement,
    ) -> Result<Self> {
        check_signature(kind, &entry.inputs, session.inputs())?;
        expect_none_else(kind, &entry.inputs, session.inputs())?;
        check_signature(kind, &entry.outputs, session.outputs())?;
        Ok(Self {
            kind,
            entry,
            provider: options.provider,
            placement,
            captures: kind == GraphKind::LanguageModel && options.captures()?,
            uncaptured: RunSettings::of(None).map_err(|source| Error::SetUp {
                graph: kind,
                provider: options.provider,
                source,
            })?,
            session,
        })
    }

    /// Opens a graph that another exporter wrote: it has the inputs and outputs that its file says, and
    /// no manifest. Errors call it by `role`, the graph of an export that does the same.
    ///
    /// # Errors
    ///
    /// [`Error::OpenGraph`] where ONNX Runtime cannot open it, [`Error::Signature`] where an input or
    /// output is no tensor of a type that is known here, and as [`ModelDir::graph`](crate::ModelDir::graph).
    pub fn of_file(path: &Path, role: GraphKind, options: &SessionOptions) -> Result<Self> {
        let unknown = GraphEntry::default();
        let (session, placement) = session::open(path, (role, &unknown), options)?;
        let specs = |outlets: &[ort::value::Outlet]| -> Result<Vec<_>> {
            outlets.iter().map(|it| spec(role, it)).collect()
        };
        let entry = GraphEntry {
            file: path.display().to_string(),
            data: None,
            inputs: specs(session.inputs())?,
            outputs: specs(session.outputs())?,
        };
        Self::new(role, entry, options, session, placement)
    }

    /// Which nodes run where, as ONNX Runtime recorded it.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Which graph this is.
    pub fn kind(&self) -> GraphKind {
        self.kind
    }

    /// Where it runs.
    pub fn provider(&self) -> ExecutionProvider {
        self.provider
    }

    /// Whether its steps are captured (see [`SessionOptions::captures`]).
    pub fn captures(&self) -> bool {
        self.captures
    }

    /// Its inputs and outputs.
    pub fn entry(&self) -> &GraphEntry {
        &self.entry
    }

    /// Runs the graph on tensors of the host, given by name, and copies its outputs back.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] or [`Error::UnknownTensor`] where the inputs are not those of the graph,
    /// [`Error::Run`] where ONNX Runtime fails.
    ///
    /// Several pictures or rows go one by one through a graph whose size is fixed to one. Floats are
    /// given and taken in 32 bits where the graph's own have 16.
    pub fn run(&mut self, inputs: &[(&str, Input<'_>)]) -> Result<Outputs> {
        if self.takes_one() {
            let count = inputs.iter().filter_map(|(_, input)| input.shape().first());
            if let Some(&count) = count.max().filter(|count| **count > 1) {
                return self.run_each(count, inputs);
            }
        }
        self.run_once(inputs)
    }

    /// Whether every input and output is of one picture or row.
    fn takes_one(&self) -> bool {
        let specs = self.entry.inputs.iter().chain(&self.entry.outputs);
        let mut first = specs.map(|spec| spec.shape.first());
        first.all(|dim| dim == Some(&Dim::Fixed(1)))
    }

    /// Runs the graph on each of `count` pictures or rows.
    fn run_each(&mut self, count: usize, inputs: &[(&str, Input<'_>)]) -> Result<Outputs> {
        let mut all: Option<Outputs> = None;
        for row in 0..count {
            let one = inputs.iter().map(|(name, input)| (*name, input.row(row)));
            let outputs = self.run_once(&one.collect::<Vec<_>>())?;
            match &mut all {
                None => all = Some(outputs),
                Some(all) => all.append(outputs),
            }
        }
        Ok(all.unwrap_or(Outputs {
            graph: self.kind,
            values: BTreeMap::new(),
        }))
    }

    fn run_once(&mut self, inputs: &[(&str, Input<'_>)]) -> Result<Outputs> {
        self.check_inputs(inputs)?;
        let mut values = Vec::with_capacity(inputs.len());
        for (name, input) in inputs {
            let dtype = self.input(name)?.dtype;
            let value = borrow(input, dtype).map_err(|source| self.tensor_error(name, source))?;
            values.push(((*name).to_owned(), value));
        }
        let kind = self.kind;
        let outputs = self.session.run_with_options(values, &self.uncaptured.0);
        let outputs = outputs.map_err(|source| Error::Run {
            graph: kind,
            source,
        })?;
        collect(kind, &outputs)
    }

    pub(crate) fn check_inputs(&self, inputs: &[(&str, Input<'_>)]) -> Result<()> {
        for (name, input) in inputs {
            let spec = self.input(name)?;
            if !input.fits(spec) {
                return Err(Error::Input {
                    graph: self.kind,
                    tensor: (*name).to_owned(),
                    expected: Box::new(spec.clone()),
                    found: format!("{} {:?}", input.dtype(), input.shape()),
                });
            }
        }
        Ok(())
    }

    fn input(&self, name: &str) -> Result<&TensorSpec> {
        self.find(&self.entry.inputs, name)
    }

    pub(crate) fn output(&self, name: &str) -> Result<&TensorSpec> {
        self.find(&self.entry.outputs, name)
    }

    fn find<'a>(&self, specs: &'a [TensorSpec], name: &str) -> Result<&'a TensorSpec> {
        let found = specs.iter().find(|spec| spec.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
            Error::UnknownTensor {
                graph: self.kind,
                tensor: name.to_owned(),
                expected: names.join(", "),
            }
        })
    }

    pub(crate) fn tensor_error(&self, name: &str, source: ort::Error) -> Error {
        Error::Tensor {
            graph: self.kind,
            tensor: name.to_owned(),
            source,
        }
    }
}

/// An input as the graph takes it, which wants it in `dtype`.
fn borrow<'a>(input: &'a Input<'_>, dtype: ElementType) -> ort::Result<SessionInputValue<'a>> {
    Ok(match input {
        Input::F32(array) if dtype == ElementType::F16 => {
            Tensor::from_array(array.mapv(f16::from_f32))?.into()
        }
        Input::F32(array) if dtype == ElementType::Bf16 => {
            Tensor::from_array(array.mapv(bf16::from_f32))?.into()
        }
        Input::I64(array) if dtype == ElementType::Bool => {
            Tensor::from_array(array.mapv(|value| value != 0))?.into()
        }
        Input::F32(array) => TensorRef::from_array_view(array.view())?.into(),
        Input::I64(array) => TensorRef::from_array_view(array.view())?.into(),
        Input::I32(array) => TensorRef::from_array_view(array.view())?.into(),
    })
}

/// Copies the outputs of a run to the host.
fn collect(graph: GraphKind, outputs: &SessionOutputs<'_>) -> Result<Outputs> {
    let mut values = BTreeMap::new();
    for (name, value) in outputs {
        let output = to_host(&value).map_err(|source| Error::Tensor {
            graph,
            tensor: name.to_owned(),
            source,
        })?;
        values.insert(name.to_owned(), output);
    }
    Ok(Outputs { graph, values })
}

fn to_host(value: &DynValue) -> ort::Result<Output> {
    Ok(match value.dtype().tensor_type() {
        Some(TensorElementType::Int64) => Output::I64(value.try_extract_array()?.to_owned()),
        Some(TensorElementType::Int32) => Output::I32(value.try_extract_array()?.to_owned()),
        Some(TensorElementType::Float16) => {
            Output::F32(value.try_extract_array::<f16>()?.mapv(f16::to_f32))
        }
        Some(TensorElementType::Bfloat16) => {
            Output::F32(value.try_extract_array::<bf16>()?.mapv(bf16::to_f32))
        }
        _ => Output::F32(value.try_extract_array()?.to_owned()),
    })
}

/// An input or output, as a session says it.
fn spec(graph: GraphKind, outlet: &ort::value::Outlet) -> Result<TensorSpec> {
    let unknown = || Error::Signature {
        graph,
        tensor: outlet.name().to_owned(),
        expected: "a tensor of f32, f16, bf16, i64, i32 or bool".to_owned(),
        found: outlet.dtype().to_string(),
    };
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(unknown());
    };
    let dtype = match ty {
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float16 => ElementType::F16,
        TensorElementType::Bfloat16 => ElementType::Bf16,
        TensorElementType::Int64 => ElementType::I64,
        TensorElementType::Int32 => ElementType::I32,
        TensorElementType::Bool => ElementType::Bool,
        _ => return Err(unknown()),
    };
    let extents = shape.iter();
    let extents = extents.map(|&extent| usize::try_from(extent).map(Dim::Fixed));
    Ok(TensorSpec {
        name: outlet.name().to_owned(),
        dtype,
        shape: extents
            .map(|extent| extent.unwrap_or_else(|_| Dim::Named("?".to_owned())))
            .collect(),
    })
}

fn check_signature(
    graph: GraphKind,
    expected: &[TensorSpec],
    found: &[ort::value::Outlet],
) -> Result<()> {
    for spec in expected {
        let outlet = found.iter().find(|outlet| outlet.name() == spec.name);
        let matches = outlet.is_some_and(|outlet| same(spec, outlet.dtype()));
        if !matches {
            return Err(Error::Signature {
                graph,
                tensor: spec.name.clone(),
                expected: spec.to_string(),
                found: outlet.map_or("no such tensor".to_owned(), |o| o.dtype().to_string()),
            });
        }
    }
    Ok(())
}

/// Checks that there is nothing but what is expected.
fn expect_none_else(
    graph: GraphKind,
    expected: &[TensorSpec],
    found: &[ort::value::Outlet],
) -> Result<()> {
    if let Some(extra) = found
        .iter()
        .find(|o| expected.iter().all(|spec| spec.name != o.name()))
    {
        return Err(Error::Signature {
            graph,
            tensor: extra.name().to_owned(),
            expected: "absent".to_owned(),
            found: extra.dtype().to_string(),
        });
    }
    Ok(())
}

fn same(spec: &TensorSpec, found: &ValueType) -> bool {
    let ValueType::Tensor { ty, shape, .. } = found else {
        return false;
    };
    let dtype = match spec.dtype {
        ElementType::F32 => TensorElementType::Float32,
        ElementType::F16 => TensorElementType::Float16,
        ElementType::Bf16 => TensorElementType::Bfloat16,
        ElementType::I64 => TensorElementType::Int64,
        ElementType::I32 => TensorElementType::Int32,
        ElementType::Bool => TensorElementType::Bool,
    };
    *ty == dtype
        && shape.len() == spec.shape.len()
        && shape
            .iter()
            .zip(&spec.shape)
            .all(|(&extent, dim)| match dim {
                Dim::Fixed(expected) => usize::try_from(extent) == Ok(*expected),
                Dim::Named(_) => extent < 0,
            })
}
