//! A picture, drawn with guidance.

use std::hint::black_box;

use janus_llm::{Embeddings, LanguageModel, Sampler, Sampling};
use janus_pipeline::{Event, Request, Scheduler, WideSteps};
use janus_runtime::{ImageToken, Manifest, ModelDir, SessionOptions, TokenId};
use janus_vq::{ImageTokens, VqDecoder};

use super::decode::Rows;
use super::{Laps, Workload, vq, words};
use crate::cost::{Cost, Costs, Pass};
use crate::error::AnyError;
use crate::plan::{Head, Plan};
use crate::stage::Stage;
use crate::subject::Case;

/// A guided picture has a row with its prompt and one without.
const ROWS: usize = 2;

/// What is timed of it.
#[derive(Clone, Copy)]
enum Part {
    /// The prompt and its unconditional twin, up to the first token.
    Prompt,
    /// One token in the middle.
    Step,
    /// The tokens to pixels.
    VqDecode,
    /// All of it.
    Whole,
}

fn parts(plan: &Plan) -> &'static [Part] {
    match plan.full {
        true => &[Part::Step, Part::Whole],
        false => &[Part::Prompt, Part::Step, Part::VqDecode],
    }
}

pub(super) fn cases(plan: &Plan, costs: &Costs<'_>) -> Vec<Case> {
    let case = |part: &Part| match part {
        Part::Prompt => {
            let label = format!("prompt of {} and first token", plan.prompt);
            Case::new(Stage::Image, "prompt", label, Cost::default())
        }
        Part::Step => step(plan, costs),
        Part::VqDecode => Case::new(Stage::Image, "vq_decode", "VQ decode", Cost::default()),
        Part::Whole => whole(costs.model.drawing.num_tokens()),
    };
    parts(plan).iter().map(case).collect()
}

fn step(plan: &Plan, costs: &Costs<'_>) -> Case {
    let past = plan.picture_context(costs.model);
    let pass = Pass {
        rows: ROWS,
        past,
        new: 1,
    };
    let label = format!("step, after {past} positions");
    let cost = costs.step(pass, Head::Image, 1);
    Case::new(Stage::Image, "step", label, cost)
        .part("decoder", costs.decoder(pass))
        .part("image_head", costs.head(Head::Image, ROWS))
        .part("sampling", Cost::default())
        .part("embedding", Cost::default())
}

fn whole(tokens: usize) -> Case {
    let label = format!("picture of {tokens} tokens");
    let mut case = Case::new(Stage::Image, "picture", label, Cost::tokens(tokens))
        .part("prompt", Cost::default())
        .part("tokens", Cost::tokens(tokens.saturating_sub(1)))
        .part("vq_decode", Cost::default());
    case.long = true;
    case
}

pub(super) struct Picture {
    llm: LanguageModel,
    vq: VqDecoder,
    model: Manifest,
    plan: Plan,
    sampler: Sampler,
    /// In the middle of a picture; only while steps are measured.
    rows: Option<Rows>,
    pictures: usize,
}

impl Picture {
    pub(super) fn open(
        dir: &ModelDir,
        options: &SessionOptions,
        plan: &Plan,
    ) -> Result<Self, AnyError> {
        let model = dir.manifest().clone();
        Ok(Self {
            llm: LanguageModel::open(dir, options)?,
            vq: VqDecoder::open(dir, options)?,
            sampler: Sampler::new(sampling(&model), 0)?,
            model,
            plan: plan.clone(),
            rows: None,
            pictures: 0,
        })
    }

    fn middle(&mut self) -> Result<Rows, AnyError> {
        let past = self.plan.picture_context(&self.model);
        let capacity = self.plan.picture_positions(&self.model);
        Rows::new(&mut self.llm, &self.model, ROWS, past, capacity - 1)
    }

