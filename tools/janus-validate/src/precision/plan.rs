//! Which sequences the reference is to write.

use janus_runtime::ModelDir;
use janus_runtime::manifest::Manifest;

use super::sequences::{Batch, Task};
use super::spelling::{Prompt, Speller};
use super::{Material, PrecisionOptions};
use crate::error::{Error, Result};

/// The guidance of the official code, at which every model is compared.
const OFFICIAL_GUIDANCE: f32 = 5.0;
/// Sequences that run side by side at most.
const MAX_SEQUENCES: usize = 4;
/// Tokens of a sequence.
const USUAL_TOKENS: usize = 32;
/// Where more sequences would be needed, longer ones are written.
const USUAL_SEQUENCES: usize = 8;
/// Tokens of an answer at most.
const MAX_ANSWER: usize = 512;

/// Which sequences the reference is to write.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) wanted: PrecisionOptions,
    material: &'a Material,
    speller: Speller<'a>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        reference: &'a ModelDir,
        material: &'a Material,
        wanted: &PrecisionOptions,
    ) -> Result<Self> {
        Ok(Self {
            manifest: reference.manifest(),
            wanted: *wanted,
            material,
            speller: Speller::open(reference)?,
        })
    }

    /// What is compared, in order.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let own = self.manifest.generation.guidance_scale;
        let mut tasks = vec![Task::Text, Task::TextWithPicture];
        tasks.push(Task::Image { guidance: own });
        if own != OFFICIAL_GUIDANCE {
            let guidance = OFFICIAL_GUIDANCE;
            tasks.push(Task::Image { guidance });
        }
        tasks
    }

    /// Positions of all tasks.
    pub(crate) fn positions(&self) -> usize {
        self.tasks().len() * self.wanted.positions
    }

    /// The sequences of a task from the `first` on, of which `missing` tokens are wanted.
    pub(crate) fn batch(&self, task: Task, first: usize, missing: usize) -> Result<Batch> {
        let tokens = self.wanted.positions.div_ceil(USUAL_SEQUENCES);
        let longest = match task {
            Task::Image { .. } => self.manifest.drawing.num_tokens(),
            Task::Text | Task::TextWithPicture => MAX_ANSWER,
        };
        let mut tokens = tokens.max(USUAL_TOKENS).min(longest);
        let sequences = first..first + missing.div_ceil(tokens).clamp(1, MAX_SEQUENCES);
        let mut prompts = Vec::with_capacity(sequences.len());
        for i in sequences.clone() {
            let prompt = self.prompt(task, i)?;
            tokens = tokens.min(self.room(&prompt)?);
            prompts.push(prompt);
        }
        if task.is_guided() {
            let twins = prompts
                .iter()
                .map(|prompt| self.speller.unconditional(prompt));
            let twins: Vec<_> = twins.collect();
            prompts.extend(twins);
        }
        Ok(Batch {
            task,
            prompts,
            pictures: sequences.map(|i| i % self.material.shown.len()).collect(),
            tokens,
        })
    }

    /// The prompt of a sequence; the material is gone through again and again.
    fn prompt(&self, task: Task, sequence: usize) -> Result<Prompt> {
        let Material {
            drawings,
            questions,
            shown,
        } = self.material;
        match task {
            Task::Text => {
                let question = &questions[sequence % questions.len()];
                self.speller.question(question, false)
            }
            Task::TextWithPicture => {
                let shown = &shown[sequence % shown.len()];
                self.speller.question(&shown.question, true)
            }
            Task::Image { .. } => self.speller.drawing(&drawings[sequence % drawings.len()]),
        }
    }

    /// Tokens that a prompt leaves room for.
    fn room(&self, prompt: &Prompt) -> Result<usize> {
        let (found, limit) = (prompt.ids.len(), self.manifest.language.context_length);
        match limit.checked_sub(found) {
            Some(left) if left > 0 => Ok(left),
            _ => Err(Error::Pipeline(janus_pipeline::Error::PromptTooLong {
                found,
                limit,
            })),
        }
    }
}
