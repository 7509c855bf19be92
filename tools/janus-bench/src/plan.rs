//! What is measured: what was asked for, as far as the models' contexts allow.

use std::fmt;
use std::str::FromStr;

use janus_runtime::Manifest;
use janus_runtime::manifest::DrawingConfig;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::stage::Stage;

/// Lengths of the prompts: a sentence, and a question about a picture.
const PREFILL: [usize; 2] = [64, 620];
/// Positions before a decode step: about the middle of a picture of 576 tokens.
const CONTEXT: usize = 300;
/// Rows of a decode step: an answer, a guided picture, four of them.
const ROWS: [usize; 3] = [1, 2, 8];
/// Positions of the prompt of a picture.
const PROMPT: usize = 32;

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What is measured, in any order; if empty, whatever the models have.
    pub stages: Vec<Stage>,
    /// The head of a decode step: that of image tokens, where nothing else is said and all have it.
    pub head: Option<Head>,
    /// Whether a whole picture is drawn, rather than one reckoned from the step in its middle.
    pub full: bool,
    /// Whether decode steps go through the transformer's form for many rows.
    pub wide_steps: bool,
}

/// One of the two heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Scores over the text vocabulary.
    Text,
    /// Scores over the image vocabulary.
    Image,
}

impl Head {
    /// Both heads.
    pub(crate) const ALL: [Self; 2] = [Self::Text, Self::Image];

    /// Whether models that draw like this have it.
    pub(crate) fn belongs_to(self, drawing: &DrawingConfig) -> bool {
        match self {
            Self::Text => true,
            Self::Image => matches!(drawing, DrawingConfig::Tokens(_)),
        }
    }

    /// The name used on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "text" => Ok(Self::Text),
            "image" => Ok(Self::Image),
            _ => Err("it should be text or image"),
        }
    }
}

/// What is measured, in sizes that every model concerned allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What is measured, in order.
    pub stages: Vec<Stage>,
    /// Lengths of the prompts.
    pub prefill: Vec<usize>,
    /// Positions before a decode step.
    pub context: usize,
    /// Rows of the decode steps, and of the heads by themselves.
    pub rows: Vec<usize>,
    /// The head of a decode step.
    pub head: Head,
    /// Positions of the prompt of a picture.
    pub prompt: usize,
    /// Whether a whole picture is drawn.
    pub full: bool,
    /// Whether decode steps go through the transformer's form for many rows.
    pub wide_steps: bool,
    /// What is smaller than it should be, and why.
    pub limits: Vec<Limit>,
}

/// Something that a stage measures in a smaller size, because the context ends there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The stage.
    pub stage: Stage,
    /// Positions that there should be.
    pub wanted: usize,
    /// Positions that there are.
    pub measured: usize,
}

impl Plan {
    /// Fits `settings` to models that are to be measured alike.
    ///
    /// # Errors
    ///
    /// [`Error::StageMissing`] and [`Error::HeadMissing`] for what was asked for and does not
    /// belong to how one of the models draws, [`Error::WideFormMissing`] where wide steps were
    /// asked for and there is one form of the transformer.
    pub fn new(settings: &Settings, models: &[&Manifest]) -> Result<Self> {
        let context_length = least(models, |m| m.language.context_length);
        let tokens = models
            .iter()
            .map(|m| m.drawing.num_tokens())
            .max()
            .unwrap_or(0);
        let stages = stages(&settings.stages, models)?;
        let head = head(settings.head, models)?;
        if settings.wide_steps && !models.iter().all(|m| m.has_wide_form()) {
            return Err(Error::WideFormMissing);
        }

        let mut limits = Vec::new();
        let mut fit = |stage, wanted: usize, room: usize| {
            let measured = wanted.min(room.max(1));
            if measured < wanted && stages.contains(&stage) {
                limits.push(Limit {
                    stage,
                    wanted,
                    measured,
                });
            }
            measured
        };
        let mut prefill: Vec<_> = PREFILL
            .iter()
            .map(|&length| fit(Stage::Prefill, length, context_length))
            .collect();
        prefill.dedup();
        // The step itself takes a position; the last token of a picture is never run, and the time
        // of a flow takes the place of the token that begins a picture.
        let context = fit(Stage::Decode, CONTEXT, context_length.saturating_sub(1));
        let room = (context_length + 1).saturating_sub(tokens);
        let prompt = fit(Stage::Image, PROMPT, room);
        Ok(Self {
            stages,
            prefill,
            context,
            rows: ROWS.to_vec(),
            head,
            prompt,
            full: settings.full,
            wide_steps: settings.wide_steps,
            limits,
        })
    }

    /// Positions before the step in the middle of a picture.
    pub(crate) fn picture_context(&self, model: &Manifest) -> usize {
        self.prompt + model.drawing.num_tokens() / 2
    }

