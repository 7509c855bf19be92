//! Two subjects in turns.

use std::time::Instant;

use serde::Serialize;

use crate::error::{AnyError, Error, Result};
use crate::measure::{Budget, Progress, Samples};
use crate::stage::Stage;
use crate::statistics::{Summary, median};
use crate::subject::{Case, Subject, Timed};

/// A turn of short runs lasts so long.
const TURN_SECONDS: f64 = 0.25;
/// Runs of a turn at most.
const TURN_RUNS: usize = 32;

/// How two subjects compare in a stage.
#[derive(Clone, Debug, Serialize)]
pub struct StagePairings {
    /// The stage.
    pub stage: Stage,
    /// Peak resident memory of the first one's process while the stage was open, in bytes.
    pub model_peak_memory: Option<u64>,
    /// That of the other one's.
    pub other_peak_memory: Option<u64>,
    /// Every case that both have, and its parts after it.
    pub pairings: Vec<Pairing>,
}

/// How two subjects compare in a case or a part of it.
#[derive(Clone, Debug, Serialize)]
pub struct Pairing {
    /// The stage, the case and the part, with dots between.
    pub name: String,
    /// What it is called in a table.
    #[serde(skip)]
    pub label: String,
    /// Seconds of the first one's turns.
    pub model: Summary,
    /// Seconds of the other one's.
    pub other: Summary,
    /// The other's median by the first one's: above 1 the other takes longer.
    pub ratio_of_medians: f64,
    /// The other's seconds by the first one's, pair by pair: what slows both down for a while does
    /// not move it.
    pub ratio: Summary,
}

impl Pairing {
    fn new(timed: Timed, model: &[f64], other: &[f64]) -> Self {
        let ratios: Vec<_> = model.iter().zip(other).map(|(a, b)| b / a).collect();
        Self {
            name: timed.name,
            label: timed.label,
            model: Summary::of(model),
            other: Summary::of(other),
            ratio_of_medians: median(other) / median(model),
            ratio: Summary::of(&ratios),
        }
    }
}

