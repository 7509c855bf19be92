//! How near few evaluations of the velocity come to many: `solvers <export> <library> <prompts>`.
//!
//! Draws four pictures for each line of the file of prompts with every solver, at guidance 1 and at
//! the model's, and prints how far the latents end from where 200 steps of Euler end from the same
//! noise: the root mean square over all pictures and, in brackets, the median picture, in % of the
//! latents' own root mean square; and how many pictures are another one, further than 5 % away.

#![expect(clippy::print_stdout, reason = "a program may print")]

use std::error::Error;

use janus_pipeline::{FlowParams, Guidance, Janus, SessionOptions, Solver};
use janus_runtime::{LibraryOptions, load_library};
use ndarray::Array4;

/// Pictures of a prompt.
const PICTURES: usize = 4;
/// Steps of Euler that are taken for the end of the way.
const REFERENCE: usize = 200;
/// Evaluations of the velocity that a picture may take.
const EVALUATIONS: [usize; 7] = [6, 8, 10, 12, 16, 20, 30];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [export, library, prompts] = &arguments[..] else {
        return Err("usage: solvers <export> <library> <prompts>".into());
    };
    load_library(library.as_ref(), &LibraryOptions::default())?;
    let mut janus = Janus::open(export, &SessionOptions::default())?;
    let prompts = std::fs::read_to_string(prompts)?;
    let own = janus.flow_params(0)?.guidance.scale;
    for guidance in [1.0, own] {
        println!("guidance {guidance}");
        ladder(&mut janus, &prompts, Guidance::new(guidance))?;
    }
    Ok(())
}

/// Prints a line for every number of evaluations.
fn ladder(janus: &mut Janus, prompts: &str, guidance: Guidance) -> Result<(), Box<dyn Error>> {
    let ends = draw(janus, prompts, guidance, Solver::Euler, REFERENCE)?;
    let names = Solver::ALL.map(|solver| format!("{:>18}", solver.name()));
    println!("evaluations{}", names.concat());
    for evaluations in EVALUATIONS {
        let mut line = format!("{evaluations:11}");
        for solver in Solver::ALL {
            let steps = steps(solver, evaluations);
            let found = draw(janus, prompts, guidance, solver, steps)?;
            let (all, median, others) = errors(&found, &ends);
            line += &format!("{:>18}", format!("{all:.2} ({median:.2}) {others}"));
        }
        println!("{line}");
    }
    Ok(())
}

/// The most steps that take no more evaluations.
fn steps(solver: Solver, evaluations: usize) -> usize {
    let fit = |steps: &usize| solver.evaluations(*steps) <= evaluations;
    (1..=evaluations).rev().find(fit).unwrap_or(1)
}

/// The latents of a picture of every prompt, `[1, c, size, size]` each.
fn draw(
    janus: &mut Janus,
    prompts: &str,
    guidance: Guidance,
    solver: Solver,
    steps: usize,
) -> Result<Vec<Array4<f32>>, Box<dyn Error>> {
    let mut ends = Vec::new();
    for (seed, prompt) in (0..).zip(prompts.lines()) {
        let params = FlowParams {
            images: PICTURES,
            steps,
            solver,
            guidance,
            seed,
        };
        let mut stream = janus.generate_flow(prompt, &params)?;
        for step in &mut stream {
            step?;
        }
        let drawn = stream.trajectories().iter();
        ends.extend(drawn.map(|trajectory| trajectory.latents().clone()));
    }
    Ok(ends)
}

/// Root mean square of the distances over all pictures, and the median picture's, in % of the
/// expected latents' own; and how many pictures are further away than 5 %.
fn errors(found: &[Array4<f32>], expected: &[Array4<f32>]) -> (f64, f64, usize) {
    let squares = |x: &Array4<f32>| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let own: f64 = expected.iter().map(squares).sum::<f64>() / expected.len() as f64;
    let pairs = found.iter().zip(expected);
    let mut errors: Vec<_> = pairs.map(|(a, b)| squares(&(a - b)) / own).collect();
    errors.sort_by(f64::total_cmp);
    let all = errors.iter().sum::<f64>() / errors.len() as f64;
    let median = errors[errors.len() / 2];
    let others = errors.iter().filter(|error| error.sqrt() > 0.05).count();
    (100.0 * all.sqrt(), 100.0 * median.sqrt(), others)
}
