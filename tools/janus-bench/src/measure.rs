//! Stage by stage, case by case, run by run.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::bandwidth::MemoryReader;
use crate::cost::Cost;
use crate::error::{AnyError, Error, Result};
use crate::stage::Stage;
use crate::statistics::{Summary, median};
use crate::subject::{Case, Subject, Timed};

/// Runs that a case has at least, where nobody says how many.
const LEAST_RUNS: usize = 3;
/// Runs that a case has at most, where nobody says how many.
const MOST_RUNS: usize = 1000;

/// How long measuring may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Time for the runs of each stage, in equal parts for its cases. Each case gets a few runs
    /// however long they take.
    pub seconds: f64,
    /// So many runs of each case instead.
    pub repeats: Option<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            seconds: 10.0,
            repeats: None,
        }
    }
}

impl Budget {
    /// Whether a case, one of `cases`, has had enough runs.
    pub(crate) fn is_spent(&self, case: &Case, cases: usize, runs: usize, took: Duration) -> bool {
        let least = if case.long { 1 } else { LEAST_RUNS };
        match self.repeats {
            Some(repeats) => runs >= repeats,
            None if runs < least => false,
            None => runs >= MOST_RUNS || took.as_secs_f64() * cases as f64 >= self.seconds,
        }
    }
}

/// How far measuring is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The case that is run, or the stage that is opened.
    pub what: &'a str,
    /// Cases that are done.
    pub done: usize,
    /// Cases of all stages.
    pub total: usize,
}

/// What was measured of a stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageMeasurements {
    /// The stage.
    pub stage: Stage,
    /// Peak resident memory while it was open, in bytes, where the system tells.
    pub peak_memory: Option<u64>,
    /// Every case, and its parts after it.
    pub measurements: Vec<Measurement>,
}

/// What was measured of a case or a part of it.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The stage, the case and the part, with dots between.
    pub name: String,
    /// What it is called in a table.
    #[serde(skip)]
    pub label: String,
    /// Seconds of a run.
    pub time: Summary,
    /// What a run makes, moves and computes.
    #[serde(flatten)]
    pub cost: Cost,
    /// Tokens per second, by the median, as are the others.
    pub tokens_per_second: Option<f64>,
    /// Bytes read per second.
    pub bytes_per_second: Option<f64>,
    /// Operations per second.
    pub operations_per_second: Option<f64>,
    /// Bytes per second in parts of what memory was read at before and after the run, in the median of the
    /// runs; where that was measured.
    pub bandwidth_share: Option<f64>,
}

impl Measurement {
    /// `rates` are those at which memory was read before and after each run, if it was.
    fn new(timed: Timed, seconds: &[f64], rates: &[f64]) -> Self {
        let time = Summary::of(seconds);
        let share = |bytes: u64| {
            let around = rates.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
            let shares = around
                .zip(seconds)
                .map(|(rate, seconds)| bytes as f64 / seconds / rate);
            median(&shares.collect::<Vec<_>>())
        };
        let per_second = |count: Option<u64>| count.map(|count| count as f64 / time.median);
        Self {
            name: timed.name,
            label: timed.label,
            time,
            cost: timed.cost,
            tokens_per_second: per_second(timed.cost.tokens),
            bytes_per_second: per_second(timed.cost.bytes),
            operations_per_second: per_second(timed.cost.operations),
            bandwidth_share: timed.cost.bytes.filter(|_| rates.len() > 1).map(share),
        }
    }
}

