//! `janus image`

pub(crate) mod flow;

use std::path::PathBuf;
use std::time::Instant;

use janus_pipeline::{ImageParams, ImageTokenStream, Janus, MAX_IMAGES, MAX_WINDOW, Sampling};
use janus_runtime::manifest::DrawingConfig;
use serde::Serialize;
use serde_json::json;

use super::operands::Operands;
use super::sampling;
use crate::context::Context;
use crate::drawing::{Drawing, Drawn, History, tokens};
use crate::files::Pattern;
use crate::model::Model;
use crate::progress::Progress;
use crate::{output, picture};

const EXAMPLES: &str = "\
Examples:
  janus image \"a red circle left of a blue square\"               the embedded demo model
  janus image models/janus-pro-1b \"a red fox in fresh snow\" --images 4 --seed 7
  janus image models/janus-pro-1b \"a red fox\" --out fox-{i}.png --preview-every 96

  janus image models/janusflow-1.3b \"a red fox\" --solver euler   as the official code, 30 steps

One word is the prompt to the demo model; two are a model and the prompt to it.

The file tells how the picture came about: a text `janus:prompt`, `janus:seed` and so on for each
setting, and all of it, with the image tokens, as JSON in the text `janus`.";

/// Draw pictures from text
///
/// The same model, prompt, seed and settings give the same files, byte for byte, and picture i is
/// the same however many are drawn. Prints the name of each file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "janus image [OPTIONS] [MODEL] <PROMPT>")]
pub(crate) struct Args {
    #[command(flatten)]
    operands: Operands,
    /// How many pictures
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1, value_parser = count)]
    images: usize,
    /// Weight of classifier-free guidance; 1 is none, at half the time [default: the model's]
    #[arg(long, short, value_name = "G", allow_negative_numbers = true, value_parser = finite)]
    guidance: Option<f32>,
    /// Files to write: {i} is the number of the picture from 0, {n} from 1
    /// [default: janus-SEED-{i}.png, or with -2, -3 … where that is there already]
    #[arg(long, short, value_name = "PATTERN", verbatim_doc_comment)]
    out: Option<String>,
    /// Replace files of --out that are there already
    #[arg(long, short)]
    force: bool,
    /// Every so many tokens or steps, write the pictures as they are, as NAME-step-N.png,
    /// replacing earlier ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    preview_every: Option<u32>,
    /// Print one JSON object with files, settings, tokens and time
    #[arg(long)]
    json: bool,
    /// Image tokens that one pass tries to draw: the same picture in fewer passes, which cost more
    ///
    /// Faster only where a processor computes several positions nearly as fast as one; see
    /// docs/generation.md.
    #[arg(long, value_name = "W", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=MAX_WINDOW as i64))]
    window: u8,
    #[command(flatten)]
    sampling: sampling::Flags,
    #[command(flatten)]
    flow: flow::Flags,
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok();
    count
        .filter(|count| (1..=MAX_IMAGES).contains(count))
        .ok_or_else(|| format!("it should be 1 to {MAX_IMAGES}"))
}

/// A number that is one.
pub(crate) fn finite(text: &str) -> Result<f32, String> {
    let number: Option<f32> = text.parse().ok();
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| "it should be a finite number".to_owned())
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let begun = Instant::now();
    let prompt = args.operands.text("PROMPT")?;
    args.sampling.at(1.0)?;
    let files = match &args.out {
        Some(pattern) => Pattern::named(pattern, args.images, args.force)?,
        None => Pattern::free(&format!("janus-{}-{{i}}", args.sampling.seed), args.images)?,
    };

    let model = Model::open(args.operands.model(), context)?;
    if let DrawingConfig::Flow(_) = model.dir.manifest().drawing {
        return flow::run(args, &model, &files, context, begun);
    }
    args.flow.refuse(&model)?;
    let mut janus = model.janus(context)?;
    let drawing = Drawing {
        prompt: prompt.trim(),
        params: params(args, &janus)?,
    };
    let preview = Preview {
        model: &model,
        drawing: &drawing,
        files: &files,
        every: args.preview_every,
    };
    let drawn = drawing.draw(&mut janus, context, |stream, bar| preview.look(stream, bar))?;
    for (i, picture) in drawn.pictures.iter().enumerate() {
        let history = drawing.history(&model, i, &drawn.tokens[i]);
        let file = files.write(i, picture, &history)?;
        if !args.json {
            output::line(file.display())?;
        }
    }
    if args.json {
        tell_in_json(&drawing, &drawn, &model, &files, begun)?;
    }
    Ok(())
}

/// The model's own settings where none were given.
fn params(args: &Args, janus: &Janus) -> anyhow::Result<ImageParams> {
    let defaults = janus.image_params(args.sampling.seed);
    let temperature = match defaults.sampling {
        Sampling::Random { temperature, .. } => temperature,
        Sampling::Greedy => 0.0,
    };
    Ok(ImageParams {
        images: args.images,
        guidance_scale: args.guidance.unwrap_or(defaults.guidance_scale),
        sampling: args.sampling.at(temperature)?,
        window: args.window.into(),
    })
}

/// Pictures that are still being drawn, written now and then.
struct Preview<'a> {
    model: &'a Model,
    drawing: &'a Drawing<'a>,
    files: &'a Pattern,
    every: Option<u32>,
}

impl Preview<'_> {
    fn look(&self, stream: &mut ImageTokenStream<'_>, bar: &Progress) -> anyhow::Result<()> {
        let tokens = tokens(stream);
        let done = tokens[0].len();
        let due = |every: u32| done.is_multiple_of(every as usize);
        if !self.every.is_some_and(due) || stream.len() == 0 {
            return Ok(());
        }
        let width = (done + stream.len()).to_string().len();
        for (i, picture) in stream.pictures()?.iter().enumerate() {
            let path = self.files.path(i);
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let path = path.with_file_name(format!("{stem}-step-{done:0width$}.png"));
            let history = self.drawing.history(self.model, i, &tokens[i]);
            picture::write(&path, picture, &history, true)?;
            bar.aside(|| output::note(path.display()));
        }
        Ok(())
    }
}

/// A picture as JSON tells it.
#[derive(Serialize)]
struct Told<'a> {
    file: PathBuf,
    #[serde(flatten)]
    history: History<'a>,
}

fn tell_in_json(
    drawing: &Drawing<'_>,
    drawn: &Drawn,
    model: &Model,
    files: &Pattern,
    begun: Instant,
) -> anyhow::Result<()> {
    let pictures = drawn.tokens.iter().enumerate().map(|(i, tokens)| Told {
        file: files.path(i),
        history: drawing.history(model, i, tokens),
    });
    output::json(&json!({
        "pictures": pictures.collect::<Vec<_>>(),
        "prompt_tokens": drawn.prompt_tokens,
        "seconds": begun.elapsed().as_secs_f64(),
    }))
}
