//! Sequences that the reference writes and every model then reads: sampled once, forced after.

use janus_llm::{Embeddings, KvCache, LanguageModel, Logits, Sampler, Sampling};
use janus_runtime::manifest::Manifest;
use janus_runtime::{ImageToken, TokenId};
use janus_vision::ImageEmbeds;
use ndarray::{Array2, Array3, ArrayView2, Axis, s};

use super::divergence::Position;
use super::spelling::Prompt;
use crate::error::Result;

/// What sequences are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Task {
    /// Answers to questions.
    Text,
    /// Answers to questions about a picture.
    TextWithPicture,
    /// Pictures, drawn with so much guidance; 1 is none.
    Image { guidance: f32 },
}

impl Task {
    /// Whether there is an unconditional row for every conditional one.
    pub(crate) fn is_guided(self) -> bool {
        matches!(self, Self::Image { guidance } if guidance != 1.0)
    }

    /// The scores that tokens are drawn from, a row per sequence: those of the head, or guided.
    pub(crate) fn drawn_from(self, scores: &Array2<f32>) -> Array2<f32> {
        match self {
            Self::Image { guidance } if self.is_guided() => {
                let logits = Logits::<ImageToken>::new(scores.clone());
                logits.guided(guidance).view().to_owned()
            }
            _ => scores.clone(),
        }
    }
}

/// Sequences that run side by side.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) task: Task,
    /// A prompt for each row; where there is guidance the conditional rows come first and their
    /// unconditional twins after them.
    pub(crate) prompts: Vec<Prompt>,
    /// Which of the pictures each prompt shows, if it shows one.
    pub(crate) pictures: Vec<usize>,
    /// Tokens of a sequence at most.
    pub(crate) tokens: usize,
}

impl Batch {
    /// Number of sequences.
    pub(crate) fn sequences(&self) -> usize {
        match self.task.is_guided() {
            true => self.prompts.len() / 2,
            false => self.prompts.len(),
        }
    }
}

/// What the reference wrote, and the scores by which it did.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) batch: Batch,
    /// The token of each step and sequence; none once an answer has ended.
    steps: Vec<Vec<Option<u32>>>,
    /// The scores of each step, `[rows, vocabulary]`.
    scores: Vec<Array2<f32>>,
}

impl Recording {
    /// The tokens of a sequence.
    pub(crate) fn sequence(&self, index: usize) -> Vec<u32> {
        self.steps.iter().map_while(|step| step[index]).collect()
    }

    /// Number of tokens of all sequences.
    pub(crate) fn positions(&self) -> usize {
        self.steps.iter().flatten().flatten().count()
    }

    /// Compares a step of another model with it: each row of the head's scores, and each guided
    /// one.
    fn compare(&self, step: usize, found: &Array2<f32>, positions: &mut Positions) {
        let (task, reference) = (self.batch.task, &self.scores[step]);
        let guided = task
            .is_guided()
            .then(|| (task.drawn_from(reference), task.drawn_from(found)));
        for (row, token) in self.steps[step].iter().enumerate() {
            let Some(token) = *token else { continue };
            let compare = |reference: &Array2<f32>, found: &Array2<f32>| {
                Position::new(reference.row(row), found.row(row), token)
            };
            positions.head.push(compare(reference, found));
            if let Some((reference, found)) = &guided {
                positions.guided.push(compare(reference, found));
            }
        }
    }
}

/// Where a model's predictions were compared with the reference's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions {
    /// As the head gives them; of pictures the conditional rows.
    pub(crate) head: Vec<Position>,
    /// After guidance.
    pub(crate) guided: Vec<Position>,
}

/// A language model that runs batches.
#[derive(Debug)]
pub(crate) struct Player<'a> {
    pub(crate) llm: LanguageModel,
    pub(crate) manifest: &'a Manifest,
    /// The material's pictures.
    pictures: &'a [ImageEmbeds],
}

impl<'a> Player<'a> {
    pub(crate) fn new(
        llm: LanguageModel,
        manifest: &'a Manifest,
        pictures: &'a [ImageEmbeds],
    ) -> Self {
        Self {
            llm,
            manifest,
            pictures,
        }
    }