/// Measures stages of one subject. Each case is run once before its runs count, unless it is long.
/// Where there is a `reader`, it reads memory before and after every run of a case that reads a known number of
/// bytes; its own buffer is not counted as memory of the subject.
///
/// # Errors
///
/// [`Error::Measure`] where the subject fails.
pub fn measure(
    subject: &mut impl Subject,
    stages: &[Stage],
    budget: &Budget,
    mut reader: Option<&mut MemoryReader>,
    watch: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<StageMeasurements>> {
    let total = stages.iter().map(|&stage| subject.cases(stage).len()).sum();
    let mut done = 0;
    let mut measured = Vec::with_capacity(stages.len());
    for &stage in stages {
        let mut tell = |what: &str, cases| {
            watch(Progress {
                what,
                done: done + cases,
                total,
            });
        };
        let of_stage = measure_stage(subject, stage, budget, reader.as_deref_mut(), &mut tell);
        measured.push(of_stage.map_err(|source| Error::Measure { stage, source })?);
        done += subject.cases(stage).len();
    }
    Ok(measured)
}

/// `tell` is told what is done, and how many cases of the stage have been.
fn measure_stage(
    subject: &mut impl Subject,
    stage: Stage,
    budget: &Budget,
    mut reader: Option<&mut MemoryReader>,
    tell: &mut dyn FnMut(&str, usize),
) -> Result<StageMeasurements, AnyError> {
    tell(stage.name(), 0);
    let cases = subject.cases(stage);
    subject.open(stage)?;
    let mut measurements = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        tell(case.name(), i);
        let mut seconds = Samples::of(case);
        if !case.long {
            subject.run(i)?;
        }
        let mut read = || {
            let reader = reader.as_deref_mut();
            reader
                .filter(|_| case.reads_memory())
                .map(MemoryReader::read)
        };
        let begun = Instant::now();
        let mut rates = Vec::from_iter(read());
        while !budget.is_spent(case, cases.len(), seconds.runs(), begun.elapsed()) {
            seconds.push(&subject.run(i)?);
            rates.extend(read());
        }
        let timed = case.timed.iter().cloned().zip(&seconds.0);
        measurements.extend(timed.map(|(timed, seconds)| Measurement::new(timed, seconds, &rates)));
    }
    let buffer = reader.map_or(0, |reader| reader.bytes() as u64);
    Ok(StageMeasurements {
        stage,
        peak_memory: subject.close()?.map(|peak| peak.saturating_sub(buffer)),
        measurements,
    })
}

/// Seconds of every run of a case, for each thing that is timed in it.
pub(crate) struct Samples(pub(crate) Vec<Vec<f64>>);

impl Samples {
    pub(crate) fn of(case: &Case) -> Self {
        Self(vec![Vec::new(); case.timed.len()])
    }

    pub(crate) fn push(&mut self, run: &[f64]) {
        for (sample, &seconds) in self.0.iter_mut().zip(run) {
            sample.push(seconds);
        }
    }

    pub(crate) fn runs(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Takes as long as it is told to, run after run, and writes down what it is asked for.
    pub(crate) struct Script {
        pub(crate) seconds: Vec<f64>,
        pub(crate) log: Vec<String>,
        pub(crate) long: bool,
    }

    impl Script {
        pub(crate) fn new(seconds: &[f64]) -> Self {
            Self {
                seconds: seconds.to_vec(),
                log: Vec::new(),
                long: false,
            }
        }
    }

    impl Subject for Script {
        fn cases(&self, stage: Stage) -> Vec<Case> {
            let mut case = Case::new(stage, "only", "only", Cost::tokens(2));
            case.long = self.long;
            vec![case.part("half", Cost::default())]
        }

        fn open(&mut self, stage: Stage) -> Result<(), AnyError> {
            self.log.push(format!("open {stage}"));
            Ok(())
        }

        fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
            self.log.push(format!("run {case}"));
            let seconds = self.seconds[(self.log.len() - 2) % self.seconds.len()];
            Ok(vec![seconds, seconds / 2.0])
        }

        fn close(&mut self) -> Result<Option<u64>, AnyError> {
            self.log.push("close".to_owned());
            Ok(Some(7))
        }
    }

    fn repeats(count: usize) -> Budget {
        Budget {
            repeats: Some(count),
            ..Budget::default()
        }
    }

