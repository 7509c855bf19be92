//! A picture, drawn with guidance by rectified flow.

use std::hint::black_box;
use std::time::Instant;

use janus_flow::{FlowDecoder, FlowEncoder, Guidance, Solver, Trajectory, VaeDecoder, noise};
use janus_llm::{Embeddings, KvCache, LanguageModel};
use janus_runtime::manifest::FlowConfig;
use janus_runtime::{Manifest, ModelDir, SessionOptions, TokenId};
use ndarray::{Array4, s};

use super::{Laps, Workload, words};
use crate::cost::{Cost, Costs, Pass};
use crate::error::AnyError;
use crate::plan::Plan;
use crate::stage::Stage;
use crate::subject::Case;

/// What is timed of it.
#[derive(Clone, Copy)]
enum Part {
    /// The prompt and its unconditional twin.
    Prompt,
    /// A guided step.
    Step,
    /// The latents to pixels.
    VaeDecode,
    /// All of it.
    Whole,
}

fn parts(plan: &Plan) -> &'static [Part] {
    match plan.full {
        true => &[Part::Step, Part::Whole],
        false => &[Part::Prompt, Part::Step, Part::VaeDecode],
    }
}

pub(super) fn cases(plan: &Plan, costs: &Costs<'_>, flow: &FlowConfig) -> Vec<Case> {
    let case = |part: &Part| match part {
        Part::Prompt => {
            let label = format!("prompt of {}", plan.prompt);
            Case::new(Stage::Image, "prompt", label, Cost::default())
        }
        Part::Step => step(plan, costs, flow),
        Part::VaeDecode => Case::new(Stage::Image, "vae_decode", "VAE decode", Cost::default()),
        Part::Whole => whole(flow.steps),
    };
    parts(plan).iter().map(case).collect()
}

fn step(plan: &Plan, costs: &Costs<'_>, flow: &FlowConfig) -> Case {
    // The row without a prompt sees one position in its place.
    let row = |past| {
        costs.decoder(Pass {
            rows: 1,
            past,
            new: 1 + flow.num_tokens(),
        })
    };
    let of_both = |of: fn(&Cost) -> Option<u64>| {
        let (prompt, nothing) = (row(plan.prompt), row(1));
        of(&prompt).zip(of(&nothing)).map(|(a, b)| a + b)
    };
    let rows = Cost {
        tokens: None,
        bytes: of_both(|cost| cost.bytes),
        operations: of_both(|cost| cost.operations),
    };
    Case::new(Stage::Image, "step", "guided step", rows)
        .part("encoder", Cost::default())
        .part("language_model", rows)
        .part("decoder", Cost::default())
}

fn whole(steps: usize) -> Case {
    let label = format!("picture of {steps} steps");
    let mut case = Case::new(Stage::Image, "picture", label, Cost::default())
        .part("prompt", Cost::default())
        .part("steps", Cost::default())
        .part("vae_decode", Cost::default());
    case.long = true;
    case
}

pub(super) struct Picture {
    llm: LanguageModel,
    encoder: FlowEncoder,
    decoder: FlowDecoder,
    vae: VaeDecoder,
    model: Manifest,
    prompt: usize,
    parts: &'static [Part],
    /// The prompt and its unconditional twin, with room for a step; only while steps are measured.
    caches: Option<[KvCache; 2]>,
    pictures: usize,
}

impl Picture {
    pub(super) fn open(
        dir: &ModelDir,
        options: &SessionOptions,
        plan: &Plan,
    ) -> Result<Self, AnyError> {
        Ok(Self {
            llm: LanguageModel::open(dir, options)?,
            encoder: FlowEncoder::open(dir, options)?,
            decoder: FlowDecoder::open(dir, options)?,
            vae: VaeDecoder::open(dir, options)?,
            model: dir.manifest().clone(),
            prompt: plan.prompt,
            parts: parts(plan),
            caches: None,
            pictures: 0,
        })
    }

