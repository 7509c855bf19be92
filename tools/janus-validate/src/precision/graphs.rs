//! Each graph alone, on the inputs that the reference's graphs hand on.

use janus_llm::{Embeddings, Sampler, Sampling};
use janus_runtime::manifest::Manifest;
use janus_runtime::{GraphKind, ImageToken, ModelDir, Output, SessionOptions, TokenId};
use janus_vision::{Convention, ImageEmbeds, PixelValues, VisionEncoder};
use janus_vq::{ImageTokens, VqDecoder, VqEncoder, pixels_from_pictures};
use ndarray::{Array, Array1, Array2, Array4, ArrayD, Axis, concatenate};

use super::sequences::{Player, Recording, Task, predicting};
use super::{GraphDifference, GraphRow, Limits, Material, PrecisionOptions};
use crate::compare::difference;
use crate::error::Result;

/// Sequences of a task that the language model is run on.
const SEQUENCES: usize = 2;

/// What graphs gave, in the order in which they ran.
pub(crate) type GraphOutputs = Vec<(GraphKind, Output)>;

/// Compares what the model's graphs gave with what the reference's gave: a bucket of the model's that the
/// reference lacks with its language model.
pub(crate) fn compare_all(
    found: &GraphOutputs,
    expected: &GraphOutputs,
    limits: &Limits,
) -> Vec<GraphRow> {
    let rows = found.iter().filter_map(|(graph, found)| {
        let of = |wanted: GraphKind| expected.iter().find(|(graph, _)| *graph == wanted);
        let (_, expected) = of(*graph).or_else(|| of(GraphKind::LanguageModel))?;
        Some(GraphRow::new(*graph, compare(found, expected), limits))
    });
    rows.collect()
}

fn compare(found: &Output, expected: &Output) -> GraphDifference {
    match (found, expected) {
        (Output::F32(found), Output::F32(expected)) => {
            let difference = difference(found, expected, f64::from);
            GraphDifference::RelativeError(difference.relative_error)
        }
        (Output::I64(found), Output::I64(expected)) => {
            let difference = difference(found, expected, |code| code as f64);
            let equal = found.len() - difference.differing;
            GraphDifference::EqualTokens(equal as f64 / found.len().max(1) as f64)
        }
        // The components fix the type of what each graph gives.
        _ => GraphDifference::RelativeError(f64::NAN),
    }
}

/// Inputs of the graphs that read or draw pictures.
#[derive(Debug)]
pub(crate) struct PictureInputs {
    /// Each of the material's pictures.
    pixel_values: Vec<PixelValues>,
    /// The first of them, `[n, 3, size, size]`.
    pixels: Array4<f32>,
    /// As many grids of random codes.
    codes: ImageTokens,
}

impl PictureInputs {
    /// Pictures for about as many image tokens as are wanted, one at least.
    pub(crate) fn new(
        material: &Material,
        manifest: &Manifest,
        wanted: &PrecisionOptions,
    ) -> Result<Self> {
        let (vq, shown) = (manifest.vq()?, &material.shown);
        let prepare = |picture| {
            let pictures = std::slice::from_ref(picture);
            PixelValues::from_images(pictures, &manifest.vision, Convention::default())
        };
        let count = (wanted.positions / vq.num_tokens().max(1)).clamp(1, shown.len());
        let pictures = shown[..count].iter().map(|shown| shown.picture.clone());
        let pictures: Vec<_> = pictures.collect();
        let codes = random_codes(count * vq.num_tokens(), vq.codebook_size, wanted.seed)?;
        let grids: Vec<_> = codes.chunks_exact(vq.num_tokens()).collect();
        Ok(Self {
            pixel_values: shown.iter().map(|shown| prepare(&shown.picture)).collect(),
            pixels: pixels_from_pictures(&pictures, vq.image_size)?,
            codes: ImageTokens::from_rows(&grids, vq)?,
        })
    }

    /// Runs the three graphs, one in memory at a time; gives the embeddings of every picture too.
    pub(crate) fn run(
        &self,
        model: &ModelDir,
        options: &SessionOptions,
        tell: &mut dyn FnMut(GraphKind) -> Result<()>,
    ) -> Result<(Vec<ImageEmbeds>, GraphOutputs)> {
        let mut image_embeds = Vec::with_capacity(self.pixel_values.len());
        let mut encoder = VisionEncoder::open(model, options)?;
        for pixel_values in &self.pixel_values {
            tell(GraphKind::VisionEncoder)?;
            image_embeds.push(encoder.encode(pixel_values)?);
        }
        drop(encoder);
        let flat: Vec<_> = image_embeds
            .iter()
            .flat_map(|e| e.view().to_owned())
            .collect();
        tell(GraphKind::VqEncoder)?;
        let tokens = VqEncoder::open(model, options)?.encode_pixels(self.pixels.view())?;
        tell(GraphKind::VqDecoder)?;
        let pixels = VqDecoder::open(model, options)?.decode_pixels(&self.codes)?;
        let outputs = vec![
            (
                GraphKind::VisionEncoder,
                Output::F32(Array1::from(flat).into_dyn()),
            ),
            (
                GraphKind::VqEncoder,
                Output::I64(tokens.view().to_owned().into_dyn()),
            ),
            (GraphKind::VqDecoder, Output::F32(pixels.into_dyn())),
        ];
        Ok((image_embeds, outputs))
    }
}

/// Inputs of the language model's graphs.
#[derive(Debug)]
pub(crate) struct LanguageInputs {
    /// Prompts and answers.
    ids: Vec<TokenId>,
    /// Random codes.
    codes: Vec<ImageToken>,
    /// Sequences of text and of image tokens with their prompts.
    embeds: Vec<Embeddings>,
    /// What the text head reads, `[rows, hidden]`.
    text_hidden: Array2<f32>,
    /// What the image head reads, `[rows, hidden]`.
    image_hidden: Array2<f32>,
}

