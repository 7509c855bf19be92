//! What each graph of a model is given when it runs alone: what the reference's graphs hand on.

use std::collections::BTreeMap;

use janus_flow::noise;
use janus_runtime::manifest::{Dim, DrawingConfig, ElementType, Manifest, TensorSpec};
use janus_runtime::{GraphKind, Input, ModelDir, Output, SessionOptions, tensors, time_waves};
use janus_vision::{Convention, PixelValues};
use janus_vq::pixels_from_pictures;
use ndarray::{Array, ArrayD, Axis, IxDyn, Slice};

use crate::error::Result;
use crate::precision::Material;

/// Positions that the language model gets.
const POSITIONS: usize = 8;
/// Time of a latent that is half-way from noise to picture.
const HALF_WAY: f32 = 500.0;

/// Inputs by name.
pub(crate) type Inputs = BTreeMap<String, Output>;

/// Tensors that graphs handed on, by their names.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    at_hand: BTreeMap<String, Output>,
}

impl Probe {
    /// Pictures, latents, and ids and codes that are spread over their vocabularies.
    pub(crate) fn new(manifest: &Manifest) -> Result<Self> {
        let shown = Material::generic().shown;
        let pictures: Vec<_> = shown.into_iter().take(1).map(|it| it.picture).collect();
        let vision = &manifest.vision;
        let pixel_values = PixelValues::from_images(&pictures, vision, Convention::default());
        let pixel_values = pixel_values.view().to_owned().into_dyn();
        let ids = spread(&[1, POSITIONS], manifest.tokens.tokenizer_size as usize);
        let mut probe = Self::default();
        probe.keep(tensors::PIXEL_VALUES, Output::F32(pixel_values));
        probe.keep(tensors::INPUT_IDS, Output::I64(ids));
        match &manifest.drawing {
            DrawingConfig::Tokens(vq) => {
                let pixels = pixels_from_pictures(&pictures, vq.image_size)?;
                let codes = spread(&[1, vq.num_tokens()], vq.codebook_size);
                probe.keep(tensors::PIXELS, Output::F32(pixels.into_dyn()));
                probe.keep(tensors::IMAGE_TOKENS, Output::I64(codes));
            }
            DrawingConfig::Flow(flow) => {
                let time = Array::from_elem(vec![1], HALF_WAY);
                probe.keep(tensors::LATENTS, Output::F32(noise(flow, 0, 0).into_dyn()));
                probe.keep(tensors::TIMESTEPS, Output::F32(time));
            }
        }
        Ok(probe)
    }

    /// What a graph gets.
    pub(crate) fn inputs(&self, specs: &[TensorSpec]) -> Inputs {
        let input = |spec: &TensorSpec| (spec.name.clone(), self.input(spec));
        specs.iter().map(input).collect()
    }

    /// Runs the reference's graph and keeps what it gives for those after it.
    pub(crate) fn run(
        &mut self,
        reference: &ModelDir,
        kind: GraphKind,
        options: &SessionOptions,
    ) -> Result<()> {
        let mut graph = reference.graph(kind, options)?;
        let inputs = self.inputs(&graph.entry().inputs);
        for (name, output) in graph.run(&borrowed(&inputs))?.into_values() {
            // Pictures that were decoded are no better than those that were given.
            self.at_hand.entry(name).or_insert(output);
        }
        Ok(())
    }

    fn keep(&mut self, name: &str, value: Output) {
        self.at_hand.insert(name.to_owned(), value);
    }

    fn input(&self, spec: &TensorSpec) -> Output {
        if let (tensors::TIME_WAVES, Some(&Dim::Fixed(width))) = (&*spec.name, spec.shape.last()) {
            let waves = time_waves(HALF_WAY, width);
            return Output::F32(Array::from_shape_fn(IxDyn(&[1, width]), |at| waves[at[1]]));
        }
        let at_hand = self.at_hand.get(&spec.name);
        let fitting = at_hand.and_then(|value| fitted(value, spec));
        fitting.unwrap_or_else(|| made(spec))
    }
}

