//! `janus demo`

use std::path::PathBuf;

use image::RgbImage;
use janus_demo::{
    Category, ContactSheet, Dice, DrawingTask, Frame, Question, Reading, Split, Topic, Word, render,
};
use janus_pipeline::{Janus, Prompt, TextParams};

use crate::context::Context;
use crate::{interrupt, model, output};

/// Pictures of a row of the contact sheet.
const COLUMNS: usize = 6;
/// Draws the scenes that are asked about; any number would do.
const SCENES: u64 = 5;

/// Arguments of `janus demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The model [default: the embedded demo model]
    model: Option<PathBuf>,
    /// The contact sheet to write
    #[arg(long, short, value_name = "FILE", default_value = "janus-demo.png")]
    out: PathBuf,
    /// Which pictures and scenes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut janus = model::janus(args.model.as_deref(), context)?;
    let mut sheet = ContactSheet::new();
    output::line("Drawing:")?;
    let drawn = draw(&mut janus, args.seed, &mut sheet)?;
    output::line("\nAnswering about pictures that were just drawn:")?;
    ask_about_drawn(&mut janus, &drawn)?;
    output::line("\nAnswering about scenes:")?;
    ask_about_scenes(&mut janus, args.seed, &mut sheet)?;
    output::write_png(&args.out, &sheet.draw(COLUMNS), None, true)?;
    output::line(format!("\n{}", args.out.display()))?;
    Ok(())
}

/// Draws two prompts of each category and lets the judge look at them.
fn draw(
    janus: &mut Janus,
    seed: u64,
    sheet: &mut ContactSheet,
) -> anyhow::Result<Vec<(String, RgbImage)>> {
    let mut drawn = Vec::new();
    let mut dice = Dice::new(seed, 0);
    for (i, category) in Category::ALL.iter().flat_map(|c| [*c; 2]).enumerate() {
        interrupt::check()?;
        let task = DrawingTask::sample(&mut dice, category, Split::Trained);
        let params = janus.image_params(seed.wrapping_add(i as u64));
        let picture = janus.generate_images(&task.prompt, &params)?.swap_remove(0);
        let verdict = task.wanted.check(&Reading::of(&picture));
        let (frame, remark) = match &verdict {
            Ok(()) => (Frame::Right, "right".to_owned()),
            Err(fault) => (Frame::Wrong, format!("wrong: {fault}")),
        };
        output::line(format!("  {:45} {remark}", task.prompt))?;
        sheet.add(&picture, &task.prompt, frame);
        drawn.push((task.prompt, picture));
    }
    Ok(drawn)
}

fn ask_about_drawn(janus: &mut Janus, drawn: &[(String, RgbImage)]) -> anyhow::Result<()> {
    for (prompt, picture) in drawn.iter().step_by(3) {
        output::line(format!("  (drawn for \"{prompt}\")"))?;
        for question in ["describe the picture.", "how many shapes are there?"] {
            let answer = answer(janus, picture, question)?;
            output::line(format!("    {question:40} {answer}"))?;
        }
    }
    Ok(())
}

/// Asks a question of every topic about a scene, where the true answer is known.
fn ask_about_scenes(janus: &mut Janus, seed: u64, sheet: &mut ContactSheet) -> anyhow::Result<()> {
    let mut dice = Dice::new(seed, SCENES);
    for topic in Topic::ALL {
        let question = Question::sample(&mut dice, *topic, Split::Trained);
        let picture = render(&question.scene);
        let said = answer(janus, &picture, &question.text)?;
        let (frame, remark) = match question.accepts(&said) {
            true => (Frame::Right, "right".to_owned()),
            false => (Frame::Wrong, format!("wrong: {}", question.answer)),
        };
        output::line(format!("  {:45} {said} ({remark})", question.text))?;
        sheet.add(&picture, &format!("{} {said}", question.text), frame);
    }
    Ok(())
}

/// A greedy answer.
pub(crate) fn answer(
    janus: &mut Janus,
    picture: &RgbImage,
    question: &str,
) -> anyhow::Result<String> {
    interrupt::check()?;
    let prompt = Prompt::new().user_with(vec![picture.clone()], question);
    let params = TextParams {
        max_new_tokens: 64,
        ..TextParams::default()
    };
    let mut text = String::new();
    for piece in janus.generate_text(&prompt, &params)? {
        text.push_str(&piece?);
    }
    Ok(text)
}