    /// Positions that a sequence needs for a whole picture.
    pub(crate) fn picture_positions(&self, model: &Manifest) -> usize {
        self.prompt + model.drawing.num_tokens()
    }
}

/// What was asked for, or else every stage that all models have; in order, each once.
fn stages(wanted: &[Stage], models: &[&Manifest]) -> Result<Vec<Stage>> {
    let is_there = |stage: &Stage| models.iter().all(|m| stage.belongs_to(&m.drawing));
    if let Some(&stage) = wanted.iter().find(|stage| !is_there(stage)) {
        return Err(Error::StageMissing { stage });
    }
    let all = Stage::ALL.into_iter().filter(is_there);
    Ok(all
        .filter(|stage| wanted.is_empty() || wanted.contains(stage))
        .collect())
}

/// The head that was asked for, or else that of image tokens where all models have it.
fn head(wanted: Option<Head>, models: &[&Manifest]) -> Result<Head> {
    let missing = |head: Head| !models.iter().all(|m| head.belongs_to(&m.drawing));
    match wanted {
        Some(head) if missing(head) => Err(Error::HeadMissing { head }),
        Some(head) => Ok(head),
        None if missing(Head::Image) => Ok(Head::Text),
        None => Ok(Head::Image),
    }
}

fn least(models: &[&Manifest], size: impl Fn(&Manifest) -> usize) -> usize {
    models.iter().map(|model| size(model)).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use janus_runtime::ModelDir;
    use janus_runtime::manifest::DType;

    fn manifest(context_length: usize) -> Manifest {
        let model = ModelDir::open(janus_tests::demo_model()).unwrap();
        let mut manifest = model.manifest().clone();
        manifest.language.context_length = context_length;
        manifest
    }

    #[test]
    fn sizes_are_those_of_the_smallest_context() {
        let (large, small) = (manifest(16384), manifest(256));
        let plan = Plan::new(&Settings::default(), &[&large]).unwrap();
        assert_eq!((&plan.prefill[..], plan.context), (&[64, 620][..], 300));
        assert_eq!((plan.prompt, plan.limits.len()), (32, 0));

        let plan = Plan::new(&Settings::default(), &[&large, &small]).unwrap();
        assert_eq!((&plan.prefill[..], plan.context), (&[64, 256][..], 255));
        let told: Vec<_> = plan.limits.iter().map(|l| (l.wanted, l.measured)).collect();
        assert_eq!(told, [(620, 256), (300, 255)]);
        assert!(plan.picture_positions(&small) <= 256);
    }

    #[test]
    fn stages_are_measured_in_order_and_once() {
        let settings = Settings {
            stages: vec![Stage::Vq, Stage::Decode, Stage::Vq],
            ..Settings::default()
        };
        let plan = Plan::new(&settings, &[&manifest(16)]).unwrap();
        assert_eq!(plan.stages, [Stage::Decode, Stage::Vq]);
        assert_eq!(plan.prefill, [16]);
        // Nothing is said of stages that are not measured.
        assert!(plan.limits.iter().all(|l| l.stage == Stage::Decode));
    }

    #[test]
    fn what_a_model_does_not_have_is_left_out_or_refused() {
        let tokens = manifest(256);
        let flow = ModelDir::open(janus_tests::tiny_flow(DType::Fp32)).unwrap();
        let flow = flow.manifest();
        let of = |stages: &[Stage], head, models: &[&Manifest]| {
            let settings = Settings {
                stages: stages.to_vec(),
                head,
                ..Settings::default()
            };
            Plan::new(&settings, models)
        };
        let plan = of(&[], None, &[flow]).unwrap();
        assert_eq!(plan.head, Head::Text);
        assert!(plan.stages.contains(&Stage::Vae) && !plan.stages.contains(&Stage::Vq));
        let plan = of(&[], None, &[&tokens]).unwrap();
        assert_eq!(plan.head, Head::Image);
        assert!(plan.stages.contains(&Stage::Vq) && !plan.stages.contains(&Stage::Vae));

        let refused = |stages: &[Stage], head, models: &[&Manifest]| {
            of(stages, head, models).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&[Stage::Decode, Stage::Vq], None, &[flow]),
            "no stage `vq` here: a model draws by rectified flow"
        );
        assert_eq!(
            refused(&[Stage::Vae], None, &[&tokens]),
            "no stage `vae` here: a model draws with image tokens"
        );
        assert_eq!(
            refused(&[], Some(Head::Image), &[&tokens, flow]),
            "no image head here: a model draws by rectified flow"
        );
        let settings = Settings {
            wide_steps: true,
            ..Settings::default()
        };
        assert_eq!(
            Plan::new(&settings, &[&tokens]).unwrap_err().to_string(),
            "no wide steps here: a model has no form of the transformer for many rows; exports in q8 and q4 have"
        );
    }
}