/// A tensor that was handed on, in the rank that is asked for: a head reads the positions of the
/// first row as rows of its own.
fn fitted(value: &Output, spec: &TensorSpec) -> Option<Output> {
    let Output::F32(array) = value else {
        let Output::I64(_) = value else { return None };
        return (spec.dtype == ElementType::I64).then(|| value.clone());
    };
    let mut array = array.clone();
    while array.ndim() > spec.shape.len() {
        array = array.index_axis_move(Axis(0), 0);
    }
    for (axis, dim) in spec.shape.iter().enumerate() {
        let Dim::Fixed(extent) = *dim else { continue };
        if *array.shape().get(axis)? < extent {
            return None;
        }
        array = array
            .slice_axis(Axis(axis), Slice::from(..extent))
            .to_owned();
    }
    (array.ndim() == spec.shape.len()
        && matches!(
            spec.dtype,
            ElementType::F32 | ElementType::F16 | ElementType::Bf16
        ))
    .then_some(Output::F32(array))
}

/// A tensor of which nothing is at hand: an empty cache, positions, or normal numbers.
fn made(spec: &TensorSpec) -> Output {
    let shape: Vec<_> = spec
        .shape
        .iter()
        .enumerate()
        .map(|(axis, dim)| match dim {
            Dim::Fixed(extent) => *extent,
            Dim::Named(_) if axis == 0 => 1,
            Dim::Named(_) => POSITIONS,
        })
        .collect();
    let last = *shape.last().unwrap_or(&1);
    match (spec.name.as_str(), spec.dtype) {
        (tensors::SEQLENS_K, _) => Output::I32(Array::from_elem(shape, POSITIONS as i32 - 1)),
        (tensors::TOTAL_SEQUENCE_LENGTH, _) => {
            Output::I32(Array::from_elem(shape, POSITIONS as i32))
        }
        (_, ElementType::I64) => {
            let positions = (0..shape.iter().product()).map(|i: usize| (i % last) as i64);
            Output::I64(shaped(positions.collect(), &shape))
        }
        (_, ElementType::I32) => Output::I32(ArrayD::zeros(shape)),
        (name, _) if name.starts_with("past_key_values.") => Output::F32(ArrayD::zeros(shape)),
        _ => Output::F32(normal(&shape)),
    }
}

/// Numbers of a normal distribution, the same every time.
fn normal(shape: &[usize]) -> ArrayD<f32> {
    let count: usize = shape.iter().product();
    let side = count.isqrt() + 1;
    let config = janus_runtime::manifest::FlowConfig {
        latent_channels: 1,
        latent_size: side,
        grid: [1, 1],
        image_size: side,
        steps: 1,
    };
    let numbers = noise(&config, 1, 0);
    shaped(numbers.into_iter().take(count).collect(), shape)
}

/// Numbers below `limit`, neither in order nor equal.
pub(crate) fn spread(shape: &[usize], limit: usize) -> ArrayD<i64> {
    const STRIDE: usize = 2_654_435_761;
    let count: usize = shape.iter().product();
    let limit = limit.max(1);
    let numbers = (0..count).map(|i| (i.wrapping_mul(STRIDE) % limit) as i64);
    shaped(numbers.collect(), shape)
}

fn shaped<T: Clone + Default>(elements: Vec<T>, shape: &[usize]) -> ArrayD<T> {
    ArrayD::from_shape_vec(shape.to_vec(), elements).unwrap_or_default()
}

/// Inputs as a graph takes them.
pub(crate) fn borrowed(inputs: &Inputs) -> Vec<(&str, Input<'_>)> {
    inputs
        .iter()
        .map(|(name, value)| {
            let input = match value {
                Output::F32(array) => Input::from(array.view()),
                Output::I64(array) => Input::from(array.view()),
                Output::I32(array) => Input::from(array.view()),
            };
            (name.as_str(), input)
        })
        .collect()
}
