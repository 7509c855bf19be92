//! What a comparison of two precisions found.

use std::fmt;

use janus_runtime::GraphKind;
use janus_runtime::manifest::DType;
use serde::Serialize;

use super::divergence::Divergence;
use super::limits::Limits;

/// What [`compare_precision`](crate::compare_precision) found. Prints as a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrecisionReport {
    /// Precision of the model.
    pub dtype: DType,
    /// Precision of the reference.
    pub reference_dtype: DType,
    /// The seed of the sequences.
    pub seed: u64,
    /// What a model of that precision may differ.
    pub limits: Limits,
    /// Each graph alone, on inputs that the reference's graphs hand on.
    pub graphs: Vec<GraphRow>,
    /// The next-token distributions of whole models, teacher-forced over the same sequences.
    pub distributions: Vec<DistributionRow>,
}

/// One graph, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphRow {
    /// The graph.
    pub graph: GraphKind,
    /// How far its output is from the reference's.
    #[serde(flatten)]
    pub difference: GraphDifference,
    /// Whether that is within the limits.
    pub passed: bool,
}

/// How far what a graph gives is from what the reference's graph gives for the same input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphDifference {
    /// Of floats: `‖found − expected‖ / ‖expected‖`, Euclidean norms over all elements.
    RelativeError(f64),
    /// Of image tokens: the share of places with the same code, 0 to 1.
    EqualTokens(f64),
}

/// The predictions of one head, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DistributionRow {
    /// Which distribution.
    pub head: Head,
    /// The weight of guidance that the sequences were drawn with; none for text.
    pub guidance: Option<f32>,
    /// How far it is from the reference's.
    #[serde(flatten)]
    pub divergence: Divergence,
    /// Whether the limits hold for it: for pictures at the model's own guidance, not at another one.
    pub limited: bool,
    /// Whether that is within the limits, or none hold.
    pub passed: bool,
}

/// A distribution over the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// The text head, in answers to questions.
    Text,
    /// The text head, in answers to questions about a picture.
    TextWithPicture,
    /// The image head, in the row that has the prompt.
    ImageConditional,
    /// The image head after guidance, `uncond + guidance (cond − uncond)`.
    ImageGuided,
}

impl PrecisionReport {
    /// Whether everything is within the limits.
    pub fn passed(&self) -> bool {
        self.failed().is_empty()
    }

    /// The graphs and distributions that are beyond the limits.
    pub fn failed(&self) -> Vec<String> {
        let graphs = self.graphs.iter().filter(|row| !row.passed);
        let distributions = self.distributions.iter().filter(|row| !row.passed);
        let graphs = graphs.map(|row| row.graph.to_string());
        graphs
            .chain(distributions.map(DistributionRow::name))
            .collect()
    }
}

impl GraphRow {
    pub(crate) fn new(graph: GraphKind, difference: GraphDifference, limits: &Limits) -> Self {
        let passed = match difference {
            // An error that is not a number is within no limit.
            GraphDifference::RelativeError(error) => error <= limits.relative_error,
            GraphDifference::EqualTokens(share) => share >= limits.equal_tokens,
        };
        Self {
            graph,
            difference,
            passed,
        }
    }
}

impl DistributionRow {
    pub(crate) fn new(
        head: Head,
        guidance: Option<f32>,
        divergence: Divergence,
        limits: Option<&Limits>,
    ) -> Self {
        Self {
            head,
            guidance,
            divergence,
            limited: limits.is_some(),
            passed: limits.is_none_or(|limits| Self::within(&divergence, limits)),
        }
    }

    fn within(divergence: &Divergence, limits: &Limits) -> bool {
        let clear = divergence.clear_positions as f64;
        let disagree = ((1.0 - divergence.clear_agreement) * clear).round();
        let may_disagree = ((1.0 - limits.clear_agreement) * clear).ceil();
        divergence.mean_kl <= limits.mean_kl
            && divergence.p99_kl <= limits.p99_kl
            && disagree <= may_disagree
    }

    fn name(&self) -> String {
        match self.guidance {
            Some(guidance) => format!("{}, guidance {guidance}", self.head),
            None => self.head.to_string(),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::TextWithPicture => "text about a picture",
            Self::ImageConditional => "image, conditional",
            Self::ImageGuided => "image, guided",
        })
    }
}

impl fmt::Display for PrecisionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            dtype,
            reference_dtype,
            limits,
            ..
        } = self;
        writeln!(f, "{dtype} against {reference_dtype}\n")?;
        line(f, "", "graph", &["difference", "limit"])?;
        for row in &self.graphs {
            let (found, limit) = row.difference.cells(limits);
            line(f, verdict(row.passed), &row.graph.name(), &[&found, &limit])?;
        }
        writeln!(f)?;
        let heading = [
            "positions",
            "mean KL",
            "99 % KL",
            "|Δ log p|",
            "top-1",
            "clear top-1",
        ];
        line(f, "", "distribution", &heading)?;
        for row in &self.distributions {
            let cells = row.divergence.cells();
            let cells: Vec<_> = cells.iter().map(String::as_str).collect();
            let verdict = if row.limited { verdict(row.passed) } else { "" };
            line(f, verdict, &row.name(), &cells)?;
        }
        let [mean, p99] = [limits.mean_kl, limits.p99_kl].map(scientific);
        let clear = percent(limits.clear_agreement);
        line(f, "", "limit", &["", &mean, &p99, "", "", &clear])?;
        let limited = self.distributions.iter().filter(|row| row.limited);
        let rows = self.graphs.len() + limited.count();
        let passed = rows - self.failed().len();
        write!(f, "\n{passed} of {rows} within the limits of {dtype}")
    }
}

