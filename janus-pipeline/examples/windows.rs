//! How many image tokens a pass gives: `windows <export> <library> <prompts>`.
//!
//! Draws one picture for each line of the file of prompts, at guidance 1, 3 and 5 with windows of
//! 1 to 32, and prints tokens per pass and the time of a picture beside that of plain decoding: the
//! median over pictures that were drawn by every window right after each other.

#![expect(clippy::print_stdout, reason = "a program may print")]

use std::error::Error;
use std::time::Instant;

use janus_pipeline::{ImageParams, Janus, Sampling, SessionOptions};
use janus_runtime::{LibraryOptions, load_library};

const GUIDANCE: [f32; 3] = [1.0, 3.0, 5.0];
const WINDOWS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// How often each prompt is drawn by every window.
const TURNS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [export, library, prompts] = &arguments[..] else {
        return Err("usage: windows <export> <library> <prompts>".into());
    };
    load_library(library.as_ref(), &LibraryOptions::default())?;
    let mut janus = Janus::open(export, &SessionOptions::default())?;
    let prompts = std::fs::read_to_string(prompts)?;
    println!("guidance  window  tokens per pass  time of a picture");
    for guidance in GUIDANCE {
        let drawn = in_turns(&mut janus, &prompts, guidance)?;
        for (place, window) in WINDOWS.into_iter().enumerate() {
            let of_window = || drawn.iter().map(|turn| &turn[place]);
            let tokens: usize = of_window().map(|drawn| drawn.tokens).sum();
            let passes: usize = of_window().map(|drawn| drawn.passes).sum();
            let rate = tokens as f64 / passes as f64;
            let ratio = median(
                drawn
                    .iter()
                    .map(|turn| turn[place].seconds / turn[0].seconds),
            );
            println!("{guidance:8}  {window:6}  {rate:15.2}  {ratio:16.2}×");
        }
    }
    Ok(())
}

/// A picture by one window.
struct Drawn {
    tokens: usize,
    passes: usize,
    /// After the prompt was read.
    seconds: f64,
}

/// Every prompt's picture, by every window right after each other.
fn in_turns(
    janus: &mut Janus,
    prompts: &str,
    guidance: f32,
) -> Result<Vec<[Drawn; WINDOWS.len()]>, Box<dyn Error>> {
    let mut turns = Vec::new();
    for (seed, prompt) in (0..TURNS).flat_map(|_| (0..).zip(prompts.lines())) {
        let mut turn = Vec::with_capacity(WINDOWS.len());
        for window in WINDOWS {
            let params = ImageParams {
                images: 1,
                guidance_scale: guidance,
                sampling: Sampling::random(1.0, seed),
                window,
            };
            turn.push(draw(janus, prompt, &params)?);
        }
        turns.extend(turn.try_into());
    }
    Ok(turns)
}

fn draw(janus: &mut Janus, prompt: &str, params: &ImageParams) -> Result<Drawn, Box<dyn Error>> {
    let mut stream = janus.generate_image_tokens(prompt, params)?;
    while stream.read_prompt()?.is_some() {}
    let begun = Instant::now();
    let mut tokens = 0;
    for step in &mut stream {
        tokens += step?.len();
    }
    Ok(Drawn {
        tokens,
        passes: stream.passes(),
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