    /// Another prompt every time, and the begin-of-sentence token alone.
    fn read_prompts(&mut self) -> Result<[KvCache; 2], AnyError> {
        self.pictures += 1;
        let mut ids = words(&self.model, self.prompt, self.pictures);
        ids[0] = TokenId(self.model.tokens.bos);
        let prompt = self.llm.embed_text(&ids)?;
        let nothing = self.llm.embed_text(&ids[..1])?;
        Ok([self.read(prompt)?, self.read(nothing)?])
    }

    fn read(&mut self, prompt: Embeddings) -> Result<KvCache, AnyError> {
        let room = prompt.positions() + 1 + self.encoder.config().num_tokens();
        let mut prefill = self.llm.prefill(prompt)?;
        while !prefill.is_complete() {
            self.llm.advance(&mut prefill)?;
        }
        let mut cache = self.llm.new_cache(1, room)?;
        cache.copy_row(0, prefill.cache(), 0)?;
        Ok(cache)
    }

    /// The guided velocity; seconds of the encoder, the language model and the decoder are added
    /// to `seconds`.
    fn velocity(
        &mut self,
        caches: &mut [KvCache; 2],
        latents: &Array4<f32>,
        time: f64,
        seconds: &mut [f64; 3],
    ) -> Result<Array4<f32>, AnyError> {
        let mut last = Instant::now();
        let mut lap = |part: usize| {
            let now = Instant::now();
            seconds[part] += (now - last).as_secs_f64();
            last = now;
        };
        let encoded = self.encoder.encode(latents.view(), time)?;
        lap(0);
        let embeds = Embeddings::new(encoded.embeds.clone());
        let mut velocities = Vec::with_capacity(caches.len());
        for cache in caches {
            let kept = cache.lengths()[0];
            let hidden = self.llm.forward_at(self.prompt, &embeds, cache)?;
            cache.truncate(0, kept);
            lap(1);
            let places = hidden.view().slice_move(s![.., 1.., ..]);
            velocities.push(self.decoder.decode(places, &encoded)?);
            lap(2);
        }
        let guidance = Guidance::new(self.model.generation.guidance_scale);
        Ok(guidance.combine(&velocities[0], &velocities[1]))
    }

    fn step(&mut self) -> Result<Vec<f64>, AnyError> {
        let mut caches = match self.caches.take() {
            Some(caches) => caches,
            None => self.read_prompts()?,
        };
        let latents = noise(self.encoder.config(), 0, 0);
        let mut parts = [0.0; 3];
        let laps = Laps::begin();
        black_box(self.velocity(&mut caches, &latents, 0.5, &mut parts)?);
        let mut seconds = laps.end();
        seconds.extend(parts);
        self.caches = Some(caches);
        Ok(seconds)
    }

    fn prompt(&mut self) -> Result<Vec<f64>, AnyError> {
        let laps = Laps::begin();
        black_box(self.read_prompts()?);
        Ok(laps.end())
    }

    fn vae_decode(&mut self) -> Result<Vec<f64>, AnyError> {
        let latents = noise(self.encoder.config(), 0, 0);
        let laps = Laps::begin();
        black_box(self.vae.decode(latents.view())?);
        Ok(laps.end())
    }

    /// A whole picture, as the official code draws it.
    fn whole(&mut self) -> Result<Vec<f64>, AnyError> {
        let mut laps = Laps::begin();
        let mut caches = self.read_prompts()?;
        laps.lap();
        let config = self.encoder.config();
        let begin = noise(config, 0, self.pictures as u64);
        let mut trajectory = Trajectory::new(begin, Solver::Euler, config.steps);
        while !trajectory.is_complete() {
            trajectory.advance(|latents, time| {
                self.velocity(&mut caches, latents, time, &mut [0.0; 3])
            })?;
        }
        laps.lap();
        black_box(self.vae.decode(trajectory.latents().view())?);
        laps.lap();
        Ok(laps.end())
    }
}

impl Workload for Picture {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        let part = self.parts[case];
        if !matches!(part, Part::Step) {
            self.caches = None;
        }
        match part {
            Part::Prompt => self.prompt(),
            Part::Step => self.step(),
            Part::VaeDecode => self.vae_decode(),
            Part::Whole => self.whole(),
        }
    }
}
