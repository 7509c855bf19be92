//! The formulas of JanusFlow: pictures by rectified flow, with the prompt's keys and values kept
//! from step to step.

use janus_flow::{
    EncodedLatents, FlowDecoder, FlowEncoder, Guidance, Solver, Trajectory, VaeDecoder,
};
use janus_llm::{Embeddings, KvCache, LanguageModel};
use janus_runtime::manifest::Dim;
use janus_runtime::{ModelDir, Output, SessionOptions, TokenId};
use ndarray::{Array2, Array4, Array5, Axis, Ix0, Ix1, concatenate, s, stack};

use crate::error::{Error, Result};
use crate::formula::inputs;
use crate::run::named;
use crate::tensor_file::TensorFile;

/// Steps that a golden file may ask for.
const MAX_STEPS: u32 = 1000;
/// The step whose encoding is compared, from 0.
const COMPARED: usize = 1;

/// What is to be drawn.
#[derive(Debug)]
pub(crate) struct Wanted {
    prompt: Vec<TokenId>,
    /// `[n, c, h, w]`
    noise: Array4<f32>,
    steps: usize,
    guidance: Guidance,
}

/// What was drawn.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// `[steps, n, c, h, w]`
    pub(crate) velocities: Array5<f32>,
    /// `[n, c, h, w]`
    pub(crate) latents: Array4<f32>,
    /// Of the second step, once for each of the two rows of a picture; none if there is only one.
    pub(crate) encoded: Option<(Array4<f32>, Array2<f32>)>,
}

impl Wanted {
    /// Reads it from a golden file.
    pub(crate) fn read(golden: &TensorFile, model: &ModelDir) -> Result<Self> {
        let prompt = golden.indices(inputs::PROMPT_IDS)?.mapv(TokenId);
        let prompt =
            golden.with_shape::<_, Ix1>(inputs::PROMPT_IDS, prompt, &[named("positions")])?;
        let steps = golden.indices(inputs::NUM_STEPS)?;
        let steps = golden.with_shape::<_, Ix0>(inputs::NUM_STEPS, steps, &[])?;
        let steps = steps.into_scalar();
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::Element {
                path: golden.path().to_owned(),
                tensor: inputs::NUM_STEPS.to_owned(),
                at: 0,
                found: steps.into(),
                expected: format!("1 to {MAX_STEPS}"),
            });
        }
        let guidance = golden.f32(inputs::GUIDANCE)?;
        let guidance = golden.with_shape::<_, Ix0>(inputs::GUIDANCE, guidance, &[])?;
        Ok(Self {
            prompt: prompt.to_vec(),
            noise: latents(golden, inputs::Z0, model)?,
            steps: steps as usize,
            guidance: Guidance::new(guidance.into_scalar()),
        })
    }

    /// Positions of the prompt and of a step of `model`.
    pub(crate) fn positions(&self, model: &ModelDir) -> usize {
        self.prompt.len() + model.manifest().drawing.num_tokens()
    }

    /// Draws it, with caches that have room for so many positions at least.
    pub(crate) fn draw(
        &self,
        model: &ModelDir,
        options: &SessionOptions,
        room: usize,
        llm: &mut LanguageModel,
    ) -> Result<Drawn> {
        let mut at_work = AtWork::new(self, model, options, room, llm)?;
        let mut drawn = self.noise.axis_chunks_iter(Axis(0), 1);
        let drawn = drawn.try_fold(Vec::new(), |mut drawn, noise| {
            drawn.push(at_work.draw(noise.to_owned())?);
            Ok::<_, Error>(drawn)
        })?;
        Ok(joined(&drawn))
    }
}

/// Latents of the model's size in a golden file, `[n, c, size, size]`.
pub(crate) fn latents(golden: &TensorFile, name: &str, model: &ModelDir) -> Result<Array4<f32>> {
    let flow = model.manifest().flow()?;
    let side = Dim::Fixed(flow.latent_size);
    let shape = [
        named("n"),
        Dim::Fixed(flow.latent_channels),
        side.clone(),
        side,
    ];
    golden.with_shape(name, golden.f32(name)?, &shape)
}

/// VAE decoder of latents, `[n, 3, size, size]`.
pub(crate) fn decoded(
    model: &ModelDir,
    options: &SessionOptions,
    latents: &Array4<f32>,
) -> Result<Output> {
    let mut vae = VaeDecoder::open(model, options)?;
    Ok(Output::F32(vae.decode_pixels(latents.view())?.into_dyn()))
}

