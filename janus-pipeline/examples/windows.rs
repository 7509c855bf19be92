//! How many image tokens a pass gives: `windows <export> <library> <prompts>`.
//!
//! Draws one picture for each line of the file of prompts, at guidance 1, 3 and 5 with windows of
//! 1 to 32, and prints tokens per pass and the time of a picture beside that of plain decoding.

#![expect(clippy::print_stdout, reason = "a program may print")]

use std::error::Error;
use std::time::Instant;

use janus_pipeline::{ImageParams, Janus, Sampling, SessionOptions};
use janus_runtime::{LibraryOptions, load_library};

const GUIDANCE: [f32; 3] = [1.0, 3.0, 5.0];
const WINDOWS: [usize; 6] = [1, 2, 4, 8, 16, 32];

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
        let mut plain = None;
        for window in WINDOWS {
            let (tokens, passes, seconds) = draw(&mut janus, &prompts, guidance, window)?;
            let ratio = seconds / *plain.get_or_insert(seconds);
            let rate = tokens as f64 / passes as f64;
            println!("{guidance:8}  {window:6}  {rate:15.2}  {ratio:16.2}×");
        }
    }
    Ok(())
}

/// Tokens and passes of all prompts, and seconds after the prompts were read.
fn draw(
    janus: &mut Janus,
    prompts: &str,
    guidance_scale: f32,
    window: usize,
) -> Result<(usize, usize, f64), Box<dyn Error>> {
    let (mut tokens, mut passes, mut seconds) = (0, 0, 0.0);
    for (seed, prompt) in (0..).zip(prompts.lines()) {
        let params = ImageParams {
            images: 1,
            guidance_scale,
            sampling: Sampling::random(1.0, seed),
            window,
        };
        let mut stream = janus.generate_image_tokens(prompt, &params)?;
        while stream.read_prompt()?.is_some() {}
        let begun = Instant::now();
        for step in &mut stream {
            tokens += step?.len();
        }
        seconds += begun.elapsed().as_secs_f64();
        passes += stream.passes();
    }
    Ok((tokens, passes, seconds))
}