/// Measures two subjects in turns, pair by pair: A B, B A, A B, and so on.
///
/// A turn of a case that takes less than a quarter of a second is a run that does not count, to
/// get caches and threads back, and then runs for a quarter of a second, of which the median
/// counts. Cases that only one of them has, or that have other parts in the other, are left
/// out.
///
/// # Errors
///
/// [`Error::Measure`] where a subject fails.
pub fn compare(
    model: &mut impl Subject,
    other: &mut impl Subject,
    stages: &[Stage],
    budget: &Budget,
    watch: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<StagePairings>> {
    let total = stages
        .iter()
        .map(|&stage| common(model, other, stage).len())
        .sum();
    let mut done = 0;
    let mut compared = Vec::with_capacity(stages.len());
    for &stage in stages {
        let mut tell = |what: &str, cases| {
            watch(Progress {
                what,
                done: done + cases,
                total,
            });
        };
        let of_stage = compare_stage(model, other, stage, budget, &mut tell);
        compared.push(of_stage.map_err(|source| Error::Measure { stage, source })?);
        done += common(model, other, stage).len();
    }
    Ok(compared)
}

/// A case that both have, and its place in the list of each.
struct Common {
    case: Case,
    places: [usize; 2],
}

/// Cases of the same name and the same parts.
fn common(model: &impl Subject, other: &impl Subject, stage: Stage) -> Vec<Common> {
    let others = other.cases(stage);
    let names = |case: &Case| -> Vec<_> { case.timed.iter().map(|t| t.name.clone()).collect() };
    let place = |case: &Case| others.iter().position(|other| names(other) == names(case));
    let cases = model.cases(stage).into_iter().enumerate();
    cases
        .filter_map(|(i, case)| {
            let places = [i, place(&case)?];
            Some(Common { case, places })
        })
        .collect()
}

/// `tell` is told what is done, and how many cases of the stage have been.
fn compare_stage(
    model: &mut impl Subject,
    other: &mut impl Subject,
    stage: Stage,
    budget: &Budget,
    tell: &mut dyn FnMut(&str, usize),
) -> Result<StagePairings, AnyError> {
    tell(stage.name(), 0);
    let cases = common(model, other, stage);
    model.open(stage)?;
    other.open(stage)?;
    let mut pairings = Vec::new();
    for (i, common) in cases.iter().enumerate() {
        tell(common.case.name(), i);
        let seconds = pairs(model, other, common, cases.len(), budget)?;
        let timed = common.case.timed.iter().cloned();
        let [of_model, of_other] = &seconds;
        pairings.extend(
            timed
                .zip(of_model.0.iter().zip(&of_other.0))
                .map(|(timed, (a, b))| Pairing::new(timed, a, b)),
        );
    }
    Ok(StagePairings {
        stage,
        model_peak_memory: model.close()?,
        other_peak_memory: other.close()?,
        pairings,
    })
}

/// The turns of both in a case, one of `cases`.
fn pairs(
    model: &mut impl Subject,
    other: &mut impl Subject,
    common: &Common,
    cases: usize,
    budget: &Budget,
) -> Result<[Samples; 2], AnyError> {
    let Common { case, places } = common;
    let mut seconds = [Samples::of(case), Samples::of(case)];
    if !case.long {
        model.run(places[0])?;
        other.run(places[1])?;
    }
    let begun = Instant::now();
    while !budget.is_spent(case, cases, seconds[0].runs(), begun.elapsed()) {
        let model_first = seconds[0].runs().is_multiple_of(2);
        if model_first {
            seconds[0].push(&turn(model, places[0])?);
        }
        seconds[1].push(&turn(other, places[1])?);
        if !model_first {
            seconds[0].push(&turn(model, places[0])?);
        }
    }
    Ok(seconds)
}

/// Seconds of a turn, for each thing that is timed in it.
fn turn(subject: &mut impl Subject, case: usize) -> Result<Vec<f64>, AnyError> {
    let first = subject.run(case)?;
    let seconds = first.first().copied().unwrap_or_default();
    if seconds >= TURN_SECONDS {
        return Ok(first);
    }
    let mut parts = vec![Vec::new(); first.len()];
    let begun = Instant::now();
    while parts[0].is_empty()
        || begun.elapsed().as_secs_f64() < TURN_SECONDS && parts[0].len() < TURN_RUNS
    {
        for (part, seconds) in parts.iter_mut().zip(subject.run(case)?) {
            part.push(seconds);
        }
    }
    Ok(parts.iter().map(|part| median(part)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::tests::Script;

    fn three() -> Budget {
        Budget {
            repeats: Some(3),
            ..Budget::default()
        }
    }

    #[test]
    fn a_drift_of_both_leaves_the_ratio_of_pairs_alone() {
        // The first run of each warms up.
        let mut model = Script::new(&[9.0, 1.0, 2.0, 8.0]);
        let mut other = Script::new(&[9.0, 2.0, 4.0, 16.0]);
        let stages = compare(&mut model, &mut other, &[Stage::Vq], &three(), &mut |_| ());
        let stages = stages.unwrap();
        let [whole, half] = &stages[0].pairings[..] else {
            panic!("a whole and its half");
        };
        assert_eq!((whole.model.median, whole.other.median), (2.0, 4.0));
        assert_eq!(whole.ratio_of_medians, 2.0);
        assert_eq!((whole.ratio.median, whole.ratio.p10), (2.0, 2.0));
        assert_eq!((half.name.as_str(), half.ratio.runs), ("vq.only.half", 3));
        assert_eq!(model.log.len(), 2 + 1 + 3);
        assert_eq!(stages[0].other_peak_memory, Some(7));
    }

    #[test]
    fn a_short_turn_is_the_median_of_many_runs() {
        let mut script = Script::new(&[0.1, 0.001, 0.003, 0.002]);
        script.open(Stage::Vq).unwrap();
        let seconds = turn(&mut script, 0).unwrap();
        assert_eq!(script.log.len(), 1 + 1 + TURN_RUNS);
        assert!((0.001..0.01).contains(&seconds[0]), "{seconds:?}");
        assert_eq!(seconds.len(), 2);
    }
}