impl LanguageInputs {
    /// The reference's own: embeddings of the first sequences it wrote, and the hidden states that
    /// it has there.
    pub(crate) fn of_reference(
        reference: &mut Player<'_>,
        recordings: &[Recording],
        manifest: &Manifest,
        seed: u64,
    ) -> Result<Self> {
        let vq = manifest.vq()?;
        let mut ids = Vec::new();
        let mut embeds = Vec::new();
        let (mut of_text, mut of_images) = (Vec::new(), Vec::new());
        let plain = |recording: &&Recording| recording.batch.task != Task::TextWithPicture;
        let mut last_task = None;
        for recording in recordings.iter().filter(plain) {
            let task = recording.batch.task;
            if last_task.replace(task) == Some(task) {
                continue;
            }
            for sequence in 0..recording.batch.sequences().min(SEQUENCES) {
                let prompt = &recording.batch.prompts[sequence].ids;
                let sequence = reference.embed_sequence(recording, sequence)?;
                let hidden = run_decoder(reference, GraphKind::LanguageModel, &sequence)?;
                let rows = predicting(hidden.view(), prompt.len());
                match task {
                    Task::Image { .. } => of_images.push(rows),
                    Task::Text | Task::TextWithPicture => of_text.push(rows),
                }
                ids.extend(prompt);
                embeds.push(sequence);
            }
        }
        Ok(Self {
            ids,
            codes: random_codes(vq.num_tokens(), vq.codebook_size, seed)?,
            embeds,
            text_hidden: below_one_another(&of_text),
            image_hidden: below_one_another(&of_images),
        })
    }

    /// Runs the five graphs; where sizes are fixed, the language model's for every cache that holds the
    /// sequences.
    pub(crate) fn run(
        &self,
        player: &mut Player<'_>,
        tell: &mut dyn FnMut(GraphKind) -> Result<()>,
    ) -> Result<GraphOutputs> {
        tell(GraphKind::EmbedTokens)?;
        let text = player.llm.embed_text(&self.ids)?.view().to_owned();
        let codes = player
            .llm
            .embed_image_tokens(&self.codes)?
            .view()
            .to_owned();
        let longest = self.embeds.iter().map(Embeddings::positions).max();
        let decoders = decoders(player.manifest, longest.unwrap_or(0));
        let mut of_decoders = Vec::new();
        for graph in decoders {
            let mut hidden = Vec::new();
            for embeds in &self.embeds {
                tell(graph)?;
                hidden.push(run_decoder(player, graph, embeds)?);
            }
            of_decoders.push((graph, below_one_another(&hidden)));
        }
        tell(GraphKind::LmHead)?;
        let text_scores = player.scores(Task::Text, &self.text_hidden)?;
        tell(GraphKind::GenHead)?;
        let drawing = Task::Image { guidance: 1.0 };
        let image_scores = player.scores(drawing, &self.image_hidden)?;
        let floats = |array: ArrayD<f32>| Output::F32(array);
        let mut outputs = vec![
            (GraphKind::EmbedTokens, floats(text.into_dyn())),
            (GraphKind::GenEmbed, floats(codes.into_dyn())),
        ];
        let of_decoders = of_decoders.into_iter();
        outputs.extend(of_decoders.map(|(graph, hidden)| (graph, floats(hidden.into_dyn()))));
        outputs.push((GraphKind::LmHead, floats(text_scores.into_dyn())));
        outputs.push((GraphKind::GenHead, floats(image_scores.into_dyn())));
        Ok(outputs)
    }
}

/// The language models whose caches hold so many positions, the smallest first.
fn decoders(manifest: &Manifest, positions: usize) -> Vec<GraphKind> {
    let buckets = manifest.graphs.keys().filter(|kind| match kind {
        GraphKind::LanguageModelBucket(size) => *size >= positions,
        _ => false,
    });
    let whole = [GraphKind::LanguageModel];
    buckets.copied().chain(whole).collect()
}

/// All positions of one sequence, `[positions, hidden]`, in one pass; where sizes are fixed, in two, as
/// the last one is for another graph.
fn run_decoder(
    player: &mut Player<'_>,
    graph: GraphKind,
    embeds: &Embeddings,
) -> Result<Array2<f32>> {
    let fixed = player.manifest.cache_sizes();
    let positions = embeds.positions();
    let room = match (graph.bucket(), fixed.last()) {
        (Some(size), _) | (None, Some(&size)) => size,
        (None, None) => positions,
    };
    let mut cache = player.llm.new_cache(1, room.max(positions))?;
    let first = match fixed.is_empty() {
        true => positions,
        false => positions.saturating_sub(1).max(1),
    };
    let mut parts = Vec::new();
    for piece in [0..first, first..positions] {
        if !piece.is_empty() {
            let hidden = player.llm.forward(&embeds.slice(piece), &mut cache)?;
            parts.push(hidden.view().index_axis(Axis(0), 0).to_owned());
        }
    }
    Ok(below_one_another(&parts))
}

/// Rows of one width, below one another; none of none.
fn below_one_another(parts: &[Array2<f32>]) -> Array2<f32> {
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(0), &views).unwrap_or_default()
}

/// Codes of which each is equally likely.
fn random_codes(count: usize, codebook_size: usize, seed: u64) -> Result<Vec<ImageToken>> {
    let mut sampler = Sampler::new(Sampling::random(1.0, seed), 0)?;
    let equal = Array::zeros(codebook_size);
    Ok((0..count).map(|_| sampler.sample(equal.view())).collect())
}