    /// One token: forward, head, guidance and sampling, embedding.
    fn step(&mut self) -> Result<Vec<f64>, AnyError> {
        let mut rows = match self.rows.take() {
            Some(rows) => rows,
            None => self.middle()?,
        };
        let mut laps = Laps::begin();
        let hidden = rows.forward(&mut self.llm, self.plan.wide_steps)?;
        laps.lap();
        let logits = self.llm.image_logits(&hidden.last())?;
        laps.lap();
        let guided = logits.guided(self.model.generation.guidance_scale);
        let token: ImageToken = self.sampler.sample(guided.row(0));
        laps.lap();
        rows.embeds = self.llm.embed_image_tokens(&[token])?.repeat_row(0, ROWS);
        laps.lap();
        let laps = laps.end();
        rows.rewind();
        self.rows = Some(rows);
        Ok(laps)
    }

    /// The prompt and its unconditional twin, up to the first token.
    fn prompt(&mut self) -> Result<Vec<f64>, AnyError> {
        let laps = Laps::begin();
        let request = self.request()?;
        let mut scheduler = self.scheduler();
        scheduler.submit(request)?;
        while scheduler.step(&mut self.llm)?.is_empty() {}
        Ok(laps.end())
    }

    /// A whole picture, as the pipeline draws it.
    fn whole(&mut self) -> Result<Vec<f64>, AnyError> {
        let mut laps = Laps::begin();
        let request = self.request()?;
        let mut tokens = Vec::with_capacity(self.model.drawing.num_tokens());
        let mut scheduler = self.scheduler();
        scheduler.submit(request)?;
        while tokens.is_empty() {
            tokens.extend(
                scheduler
                    .step(&mut self.llm)?
                    .into_iter()
                    .filter_map(image_token),
            );
        }
        laps.lap();
        while !scheduler.is_idle() {
            tokens.extend(
                scheduler
                    .step(&mut self.llm)?
                    .into_iter()
                    .filter_map(image_token),
            );
        }
        laps.lap();
        let tokens = ImageTokens::from_rows(&[tokens], self.vq.config())?;
        black_box(self.vq.decode(&tokens)?);
        laps.lap();
        Ok(laps.end())
    }

    fn scheduler(&self) -> Scheduler {
        let wide_steps = match self.plan.wide_steps {
            true => WideSteps::Always,
            false => WideSteps::Never,
        };
        Scheduler::new(&self.llm, vocabulary(&self.model)).with_wide_steps(wide_steps)
    }

    /// Another prompt every time; its unconditional twin is that of the last one, as all prompts
    /// of one length have it.
    fn request(&mut self) -> Result<Request, AnyError> {
        self.pictures += 1;
        let special = &self.model.tokens;
        let mut prompt = words(&self.model, self.plan.prompt, self.pictures);
        let mut unconditional = vec![TokenId(special.pad); prompt.len()];
        for ids in [&mut prompt, &mut unconditional] {
            ids[0] = TokenId(special.bos);
            ids[self.plan.prompt - 1] = TokenId(special.begin_of_image);
        }
        let mut embed =
            |ids: &[TokenId]| -> Result<Embeddings, AnyError> { Ok(self.llm.embed_text(ids)?) };
        Ok(Request::Images {
            prompt: embed(&prompt)?,
            guidance: Some((embed(&unconditional)?, self.model.generation.guidance_scale)),
            sampling: sampling(&self.model),
            images: 1,
            tokens: self.model.drawing.num_tokens(),
            window: 1,
        })
    }

    fn vq_decode(&mut self) -> Result<Vec<f64>, AnyError> {
        let tokens = vq::noise(self.vq.config())?;
        let laps = Laps::begin();
        black_box(self.vq.decode(&tokens)?);
        Ok(laps.end())
    }
}

fn sampling(model: &Manifest) -> Sampling {
    Sampling::random(model.generation.temperature, 0)
}

fn vocabulary(model: &Manifest) -> usize {
    model.tokens.tokenizer_size as usize
}

fn image_token(event: Event) -> Option<ImageToken> {
    match event {
        Event::Image { token, .. } => Some(token),
        _ => None,
    }
}

impl Workload for Picture {
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        let part = parts(&self.plan)[case];
        if !matches!(part, Part::Step) {
            // Drawing has a cache of its own.
            self.rows = None;
        }
        match part {
            Part::Prompt => self.prompt(),
            Part::Step => self.step(),
            Part::VqDecode => self.vq_decode(),
            Part::Whole => self.whole(),
        }
    }
}
