//! What is told of a model, or of two.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use janus_runtime::manifest::DrawingConfig;
use janus_runtime::{ExecutionProvider, GraphKind, Placement};
use serde::Serialize;

use crate::bandwidth::Bandwidth;
use crate::compare::StagePairings;
use crate::machine::Machine;
use crate::measure::{Measurement, StageMeasurements};
use crate::plan::{Limit, Plan};
use crate::stage::Stage;
use crate::statistics::Summary;
use crate::table::Table;

/// A model, and how it is run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// What it is called.
    pub model: String,
    /// Its directory.
    pub path: PathBuf,
    /// Which member of the family it is.
    pub family: String,
    /// Precision of its weights, as the manifest has it.
    pub dtype: String,
    /// Where its graphs run.
    pub provider: String,
    /// Threads that one operator may use.
    pub threads: usize,
    /// Version of ONNX Runtime, where the library tells.
    pub onnxruntime: Option<String>,
    /// The library.
    pub library: PathBuf,
}

/// A model, measured.
///
/// As JSON: `setting`, `machine`, `stages`, `picture`, `limits` and `nodes`. Every stage has its
/// `peak_memory` in bytes and its `measurements`, each with a `name` such as `decode.2.decoder`,
/// its `time` in seconds (`runs`, `median`, `p10`, `p90`), what a run makes, moves and computes
/// (`tokens`, `bytes`, `operations`), each of these per second by the median, and the
/// `bandwidth_share`. What does not apply is null.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The model, and how it was run.
    pub setting: Setting,
    /// What it was run on.
    pub machine: Machine,
    /// The stages that were measured.
    pub stages: Vec<StageMeasurements>,
    /// How long a picture takes, if that stage was measured.
    pub picture: Option<Picture>,
    /// What was measured in a smaller size, and why.
    pub limits: Vec<Limit>,
    /// How many nodes of each graph that was opened ONNX Runtime put on which provider.
    pub nodes: BTreeMap<GraphKind, BTreeMap<String, usize>>,
}

/// How long one picture takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Picture {
    /// What it takes.
    #[serde(flatten)]
    pub length: Length,
    /// Seconds from the prompt to the pixels.
    pub seconds: f64,
    /// Whether it was not drawn: the prompt, which gives the first of its tokens, a step for every
    /// other one or for every step of the flow, and the decoder to pixels are added up.
    pub extrapolated: bool,
}

/// How long the way to a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Its image tokens.
    Tokens(usize),
    /// Its steps from noise, one velocity each.
    Steps(usize),
}

impl Length {
    fn of(drawing: &DrawingConfig) -> Self {
        match drawing {
            DrawingConfig::Tokens(vq) => Self::Tokens(vq.num_tokens()),
            DrawingConfig::Flow(flow) => Self::Steps(flow.steps),
        }
    }

    /// How often the measured step is made.
    fn steps(self) -> usize {
        match self {
            Self::Tokens(tokens) => tokens.saturating_sub(1),
            Self::Steps(steps) => steps,
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(tokens) => write!(f, "{tokens} tokens"),
            Self::Steps(steps) => write!(f, "{steps} steps"),
        }
    }
}

impl Report {
    /// Puts together what was measured by `plan` of a model that draws like `drawing`.
    pub fn new(
        setting: Setting,
        machine: Machine,
        plan: &Plan,
        drawing: &DrawingConfig,
        stages: Vec<StageMeasurements>,
    ) -> Self {
        Self {
            picture: Picture::of(&stages, Length::of(drawing)),
            limits: plan.limits.clone(),
            nodes: BTreeMap::new(),
            setting,
            machine,
            stages,
        }
    }

    /// Adds where the nodes of the graphs are.
    #[must_use]
    pub fn with_placements(mut self, placements: &BTreeMap<GraphKind, Placement>) -> Self {
        let counts = |placement: &Placement| {
            let providers = placement.providers.iter();
            providers
                .map(|(name, nodes)| (name.clone(), nodes.len()))
                .collect()
        };
        let graphs = placements.iter();
        self.nodes = graphs
            .map(|(&graph, placement)| (graph, counts(placement)))
            .collect();
        self
    }
}