    /// Samples the sequences of a batch, the first with the draws of `first_stream`.
    ///
    /// `tell` is told the number of tokens after every step.
    pub(crate) fn record(
        &mut self,
        batch: Batch,
        seed: u64,
        first_stream: u64,
        tell: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Recording> {
        let temperature = match batch.task {
            Task::Image { .. } => self.manifest.generation.temperature,
            Task::Text | Task::TextWithPicture => 1.0,
        };
        let sampling = Sampling::random(temperature, seed);
        let streams = first_stream..first_stream + batch.sequences() as u64;
        let mut samplers = streams
            .map(|stream| Sampler::new(sampling, stream))
            .collect::<Result<Vec<_>, _>>()?;
        let mut ended = vec![false; samplers.len()];
        let eos = self.manifest.tokens.eos;
        let (mut steps, mut all_scores) = (Vec::new(), Vec::new());
        self.play(&batch, |scores| {
            let drawn_from = batch.task.drawn_from(&scores);
            let mut tokens = vec![None; samplers.len()];
            for (row, sampler) in samplers.iter_mut().enumerate() {
                if !ended[row] {
                    let token = sampler.sample::<TokenId>(drawn_from.row(row)).0;
                    ended[row] = !matches!(batch.task, Task::Image { .. }) && token == eos;
                    tokens[row] = Some(token);
                }
            }
            tell(tokens.iter().flatten().count())?;
            all_scores.push(scores);
            steps.push(tokens.clone());
            let more = !ended.iter().all(|&ended| ended);
            Ok(more.then_some(tokens))
        })?;
        Ok(Recording {
            batch,
            steps,
            scores: all_scores,
        })
    }

    /// Runs over the sequences of a recording and compares every prediction.
    pub(crate) fn follow(
        &mut self,
        recording: &Recording,
        positions: &mut Positions,
        tell: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<()> {
        let mut step = 0;
        self.play(&recording.batch, |scores| {
            let tokens = &recording.steps[step];
            recording.compare(step, &scores, positions);
            tell(tokens.iter().flatten().count())?;
            step += 1;
            Ok((step < recording.steps.len()).then(|| tokens.clone()))
        })
    }

    /// Runs a batch as the pipeline does: prompts up to their last position, then all rows a
    /// position at a time with the cache.
    ///
    /// `next` gets the scores of a step, `[rows, vocabulary]`, and gives the token of each sequence
    /// that goes on; nothing ends the batch.
    fn play(
        &mut self,
        batch: &Batch,
        mut next: impl FnMut(Array2<f32>) -> Result<Option<Vec<Option<u32>>>>,
    ) -> Result<()> {
        let (mut embeds, mut cache) = self.prefill(batch)?;
        for step in 1.. {
            let hidden = self.llm.forward(&embeds, &mut cache)?;
            let scores = self.scores(batch.task, &hidden.last())?;
            match next(scores)? {
                Some(tokens) if step < batch.tokens => embeds = self.embed_step(batch, &tokens)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// The scores that a head gives to `hidden [rows, hidden]`; those of text end where the
    /// tokenizer's vocabulary does.
    pub(crate) fn scores(&mut self, task: Task, hidden: &Array2<f32>) -> Result<Array2<f32>> {
        Ok(match task {
            Task::Image { .. } => self.llm.image_logits(hidden)?.view().to_owned(),
            Task::Text | Task::TextWithPicture => {
                let vocabulary = self.manifest.tokens.tokenizer_size as usize;
                let logits = self.llm.text_logits(hidden)?.limited(vocabulary);
                logits.view().to_owned()
            }
        })
    }

    /// A sequence with its prompt, `[1, positions, hidden]`.
    pub(crate) fn embed_sequence(
        &mut self,
        recording: &Recording,
        sequence: usize,
    ) -> Result<Embeddings> {
        let prompt = self.embed_prompt(&recording.batch, sequence)?;
        let tokens = recording.sequence(sequence);
        let written = match recording.batch.task {
            Task::Image { .. } => {
                let tokens: Vec<_> = tokens.into_iter().map(ImageToken).collect();
                self.llm.embed_image_tokens(&tokens)?
            }
            Task::Text | Task::TextWithPicture => {
                let tokens: Vec<_> = tokens.into_iter().map(TokenId).collect();
                self.llm.embed_text_rows(&tokens)?
            }
        };
        let (start, count) = (prompt.positions(), written.rows());
        let width = prompt.view().len_of(Axis(2));
        let mut embeds = Array3::zeros((1, start + count, width));
        let mut part = embeds.slice_mut(s![.., ..start, ..]);
        part.assign(&prompt.view());
        let mut part = embeds.slice_mut(s![0, start.., ..]);
        part.assign(&written.view().index_axis(Axis(1), 0));
        Ok(Embeddings::new(embeds))
    }

    /// Runs all prompts but their last positions, which it gives, `[rows, 1, hidden]`.
    fn prefill(&mut self, batch: &Batch) -> Result<(Embeddings, KvCache)> {
        let longest = batch.prompts.iter().map(|p| p.ids.len()).max().unwrap_or(0);
        let capacity = longest + batch.tokens;
        let mut cache = self.llm.new_cache(batch.prompts.len(), capacity)?;
        let mut ends = Vec::with_capacity(batch.prompts.len());
        for row in 0..batch.prompts.len() {
            let embeds = self.embed_prompt(batch, row)?;
            let last = embeds.positions() - 1;
            let mut prefill = self.llm.prefill(embeds.slice(0..last))?;
            while !prefill.is_complete() {
                self.llm.advance(&mut prefill)?;
            }
            cache.copy_row(row, prefill.cache(), 0)?;
            ends.push(embeds.slice(last..last + 1));
        }
        Ok((Embeddings::stack(&ends), cache))
    }

    /// A prompt with its picture in place, `[1, positions, hidden]`.
    fn embed_prompt(&mut self, batch: &Batch, row: usize) -> Result<Embeddings> {
        let prompt = &batch.prompts[row];
        let mut embeds = self.llm.embed_text(&prompt.ids)?;
        if let Some(start) = prompt.picture {
            let picture = &self.pictures[batch.pictures[row]];
            embeds.replace(0, start, picture.picture(0));
        }
        Ok(embeds)
    }

    /// The tokens of a step, `[rows, 1, hidden]`. Answers that have ended idle along.
    fn embed_step(&mut self, batch: &Batch, tokens: &[Option<u32>]) -> Result<Embeddings> {
        let idle = self.manifest.tokens.eos;
        let tokens = tokens.iter().map(|token| token.unwrap_or(idle));
        Ok(match batch.task {
            Task::Image { .. } => {
                let tokens: Vec<_> = tokens.map(ImageToken).collect();
                let times = batch.prompts.len() / tokens.len();
                self.llm.embed_image_tokens(&tokens.repeat(times))?
            }
            Task::Text | Task::TextWithPicture => {
                let tokens: Vec<_> = tokens.map(TokenId).collect();
                self.llm.embed_text_rows(&tokens)?
            }
        })
    }
}

/// Rows of hidden states that predict: the last of the prompt, and those of the tokens but the
/// last.
pub(crate) fn predicting(hidden: ArrayView2<'_, f32>, prompt: usize) -> Array2<f32> {
    let end = hidden.nrows() - 1;
    hidden.slice(s![prompt - 1..end, ..]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precision::graphs::PictureInputs;
    use crate::precision::plan::Plan;
    use crate::precision::{Material, PrecisionOptions};
    use janus_pipeline::{ImageParams, Janus, Prompt as Conversation, TextParams};
    use janus_runtime::manifest::DType;
    use janus_runtime::{ModelDir, SessionOptions};
    use janus_tests::{demo_model, load_library, tiny_model};

    /// Of a sequence: a whole picture of the demo model.
    const TOKENS: usize = 36;
    /// So many that the plan makes sequences of this length.
    const WANTED: PrecisionOptions = PrecisionOptions {
        positions: 8 * TOKENS,
        seed: 5,
    };

    /// The tokens of a task's first sequence, as the pipeline samples them.
    fn sampled_by_pipeline(janus: &mut Janus, task: Task, material: &Material) -> Vec<u32> {
        let seed = WANTED.seed;
        let question = match task {
            Task::Image { guidance } => {
                let params = ImageParams {
                    guidance_scale: guidance,
                    ..janus.image_params(seed)
                };
                let drawing = &material.drawings[0];
                let mut stream = janus.generate_image_tokens(drawing, &params).unwrap();
                stream.by_ref().for_each(|step| drop(step.unwrap()));
                return stream.rows()[0].iter().map(|token| token.0).collect();
            }
            Task::Text => Conversation::new().user(&material.questions[0]),
            Task::TextWithPicture => {
                let shown = &material.shown[0];
                Conversation::new().user_with(vec![shown.picture.clone()], &shown.question)
            }
        };
        let params = TextParams {
            max_new_tokens: TOKENS,
            sampling: Sampling::random(1.0, seed),
        };
        let mut stream = janus.generate_text(&question, &params).unwrap();
        stream.by_ref().for_each(|piece| drop(piece.unwrap()));
        stream.tokens().iter().map(|token| token.0).collect()
    }

    #[test]
    fn sequences_are_what_the_pipeline_says_and_draws() {
        load_library();
        let (material, options) = (Material::generic(), SessionOptions::default());
        for path in [demo_model(), tiny_model("released", DType::Fp32)] {
            let model = ModelDir::open(path).unwrap();
            let plan = Plan::new(&model, &material, &WANTED).unwrap();
            let inputs = PictureInputs::new(&material, model.manifest(), &WANTED).unwrap();
            let (pictures, _) = inputs.run(&model, &options, &mut |_| Ok(())).unwrap();
            let llm = LanguageModel::open(&model, &options).unwrap();
            let mut player = Player::new(llm, model.manifest(), &pictures);
            let mut janus = Janus::from_dir(&model, &options).unwrap();
            let unguided = Task::Image { guidance: 1.0 };
            for task in plan.tasks().into_iter().chain([unguided]) {
                let batch = plan.batch(task, 0, WANTED.positions).unwrap();
                let recording = player.record(batch, WANTED.seed, 0, &mut |_| Ok(()));
                let mut tokens = recording.unwrap().sequence(0);
                // The pipeline does not count the token that ends an answer.
                let eos = model.manifest().tokens.eos;
                if !matches!(task, Task::Image { .. }) {
                    tokens.pop_if(|last| *last == eos);
                }
                let expected = sampled_by_pipeline(&mut janus, task, &material);
                assert_eq!(tokens, expected, "{task:?}");
            }
        }
    }
}
