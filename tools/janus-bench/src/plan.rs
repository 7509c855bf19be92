//! What is measured: what was asked for, as far as the models' contexts allow.

use std::fmt;
use std::str::FromStr;

use janus_runtime::Manifest;
use serde::{Deserialize, Serialize};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is measured; the order does not matter.
    pub stages: Vec<Stage>,
    /// The head of a decode step.
    pub head: Head,
    /// Whether a whole picture is drawn, rather than one reckoned from the step in its middle.
    pub full: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stages: Stage::ALL.to_vec(),
            head: Head::Image,
            full: false,
        }
    }
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
    pub fn new(settings: &Settings, models: &[&Manifest]) -> Self {
        let context_length = least(models, |m| m.language.context_length);
        let tokens = models
            .iter()
            .map(|m| m.drawing.num_tokens())
            .max()
            .unwrap_or(0);
        let mut stages = settings.stages.clone();
        stages.sort_unstable();
        stages.dedup();

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
        // The step itself takes a position; the last token of a picture is never run.
        let context = fit(Stage::Decode, CONTEXT, context_length.saturating_sub(1));
        let room = (context_length + 1).saturating_sub(tokens);
        let prompt = fit(Stage::Image, PROMPT, room);
        Self {
            stages,
            prefill,
            context,
            rows: ROWS.to_vec(),
            head: settings.head,
            prompt,
            full: settings.full,
            limits,
        }
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

fn least(models: &[&Manifest], size: impl Fn(&Manifest) -> usize) -> usize {
    models.iter().map(|model| size(model)).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use janus_runtime::ModelDir;

    fn manifest(context_length: usize) -> Manifest {
        let model = ModelDir::open(janus_tests::demo_model()).unwrap();
        let mut manifest = model.manifest().clone();
        manifest.language.context_length = context_length;
        manifest
    }

    #[test]
    fn sizes_are_those_of_the_smallest_context() {
        let (large, small) = (manifest(16384), manifest(256));
        let plan = Plan::new(&Settings::default(), &[&large]);
        assert_eq!((&plan.prefill[..], plan.context), (&[64, 620][..], 300));
        assert_eq!((plan.prompt, plan.limits.len()), (32, 0));

        let plan = Plan::new(&Settings::default(), &[&large, &small]);
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
        let plan = Plan::new(&settings, &[&manifest(16)]);
        assert_eq!(plan.stages, [Stage::Decode, Stage::Vq]);
        assert_eq!(plan.prefill, [16]);
        // Nothing is said of stages that are not measured.
        assert!(plan.limits.iter().all(|l| l.stage == Stage::Decode));
    }
}