impl Picture {
    fn of(stages: &[StageMeasurements], length: Length) -> Option<Self> {
        let all = stages.iter().flat_map(|stage| &stage.measurements);
        let median = |name: &str| Some(all.clone().find(|m| m.name == name)?.time.median);
        let drawn = median("image.picture");
        let reckoned = || {
            let steps = length.steps() as f64 * median("image.step")?;
            let pixels = median("image.vq_decode").or_else(|| median("image.vae_decode"))?;
            Some(median("image.prompt")? + steps + pixels)
        };
        Some(Self {
            length,
            seconds: drawn.or_else(reckoned)?,
            extrapolated: drawn.is_none(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setting.fmt_as(f, "model")?;
        fmt_machine(f, &self.machine)?;
        let mut table = Table::new([
            "",
            "ms",
            "p10 … p90",
            "runs",
            "tokens/s",
            "MB read",
            "GB/s",
            "of reads",
            "GFLOP/s",
        ]);
        for stage in &self.stages {
            table.heading(heading(stage.stage, &[stage.peak_memory]));
            stage.measurements.iter().for_each(|m| table.row(row(m)));
        }
        write!(f, "\n{table}")?;
        if let Some(picture) = self.picture {
            let Picture {
                length, seconds, ..
            } = picture;
            write!(f, "\na picture of {length} takes {seconds:.3} s")?;
            if picture.extrapolated {
                let steps = length.steps();
                write!(f, ", extrapolated: prompt + {steps} × step + decode")?;
            }
            writeln!(f)?;
        }
        fmt_limits(f, &self.limits)?;
        fmt_nodes(f, &self.nodes)
    }
}

/// Two models, or one in two settings, compared.
///
/// As JSON: `model` and `other`, which are settings, `machine`, `stages` and `limits`. Every stage
/// has the peak memory of both processes, and its `pairings`, each with its `name`, the seconds of
/// `model` and `other` (`runs`, `median`, `p10`, `p90`), the `ratio_of_medians`, and the `ratio` of
/// pairs: the other's time by the model's.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The first model, and how it was run.
    pub model: Setting,
    /// The other.
    pub other: Setting,
    /// What they were run on.
    pub machine: Machine,
    /// The stages that were compared.
    pub stages: Vec<StagePairings>,
    /// What was measured in a smaller size, and why.
    pub limits: Vec<Limit>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.model.fmt_as(f, "A")?;
        self.other.fmt_as(f, "B")?;
        fmt_machine(f, &self.machine)?;
        let mut table = Table::new([
            "",
            "A ms",
            "B ms",
            "B/A",
            "B/A of pairs",
            "p10 … p90",
            "pairs",
        ]);
        for stage in &self.stages {
            let peaks = [stage.model_peak_memory, stage.other_peak_memory];
            table.heading(heading(stage.stage, &peaks));
            for pairing in &stage.pairings {
                table.row(vec![
                    format!("  {}", pairing.label),
                    milliseconds(pairing.model.median),
                    milliseconds(pairing.other.median),
                    format!("{:.3}", pairing.ratio_of_medians),
                    format!("{:.3}", pairing.ratio.median),
                    format!("{:.3} … {:.3}", pairing.ratio.p10, pairing.ratio.p90),
                    pairing.ratio.runs.to_string(),
                ]);
            }
        }
        write!(f, "\n{table}")?;
        fmt_limits(f, &self.limits)
    }
}

impl Setting {
    fn fmt_as(&self, f: &mut fmt::Formatter<'_>, role: &str) -> fmt::Result {
        let Self {
            model,
            family,
            dtype,
            provider,
            threads,
            ..
        } = self;
        let runtime = self.onnxruntime.as_deref().unwrap_or("of unknown version");
        let path = self.path.display();
        writeln!(f, "{role:10} {model}, {family} in {dtype}, {path}")?;
        let plural = if *threads == 1 { "" } else { "s" };
        writeln!(
            f,
            "{:10} {provider}, {threads} thread{plural}, ONNX Runtime {runtime}",
            "  on"
        )
    }
}

fn fmt_machine(f: &mut fmt::Formatter<'_>, machine: &Machine) -> fmt::Result {
    let cpu = machine.cpu.as_deref().unwrap_or("unknown processor");
    let count = machine.processors;
    write!(f, "{:10} {cpu}, {count} processors", "machine")?;
    if let Some(bandwidth) = machine.read_bandwidth {
        let Bandwidth {
            bytes_per_second: rate,
            threads,
        } = bandwidth;
        let [low, rate, high] = [rate.p10, rate.median, rate.p90].map(|rate| rate / 1e9);
        write!(
            f,
            "; {threads} threads read {rate:.1} GB/s ({low:.1} … {high:.1})"
        )?;
    }
    writeln!(f, "\n{:10} {}", "janus", machine.janus)
}

fn fmt_limits(f: &mut fmt::Formatter<'_>, limits: &[Limit]) -> fmt::Result {
    for (i, limit) in limits.iter().enumerate() {
        let Limit {
            stage,
            wanted,
            measured,
        } = limit;
        let before = if i == 0 { "\n" } else { "" };
        writeln!(
            f,
            "{before}{stage}: {measured} positions in the place of {wanted}, where the context ends"
        )?;
    }
    Ok(())
}

/// Where nodes are, if any is not on the CPU.
fn fmt_nodes(
    f: &mut fmt::Formatter<'_>,
    nodes: &BTreeMap<GraphKind, BTreeMap<String, usize>>,
) -> fmt::Result {
    let mut providers = nodes.values().flat_map(BTreeMap::keys);
    if providers.all(|provider| provider == ExecutionProvider::Cpu.runtime_name()) {
        return Ok(());
    }
    writeln!(f, "\nnodes")?;
    for (graph, counts) in nodes {
        let counts = counts
            .iter()
            .map(|(provider, count)| format!("{count} on {provider}"));
        writeln!(f, "  {graph}: {}", counts.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

/// A stage, and the peak memory of those who ran it.
fn heading(stage: Stage, peaks: &[Option<u64>]) -> String {
    let mebibytes = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    let peaks: Option<Vec<_>> = peaks.iter().map(|&peak| peak.map(mebibytes)).collect();
    match peaks {
        Some(peaks) => format!("{stage}, peak memory {}", peaks.join(" and ")),
        None => stage.to_string(),
    }
}

fn row(measurement: &Measurement) -> Vec<String> {
    let Measurement {
        label, time, cost, ..
    } = measurement;
    let number = |number: Option<f64>, unit: f64| match number {
        Some(number) => format!("{:.1}", number / unit),
        None => String::new(),
    };
    vec![
        format!("  {label}"),
        milliseconds(time.median),
        spread(time),
        time.runs.to_string(),
        number(measurement.tokens_per_second, 1.0),
        number(cost.bytes.map(|bytes| bytes as f64), 1e6),
        number(measurement.bytes_per_second, 1e9),
        match measurement.bandwidth_share {
            Some(share) => format!("{:.0} %", 100.0 * share),
            None => String::new(),
        },
        number(measurement.operations_per_second, 1e9),
    ]
}

fn spread(time: &Summary) -> String {
    format!("{} … {}", milliseconds(time.p10), milliseconds(time.p90))
}

/// Seconds as milliseconds with about three digits that say something.
fn milliseconds(seconds: f64) -> String {
    let ms = 1e3 * seconds;
    match ms {
        ms if ms < 1.0 => format!("{ms:.4}"),
        ms if ms < 10.0 => format!("{ms:.3}"),
        ms if ms < 100.0 => format!("{ms:.2}"),
        ms => format!("{ms:.1}"),
    }
}
