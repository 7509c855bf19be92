//! oxinfer 0.0.7 on a Janus-Pro checkpoint, q4: `compare-oxinfer CHECKPOINT THREADS full|quick PARTS`, where PARTS is a
//! comma-separated choice of `image`, `prefill` and `decode`. Prints the figures as one JSON object; times in seconds.
//!
//! `measure.py` has the same constants and the same order of measuring for the peers that Python can call.

use anyhow::{Context, Result, bail};
use oxinfer::generate::Flow;
use oxinfer::janus::llm::{BatchState, LlamaConfig, Llm};
use oxinfer::janus::{ImageOptions, Janus, JanusOptions};
use oxinfer::model::Quant;
use oxinfer::platform::DevicePref;
use oxinfer::safetensors::ModelFiles;
use serde_json::{Map, Value, json};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

const CONTEXT: usize = 288;
const PROMPTS: [usize; 2] = [64, 620];
const IMAGE_TOKENS: usize = 576;
const CODES: usize = 16384;
const PROMPT: &str = "a red fox in the snow, in the early morning, by a wooden fence";
const STEPS: usize = 24;
const WARM_UP: usize = 4;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, threads, length, parts] = &arguments[..] else {
        bail!("expected CHECKPOINT THREADS full|quick PARTS");
    };
    oxinfer::pool::init(threads.parse().context("THREADS")?);
    let quick = length == "quick";
    let wanted = |part: &str| parts.split(',').any(|p| p == part);
    let mut figures = Map::new();
    let mut peaks = Map::new();
    if wanted("image") {
        let options = JanusOptions {
            quant: Quant::Q4,
            device: DevicePref::Cpu,
            understanding: false,
            ..Default::default()
        };
        let janus = Janus::load(checkpoint, &options)?;
        figures.insert("load_s".into(), json!(janus.load_secs));
        let image = if quick { shortened_image(&janus)? } else { whole_image(&janus)? };
        figures.insert("image".into(), image);
        peaks.insert("image".into(), json!(peak_memory()?));
    }
    if wanted("prefill") || wanted("decode") {
        let start = Instant::now();
        let files = ModelFiles::open(Path::new(checkpoint), true)?;
        let model = Llm::load(language_config(checkpoint)?, &files, "language_model.", Quant::Q4)?;
        figures.insert("load_language_s".into(), json!(start.elapsed().as_secs_f64()));
        if wanted("prefill") {
            figures.insert("prefill_s".into(), prefills(&model, if quick { 1 } else { 3 }));
        }
        if wanted("decode") {
            figures.insert("decode_step_s".into(), decode_steps(&model, if quick { &[1, 2] } else { &[1, 2, 8] }));
        }
        peaks.insert("language".into(), json!(peak_memory()?));
    }
    figures.insert("peak_memory_bytes".into(), Value::Object(peaks));
    println!("{}", Value::Object(figures));
    Ok(())
}

/// One image from prompt to pixels.
fn whole_image(janus: &Janus) -> Result<Value> {
    let start = Instant::now();
    let (_, stats) = janus.generate_images(PROMPT, &ImageOptions::default(), &mut |_| Flow::Continue)?;
    Ok(json!({
        "prompt_tokens": stats.prompt_tokens,
        "prefill_s": stats.prefill,
        "steps_s": stats.tokens,
        "step_s": stats.tokens / stats.steps as f64,
        "vq_decode_s": stats.decode,
        "total_s": start.elapsed().as_secs_f64(),
        "extrapolated": false,
    }))
}

/// The parts of an image; the steps are measured half way through it, behind a longer prompt, and multiplied.
fn shortened_image(janus: &Janus) -> Result<Value> {
    let prefill = step_times(janus, PROMPT, 1)?[0];
    let half_way = PROMPT.chars().cycle().take(CONTEXT).collect::<String>();
    let step = median(step_times(janus, &half_way, 1 + WARM_UP + STEPS)?.split_off(1 + WARM_UP));
    let tokens: Vec<u32> = (0..IMAGE_TOKENS).map(|i| (1 + 7919 * i as u32) % CODES as u32).collect();
    let start = Instant::now();
    black_box(janus.decode_tokens(&tokens)?);
    let decode = start.elapsed().as_secs_f64();
    let steps = step * (IMAGE_TOKENS - 1) as f64;
    Ok(json!({
        "prefill_s": prefill,
        "steps_s": steps,
        "step_s": step,
        "vq_decode_s": decode,
        "total_s": prefill + steps + decode,
        "extrapolated": true,
    }))
}

/// Seconds until each of the first `count` image tokens, each from the one before; the first holds the prefill.
fn step_times(janus: &Janus, prompt: &str, count: usize) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    let mut last = Instant::now();
    let outcome = janus.generate_tokens(prompt, &ImageOptions::default(), &mut |_| {
        times.push(last.elapsed().as_secs_f64());
        last = Instant::now();
        if times.len() == count { Flow::Stop } else { Flow::Continue }
    });
    // Stopping is reported as an error; any other error comes before enough steps.
    match outcome {
        Err(error) if times.len() < count => Err(error),
        _ => Ok(times),
    }
}

fn language_config(checkpoint: &str) -> Result<LlamaConfig> {
    let path = Path::new(checkpoint).join("config.json");
    let config: Value = serde_json::from_slice(&std::fs::read(&path).with_context(|| path.display().to_string())?)?;
    LlamaConfig::from_json(&config["language_config"])
}

/// Prompts through the language model, the text head at the last position.
fn prefills(model: &Llm<'_>, repeats: usize) -> Value {
    let times = PROMPTS.map(|count| {
        let run = || {
            let start = Instant::now();
            black_box(forward(model, &mut model.new_state(1), 1, count));
            start.elapsed().as_secs_f64()
        };
        run();
        (count.to_string(), json!(median((0..repeats).map(|_| run()).collect())))
    });
    Value::Object(times.into_iter().collect())
}

/// Steps of `batch` sequences together behind CONTEXT positions each, the text head included.
fn decode_steps(model: &Llm<'_>, batches: &[usize]) -> Value {
    let steps = batches.iter().map(|&batch| {
        let mut state = model.new_state(batch);
        forward(model, &mut state, batch, CONTEXT);
        let mut times = Vec::new();
        for _ in 0..WARM_UP + STEPS {
            let start = Instant::now();
            black_box(forward(model, &mut state, batch, 1));
            times.push(start.elapsed().as_secs_f64());
        }
        (batch.to_string(), json!(median(times.split_off(WARM_UP))))
    });
    Value::Object(steps.collect())
}

/// Runs `count` more positions of every sequence; text logits of the last one, `[batch, vocabulary]`.
fn forward(model: &Llm<'_>, state: &mut BatchState, batch: usize, count: usize) -> Vec<f32> {
    let hidden_size = model.cfg.hidden_size;
    let ids: Vec<u32> = (0..batch * count).map(|i| (1 + 7919 * i as u32) % 100_000).collect();
    let hidden = model.forward(state, model.embed(&ids), count);
    let last: Vec<f32> = hidden.chunks(count * hidden_size).flat_map(|rows| &rows[(count - 1) * hidden_size..]).copied().collect();
    model.logits(&last, batch)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// VmHWM of this process in bytes.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).context("no VmHWM in /proc/self/status")?;
    let kibibytes: u64 = line.split_whitespace().nth(1).context("VmHWM has no value")?.parse()?;
    Ok(kibibytes * 1024)
}
