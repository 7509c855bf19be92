//! `janus image`

use std::path::PathBuf;
use std::time::Instant;

use image::RgbImage;
use janus_pipeline::{ImageParams, ImageTokenStream, Sampling};
use serde::Serialize;

use super::sampling;
use super::text::model_and_text;
use crate::context::Context;
use crate::output::Pattern;
use crate::progress::Progress;
use crate::{interrupt, model, output};

const EXAMPLES: &str = "\
Examples:
  janus image \"a red circle left of a blue square\"              the embedded demo model
  janus image models/janus-pro-1b \"a red fox in fresh snow\" --images 4 --seed 7
  janus image models/janus-pro-1b \"a red fox\" --out fox-{i}.png --preview-every 96

Prompt, seed, settings and tokens are written into the PNG (text chunk `janus`).";

/// Arguments of `janus image`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to draw, after the model if there is one
    #[arg(required = true, num_args = 1..=2, value_names = ["MODEL", "PROMPT"])]
    words: Vec<String>,
    /// How many pictures; picture i is the same however many there are
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    images: usize,
    /// Weight of classifier-free guidance; 1 is none [default: the model's]
    #[arg(long, short, value_name = "G")]
    guidance: Option<f32>,
    #[command(flatten)]
    sampling: sampling::Flags,
    /// Files to write; {i} is the number of the picture [default: janus-SEED-{i}.png]
    #[arg(long, short, value_name = "PATTERN")]
    out: Option<String>,
    /// Replace files that are there already
    #[arg(long, short)]
    force: bool,
    /// Write the pictures as they are every so many tokens
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    preview_every: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How a picture came about.
#[derive(Serialize)]
struct History<'a> {
    model: String,
    prompt: &'a str,
    seed: u64,
    image: usize,
    guidance_scale: f32,
    temperature: f32,
    top_k: Option<usize>,
    top_p: Option<f32>,
    tokens: Vec<u32>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (model, prompt) = model_and_text(&args.words);
    let seed = args.sampling.seed;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| format!("janus-{seed}-{{i}}.png"));
    let files = Pattern::new(&out, args.images.max(1), args.force)?;

    let begun = Instant::now();
    let mut janus = model::janus(model, context)?;
    let defaults = janus.image_params(seed);
    let temperature = match defaults.sampling {
        Sampling::Random { temperature, .. } => temperature,
        Sampling::Greedy => 0.0,
    };
    let params = ImageParams {
        images: args.images,
        guidance_scale: args.guidance.unwrap_or(defaults.guidance_scale),
        sampling: args.sampling.sampling(temperature),
    };
    let name = model.map_or("demo".to_owned(), |path| path.display().to_string());
    let history = |image: usize, stream: &ImageTokenStream<'_>| History {
        model: name.clone(),
        prompt,
        seed,
        image,
        guidance_scale: params.guidance_scale,
        temperature: args.sampling.temperature.unwrap_or(temperature),
        top_k: args.sampling.top_k,
        top_p: args.sampling.top_p,
        tokens: stream.rows()[image].iter().map(|token| token.0).collect(),
    };

    let mut stream = janus.generate_image_tokens(prompt, &params)?;
    let pictures = draw(&mut stream, args, &files, context)?;
    let mut written = Vec::new();
    for (i, picture) in pictures.iter().enumerate() {
        written.push(files.write(i, picture, &history(i, &stream))?);
    }
    told(args, &written, &stream, begun)
}

/// Runs every step, and shows how far it is.
fn draw(
    stream: &mut ImageTokenStream<'_>,
    args: &Args,
    files: &Pattern,
    context: &Context,
) -> anyhow::Result<Vec<RgbImage>> {
    let total = stream.len() as u64;
    let mut bar = Progress::steps("drawing", total, context.global.quiet);
    while let Some(step) = stream.next() {
        step?;
        interrupt::check()?;
        let done = total - stream.len() as u64;
        bar.set(done);
        let due = args
            .preview_every
            .is_some_and(|every| done.is_multiple_of(every));
        if due && done < total {
            for (i, picture) in stream.pictures()?.iter().enumerate() {
                let path = files.path(i).with_extension(format!("{done}.png"));
                output::write_png(&path, picture, None, true)?;
                bar.say(&path.display().to_string());
            }
        }
    }
    Ok(stream.pictures()?)
}

fn told(
    args: &Args,
    written: &[PathBuf],
    stream: &ImageTokenStream<'_>,
    begun: Instant,
) -> anyhow::Result<()> {
    if !args.json {
        for path in written {
            output::line(path.display())?;
        }
        return Ok(());
    }
    let rows = stream.rows().iter();
    let tokens: Vec<Vec<u32>> = rows
        .map(|row| row.iter().map(|token| token.0).collect())
        .collect();
    output::json(&serde_json::json!({
        "files": written,
        "tokens": tokens,
        "seed": args.sampling.seed,
        "prompt_tokens": stream.prompt_tokens(),
        "seconds": begun.elapsed().as_secs_f64(),
    }))
}