    #[test]
    fn the_first_run_does_not_count() {
        let mut script = Script::new(&[100.0, 1.0, 3.0, 2.0]);
        let mut told = Vec::new();
        let stages = measure(
            &mut script,
            &[Stage::Vq],
            &repeats(3),
            None,
            &mut |progress| {
                told.push(format!(
                    "{} {}/{}",
                    progress.what, progress.done, progress.total
                ));
            },
        );
        let stages = stages.unwrap();
        assert_eq!(
            script.log,
            ["open vq", "run 0", "run 0", "run 0", "run 0", "close"]
        );
        assert_eq!(told, ["vq 0/1", "vq.only 0/1"]);
        assert_eq!(stages[0].peak_memory, Some(7));
        let [whole, half] = &stages[0].measurements[..] else {
            panic!("a whole and its half");
        };
        assert_eq!(
            (whole.name.as_str(), half.name.as_str()),
            ("vq.only", "vq.only.half")
        );
        assert_eq!((whole.time.median, half.time.median), (2.0, 1.0));
        assert_eq!(whole.tokens_per_second, Some(1.0));
        assert_eq!(half.tokens_per_second, None);
    }

    #[test]
    fn what_runs_read_is_set_beside_what_was_read_around_them() {
        let timed = |bytes| {
            let cost = Cost {
                bytes,
                ..Cost::default()
            };
            Case::new(Stage::Vq, "only", "only", cost).timed.remove(0)
        };
        // 100 bytes a second where memory gave as much, and 50 where it gave 75 in the mean.
        let share = |bytes, rates: &[f64]| {
            let measured = Measurement::new(timed(bytes), &[1.0, 2.0], rates);
            measured.bandwidth_share
        };
        let found = share(Some(100), &[100.0, 100.0, 50.0]).unwrap();
        assert!((found - (1.0 + 50.0 / 75.0) / 2.0).abs() < 1e-12, "{found}");
        assert_eq!(share(Some(100), &[]), None);
        assert_eq!(share(None, &[100.0, 100.0, 50.0]), None);
    }

    #[test]
    fn a_long_case_has_a_single_run() {
        let mut script = Script::new(&[100.0]);
        script.long = true;
        let budget = Budget {
            seconds: 0.0,
            repeats: None,
        };
        let stages = measure(&mut script, &[Stage::Image], &budget, None, &mut |_| ()).unwrap();
        assert_eq!(stages[0].measurements[0].time.runs, 1);
        assert_eq!(script.log, ["open image", "run 0", "close"]);
    }

    #[test]
    fn the_budget_is_shared_by_the_cases_of_a_stage() {
        let case = Script::new(&[1.0]).cases(Stage::Load).swap_remove(0);
        let budget = Budget::default();
        let second = Duration::from_secs(1);
        assert!(!budget.is_spent(&case, 5, 2, 100 * second));
        assert!(!budget.is_spent(&case, 5, 3, second));
        assert!(budget.is_spent(&case, 5, 3, 2 * second));
        assert!(budget.is_spent(&case, 5, MOST_RUNS, second));
        assert!(!repeats(2000).is_spent(&case, 5, 1999, 100 * second));
    }

    #[test]
    fn a_failure_names_its_stage() {
        struct Broken;
        impl Subject for Broken {
            fn cases(&self, _: Stage) -> Vec<Case> {
                Vec::new()
            }
            fn open(&mut self, _: Stage) -> Result<(), AnyError> {
                Err("no such graph".into())
            }
            fn run(&mut self, _: usize) -> Result<Vec<f64>, AnyError> {
                Ok(Vec::new())
            }
            fn close(&mut self) -> Result<Option<u64>, AnyError> {
                Ok(None)
            }
        }
        let stages = [Stage::Heads];
        let error = measure(&mut Broken, &stages, &repeats(1), None, &mut |_| ()).unwrap_err();
        assert_eq!(error.to_string(), "cannot measure stage `heads`");
    }
}