impl GraphDifference {
    /// What was found, and the limit.
    fn cells(self, limits: &Limits) -> (String, String) {
        match self {
            Self::RelativeError(error) => (scientific(error), scientific(limits.relative_error)),
            Self::EqualTokens(share) => (
                format!("{} equal", percent(share)),
                percent(limits.equal_tokens),
            ),
        }
    }
}

impl Divergence {
    fn cells(&self) -> [String; 6] {
        [
            self.positions.to_string(),
            scientific(self.mean_kl),
            scientific(self.p99_kl),
            scientific(self.mean_log_prob_change),
            percent(self.top1_agreement),
            percent(self.clear_agreement),
        ]
    }
}

/// A verdict, a name and right-aligned cells.
fn line(f: &mut fmt::Formatter<'_>, verdict: &str, name: &str, cells: &[&str]) -> fmt::Result {
    let mut text = format!("{verdict:4}  {name:30}");
    for cell in cells {
        text += &format!("  {cell:>13}");
    }
    writeln!(f, "{}", text.trim_end())
}

fn verdict(passed: bool) -> &'static str {
    if passed { "ok" } else { "FAIL" }
}

fn scientific(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        _ => format!("{value:.1e}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divergence(positions: usize, disagreements: usize) -> Divergence {
        Divergence {
            positions,
            mean_kl: 2e-4,
            p99_kl: 1.2e-3,
            top1_agreement: 0.9,
            clear_positions: positions,
            clear_agreement: 1.0 - disagreements as f64 / positions as f64,
            mean_log_prob_change: 0.012,
        }
    }

    #[test]
    fn a_report_reads_like_a_table() {
        let limits = Limits::of(DType::Fp16);
        let image = |guidance, limits| {
            DistributionRow::new(Head::ImageGuided, Some(guidance), divergence(64, 2), limits)
        };
        let report = PrecisionReport {
            dtype: DType::Fp16,
            reference_dtype: DType::Fp32,
            seed: 0,
            limits,
            graphs: vec![
                GraphRow::new(
                    GraphKind::LmHead,
                    GraphDifference::RelativeError(2.5e-4),
                    &limits,
                ),
                GraphRow::new(
                    GraphKind::VqEncoder,
                    GraphDifference::EqualTokens(0.75),
                    &limits,
                ),
            ],
            distributions: vec![
                DistributionRow::new(Head::Text, None, divergence(64, 1), Some(&limits)),
                image(1.5, Some(&limits)),
                image(5.0, None),
            ],
        };
        let expected = "\
fp16 against fp32

      graph                              difference          limit
ok    lm_head                                2.5e-4         5.0e-3
FAIL  vq_encoder                       75.0 % equal         99.0 %

      distribution                        positions        mean KL        99 % KL      |Δ log p|          top-1    clear top-1
ok    text                                       64         2.0e-4         1.2e-3         1.2e-2         90.0 %         98.4 %
FAIL  image, guided, guidance 1.5                64         2.0e-4         1.2e-3         1.2e-2         90.0 %         96.9 %
      image, guided, guidance 5                  64         2.0e-4         1.2e-3         1.2e-2         90.0 %         96.9 %
      limit                                                 5.0e-4         5.0e-3                                       99.0 %

2 of 4 within the limits of fp16";
        assert_eq!(report.to_string(), expected);
        let failed = ["vq_encoder", "image, guided, guidance 1.5"];
        assert_eq!(report.failed(), failed);
        assert!(!report.passed());
    }

    #[test]
    fn what_is_not_a_number_is_within_no_limit() {
        let limits = Limits::of(DType::Q4);
        let error = GraphDifference::RelativeError(f64::NAN);
        assert!(!GraphRow::new(GraphKind::GenHead, error, &limits).passed);
        let mut nan = divergence(10, 0);
        nan.mean_kl = f64::NAN;
        assert!(!DistributionRow::new(Head::Text, None, nan, Some(&limits)).passed);
    }

    #[test]
    fn rows_are_flat_in_json() {
        let limits = Limits::of(DType::Fp16);
        let found = divergence(8, 0);
        let row = DistributionRow::new(Head::ImageGuided, Some(1.5), found, Some(&limits));
        let json = serde_json::to_value(row).unwrap();
        assert_eq!(
            (&json["head"], &json["guidance"]),
            (&"image_guided".into(), &1.5.into())
        );
        assert_eq!(
            (&json["positions"], &json["passed"]),
            (&8.into(), &true.into())
        );
        let error = GraphDifference::RelativeError(0.5);
        let json = serde_json::to_value(GraphRow::new(GraphKind::LmHead, error, &limits)).unwrap();
        assert_eq!(
            (&json["graph"], &json["relative_error"]),
            (&"lm_head".into(), &0.5.into())
        );
    }
}
