//! `janus demo`

use std::time::Instant;

use clap::ValueEnum;
use image::RgbImage;
use janus_demo::{
    Category, Checkpoint, ContactSheet, Dice, DrawingTask, Frame, Question, Reading, Split, Topic,
    render,
};
use janus_pipeline::{Janus, Prompt, Result, TextParams};
use janus_runtime::manifest::DrawingConfig;

use crate::context::Context;
use crate::files::Pattern;
use crate::model::Model;
use crate::{interrupt, output};

const EXAMPLES: &str = "\
Examples:
  janus demo
  janus demo --model flow
  janus demo --seed 7 --out other.png";

/// What is drawn.
const DRAWN: [Category; 8] = [
    Category::SingleObject,
    Category::Colours,
    Category::TwoObjects,
    Category::Counting,
    Category::Position,
    Category::ColourAttribution,
    Category::Counting,
    Category::ColourAttribution,
];
/// What is asked about rendered scenes.
const ASKED: [Topic; 8] = [
    Topic::Colour,
    Topic::Kind,
    Topic::Count,
    Topic::Position,
    Topic::YesNo,
    Topic::Relation,
    Topic::Count,
    Topic::Caption,
];
/// What is asked about pictures that were just drawn.
const CAPTION: &str = "what is in the picture?";
/// Pictures of a row of the contact sheet.
const COLUMNS: usize = 4;
/// Tokens of an answer at most; a caption of four shapes takes about forty.
const MAX_TOKENS: usize = 96;

/// The models that are part of the program.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Embedded {
    /// Draws token by token, as Janus-Pro does
    Pro,
    /// Draws by rectified flow, as JanusFlow does
    Flow,
}

impl From<Embedded> for Checkpoint {
    fn from(model: Embedded) -> Self {
        match model {
            Embedded::Pro => Self::PRO,
            Embedded::Flow => Self::FLOW,
        }
    }
}

/// Draw and answer with the embedded demo model; writes a contact sheet
///
/// Draws prompts of every category, asks the model what it sees in its own pictures, and asks about
/// scenes whose truth is known. A judge that knows nothing of the model looks at the pixels: right
/// ones have a green frame on the sheet, wrong ones a red one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which of the embedded models
    #[arg(long, short, value_enum, default_value_t = Embedded::Pro)]
    model: Embedded,
    /// The contact sheet to write [default: janus-demo.png, or with -2, -3 … where that is there
    /// already]
    #[arg(long, short, value_name = "FILE", verbatim_doc_comment)]
    out: Option<String>,
    /// Replace the file of --out if it is there already
    #[arg(long, short)]
    force: bool,
    /// Which prompts, pictures and scenes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let begun = Instant::now();
    let file = match &args.out {
        Some(name) => Pattern::named(name, 1, args.force)?,
        None => Pattern::free("janus-demo", 1)?,
    };
    let mut janus = Model::embedded(args.model.into(), context)?.janus(context)?;
    let mut sheet = ContactSheet::new();
    draw(&mut janus, args.seed, &mut sheet)?;
    ask(&mut janus, args.seed, &mut sheet)?;
    let file = file.write(0, &sheet.draw(COLUMNS), &())?;
    let seconds = begun.elapsed().as_secs_f64();
    context.note(format!("{seconds:.1} s"));
    Ok(output::line(format!("\n{}", file.display()))?)
}

/// Draws, lets the judge look, and asks the model what it sees.
fn draw(janus: &mut Janus, seed: u64, sheet: &mut ContactSheet) -> anyhow::Result<()> {
    output::line("drawn, and what the model sees in it")?;
    for (i, category) in (0_u64..).zip(DRAWN) {
        interrupt::check()?;
        let mut dice = Dice::new(seed, i);
        let task = DrawingTask::sample(&mut dice, category, Split::Trained);
        let picture = picture(janus, &task.prompt, dice.bits())?;
        let verdict = task.wanted.check(&Reading::of(&picture));
        let (frame, remark) = match verdict {
            Ok(()) => (Frame::Right, String::new()),
            Err(fault) => (Frame::Wrong, format!(" ({fault})")),
        };
        let seen = answer(janus, &picture, CAPTION)?;
        output::line(format!("  {}{remark}\n    {CAPTION} {seen}", task.prompt))?;
        sheet.add(&picture, &task.prompt, frame);
    }
    Ok(())
}

/// A picture of a prompt, with the settings that the model is meant to be used with.
fn picture(janus: &mut Janus, prompt: &str, seed: u64) -> Result<RgbImage> {
    let mut pictures = match janus.manifest().drawing {
        DrawingConfig::Tokens(_) => janus.generate_images(prompt, &janus.image_params(seed))?,
        DrawingConfig::Flow(_) => {
            let params = janus.flow_params(seed)?;
            janus.generate_flow_images(prompt, &params)?
        }
    };
    Ok(pictures.swap_remove(0))
}

/// Asks about scenes where the true answer is known.
fn ask(janus: &mut Janus, seed: u64, sheet: &mut ContactSheet) -> anyhow::Result<()> {
    output::line("\nasked about scenes")?;
    for (i, topic) in (0_u64..).zip(ASKED) {
        interrupt::check()?;
        let mut dice = Dice::new(seed, DRAWN.len() as u64 + i);
        let question = Question::sample(&mut dice, topic, Split::Trained);
        let picture = render(&question.scene);
        let said = answer(janus, &picture, &question.text)?;
        let (frame, remark) = match question.accepts(&said) {
            true => (Frame::Right, String::new()),
            false => (Frame::Wrong, format!(" (it is: {})", question.answer)),
        };
        output::line(format!("  {} {said}{remark}", question.text))?;
        sheet.add(&picture, &format!("{} {said}", question.text), frame);
    }
    Ok(())
}

/// The most probable answer to a question about a picture.
pub(crate) fn answer(janus: &mut Janus, picture: &RgbImage, question: &str) -> Result<String> {
    let prompt = Prompt::new().user_with(vec![picture.clone()], question);
    let params = TextParams {
        max_new_tokens: MAX_TOKENS,
        ..TextParams::default()
    };
    janus.generate_text(&prompt, &params)?.collect()
}