/// One picture of those that were drawn.
struct Picture {
    velocities: Vec<Array4<f32>>,
    latents: Array4<f32>,
    encoded: Option<EncodedLatents>,
}

/// The model at work on a prompt.
struct AtWork<'a> {
    wanted: &'a Wanted,
    encoder: FlowEncoder,
    decoder: FlowDecoder,
    llm: &'a mut LanguageModel,
    /// Number of the first position after the prompt.
    first: usize,
    /// The prompt, and its first position alone.
    caches: [KvCache; 2],
}

impl<'a> AtWork<'a> {
    fn new(
        wanted: &'a Wanted,
        model: &ModelDir,
        options: &SessionOptions,
        room: usize,
        llm: &'a mut LanguageModel,
    ) -> Result<Self> {
        // The time takes the place of the last.
        let first = wanted.prompt.len() - 1;
        let encoder = FlowEncoder::open(model, options)?;
        let new = 1 + encoder.config().num_tokens();
        let mut prefix = |positions: usize| -> Result<_> {
            let mut cache = llm.new_cache(1, room.max(positions + new))?;
            if positions > 0 {
                let embeds = llm.embed_text(&wanted.prompt[..positions])?;
                llm.forward(&embeds, &mut cache)?;
            }
            Ok(cache)
        };
        Ok(Self {
            caches: [prefix(first)?, prefix(first.min(1))?],
            wanted,
            encoder,
            decoder: FlowDecoder::open(model, options)?,
            llm,
            first,
        })
    }

    fn draw(&mut self, noise: Array4<f32>) -> Result<Picture> {
        let mut trajectory = Trajectory::new(noise, Solver::Euler, self.wanted.steps);
        let mut velocities = Vec::with_capacity(self.wanted.steps);
        let mut encoded = None;
        while !trajectory.is_complete() {
            let step = trajectory.done();
            trajectory.advance(|latents, time| {
                let found = self.encoder.encode(latents.view(), time)?;
                let velocity = self.velocity(&found)?;
                if step == COMPARED {
                    encoded = Some(found);
                }
                velocities.push(velocity.clone());
                Ok::<_, Error>(velocity)
            })?;
        }
        Ok(Picture {
            velocities,
            latents: trajectory.latents().clone(),
            encoded,
        })
    }

    fn velocity(&mut self, encoded: &EncodedLatents) -> Result<Array4<f32>> {
        let embeds = Embeddings::new(encoded.embeds.clone());
        let mut velocity = |cache: &mut KvCache| -> Result<_> {
            let kept = cache.lengths()[0];
            let hidden = self.llm.forward_at(self.first, &embeds, cache)?;
            cache.truncate(0, kept);
            let places = hidden.view().slice_move(s![.., 1.., ..]);
            Ok(self.decoder.decode(places, encoded)?)
        };
        let [prompt, nothing] = &mut self.caches;
        let (conditional, unconditional) = (velocity(prompt)?, velocity(nothing)?);
        Ok(self.wanted.guidance.combine(&conditional, &unconditional))
    }
}

/// Pictures side by side; there is at least one, and each has as many steps.
fn joined(pictures: &[Picture]) -> Drawn {
    let all = |of: &dyn Fn(&Picture) -> Array4<f32>| {
        let parts: Vec<_> = pictures.iter().map(of).collect();
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        concatenate(Axis(0), &views).expect("latents of one size")
    };
    let steps = pictures[0].velocities.len();
    let velocities: Vec<_> = (0..steps)
        .map(|step| all(&|picture| picture.velocities[step].clone()))
        .collect();
    let velocities: Vec<_> = velocities.iter().map(|part| part.view()).collect();
    let encoded: Option<Vec<_>> = pictures.iter().map(|p| p.encoded.as_ref()).collect();
    Drawn {
        velocities: stack(Axis(0), &velocities).expect("latents of one size"),
        latents: all(&|picture| picture.latents.clone()),
        encoded: encoded.map(|encoded| {
            let twice = || encoded.iter().chain(&encoded);
            let skip: Vec<_> = twice().map(|encoded| encoded.skip.view()).collect();
            let time: Vec<_> = twice().map(|encoded| encoded.time_embeds.view()).collect();
            (
                concatenate(Axis(0), &skip).expect("rows of one width"),
                concatenate(Axis(0), &time).expect("rows of one width"),
            )
        }),
    }
}
