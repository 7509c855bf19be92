//! What is measured: a model in this process, or whatever else can run the same cases.

use janus_runtime::{ExecutionProvider, Manifest, ModelDir, SessionOptions};

use crate::cost::{Cost, Costs};
use crate::error::AnyError;
use crate::memory;
use crate::plan::Plan;
use crate::stage::Stage;
use crate::workload::{self, Workload};

/// Something whose stages can be timed.
///
/// A stage is opened, its cases are run, it is closed: only one is open at a time.
pub trait Subject {
    /// What is timed in a stage.
    fn cases(&self, stage: Stage) -> Vec<Case>;

    /// Opens what a stage needs.
    fn open(&mut self, stage: Stage) -> Result<(), AnyError>;

    /// Runs a case of the open stage once, and gives the seconds of each of its [`Case::timed`].
    ///
    /// The first run of a case after one of another may prepare what it needs, outside of the
    /// seconds that it gives.
    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError>;

    /// Drops what the stage needed, and gives its peak resident memory in bytes, if it is known.
    fn close(&mut self) -> Result<Option<u64>, AnyError>;
}

/// Something that is run again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The whole of a run, and then parts of it.
    pub timed: Vec<Timed>,
    /// Whether a run takes so long that one is enough, without another to warm up.
    pub long: bool,
}

/// A run or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// Its name in reports: the stage, the case and the part, with dots between.
    pub name: String,
    /// What it is called in a table, below its stage; a part is indented.
    pub label: String,
    /// What it makes, moves and computes.
    pub cost: Cost,
}

impl Case {
    /// A case without parts.
    pub(crate) fn new(stage: Stage, name: &str, label: impl Into<String>, cost: Cost) -> Self {
        let whole = Timed {
            name: format!("{stage}.{name}"),
            label: label.into(),
            cost,
        };
        Self {
            timed: vec![whole],
            long: false,
        }
    }

    /// The case with one more part.
    pub(crate) fn part(mut self, name: &str, cost: Cost) -> Self {
        self.timed.push(Timed {
            name: format!("{}.{name}", self.name()),
            label: format!("  {}", name.replace('_', " ")),
            cost,
        });
        self
    }

    /// Whether memory is read around its runs: it is not long, and it is known what they read.
    pub fn reads_memory(&self) -> bool {
        !self.long && self.timed.iter().any(|timed| timed.cost.bytes.is_some())
    }

    /// The name of the whole.
    pub fn name(&self) -> &str {
        &self.timed[0].name
    }
}

impl Plan {
    /// What is timed in a stage of a model that runs on `provider`.
    pub fn cases(&self, stage: Stage, model: &Manifest, provider: ExecutionProvider) -> Vec<Case> {
        let costs = Costs {
            model,
            provider,
            wide_steps: self.wide_steps,
        };
        workload::cases(stage, self, &costs)
    }
}

/// A model in this process.
pub struct LocalModel {
    dir: ModelDir,
    options: SessionOptions,
    plan: Plan,
    stage: Option<Open>,
}

struct Open {
    workload: Box<dyn Workload>,
    /// Whether the peak memory is that of this stage.
    peak_is_own: bool,
}

impl LocalModel {
    /// A model of which no stage is open. The ONNX Runtime library has to be loaded by then.
    pub fn new(dir: ModelDir, options: SessionOptions, plan: Plan) -> Self {
        Self {
            dir,
            options,
            plan,
            stage: None,
        }
    }
}

impl Subject for LocalModel {
    fn cases(&self, stage: Stage) -> Vec<Case> {
        let manifest = self.dir.manifest();
        self.plan.cases(stage, manifest, self.options.provider)
    }

    fn open(&mut self, stage: Stage) -> Result<(), AnyError> {
        // The graphs of the stage before have to go before those of the next one come.
        self.stage = None;
        let peak_is_own = memory::reset_peak();
        let workload = workload::open(stage, &self.dir, &self.options, &self.plan)?;
        self.stage = Some(Open {
            workload,
            peak_is_own,
        });
        Ok(())
    }

    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        match &mut self.stage {
            Some(open) => open.workload.run(case),
            None => Err("no stage is open".into()),
        }
    }

    fn close(&mut self) -> Result<Option<u64>, AnyError> {
        let open = self.stage.take();
        let is_known = open.is_some_and(|open| open.peak_is_own);
        Ok(memory::peak().filter(|_| is_known))
    }
}
