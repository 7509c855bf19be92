//! What a comparison found.

use std::fmt;

use serde::Serialize;

/// What [`validate`](crate::validate) found. Prints as a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// One row for every tensor that was compared, in the order in which they are computed.
    pub rows: Vec<Row>,
    /// Tensors that were not compared, and why.
    pub not_checked: Vec<NotChecked>,
}

impl Report {
    /// Whether every tensor that was compared is within its tolerance.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.passed)
    }
}

/// One tensor, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name in the golden file.
    pub name: String,
    /// The graphs that it was computed by, in order: those of an export, or the name of another
    /// exporter's file.
    pub graphs: Vec<String>,
    /// Positions of the transformer's cache, in exports of fixed sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<usize>,
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// `‖found − expected‖ / ‖expected‖`, Euclidean norms over all elements.
    pub relative_error: f64,
    /// The element that is farthest off.
    pub max_abs: MaxAbs,
    /// How many elements differ: for integers, which have to be equal.
    pub differing: Option<usize>,
    /// The largest relative error that passes; 0 for integers.
    pub tolerance: f64,
    /// Whether the relative error is at most the tolerance.
    pub passed: bool,
}

impl Row {
    /// Its name, and the transformer's cache where there are several.
    pub fn label(&self) -> String {
        match self.cache {
            Some(positions) => format!("{}, cache of {positions}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The element that is farthest off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MaxAbs {
    /// `|found − expected|`.
    pub value: f64,
    /// Its index, one number for each axis.
    pub at: Vec<usize>,
    /// What the graphs gave.
    pub found: f64,
    /// What the golden file has.
    pub expected: f64,
}

/// A tensor that was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotChecked {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: Reason,
}

/// Why a tensor was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The golden file does not have it.
    Absent,
    /// The golden file lacks this input.
    Needs(String),
    /// It is of a model that draws in another way.
    OtherDrawing,
    /// There is no formula of this name.
    Unknown,
    /// The directory of another exporter has no such graph.
    NotThere,
    /// The layout of another exporter's directory has no graph of this name.
    OtherGraph,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not in the file"),
            Self::Needs(input) => write!(f, "needs `{input}`, which is not in the file"),
            Self::OtherDrawing => f.write_str("this model draws in another way"),
            Self::Unknown => f.write_str("there is no formula of this name"),
            Self::NotThere => f.write_str("not there"),
            Self::OtherGraph => f.write_str("no graph of this layout"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = Columns::of(self);
        columns.heading(f)?;
        for row in &self.rows {
            columns.row(f, row)?;
        }
        for tensor in &self.not_checked {
            let name = tensor.name.escape_debug().to_string();
            writeln!(
                f,
                "      {name:0$}  not checked: {1}",
                columns.name, tensor.reason
            )?;
        }
        let passed = self.rows.iter().filter(|row| row.passed).count();
        write!(
            f,
            "{passed} of {} tensors within tolerance",
            self.rows.len()
        )
    }
}

/// Names may be of any length; a longer one breaks its line of the table only.
const MAX_NAME_WIDTH: usize = 48;

/// Widths of the columns that differ from table to table.
struct Columns {
    name: usize,
    shape: usize,
}

impl Columns {
    fn of(report: &Report) -> Self {
        let compared = report.rows.iter().map(|row| row.label().len());
        let others = report.not_checked.iter().map(|it| it.name.len());
        let shapes = report
            .rows
            .iter()
            .map(|row| format!("{:?}", row.shape).len());
        Self {
            name: compared
                .chain(others)
                .max()
                .unwrap_or(0)
                .min(MAX_NAME_WIDTH),
            shape: shapes.max().unwrap_or(0),
        }
    }

    fn heading(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, shape } = self;
        writeln!(
            f,
            "      {:name$}  {:shape$}  relative error  at most  largest difference",
            "tensor", "shape"
        )
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
        let verdict = if row.passed { "ok" } else { "FAIL" };
        let shape = format!("{:?}", row.shape);
        write!(
            f,
            "{verdict:4}  {:1$}  {shape:2$}  ",
            row.label(),
            self.name,
            self.shape
        )?;
        match row.differing {
            Some(count) => write!(f, "{:<14}  {:<7}  ", format!("{count} differ"), "0")?,
            None => write!(
                f,
                "{:<14.2e}  {:<7.0e}  ",
                row.relative_error, row.tolerance
            )?,
        }
        writeln!(f, "{}", row.max_abs)?;
        if !row.passed {
            writeln!(f, "      computed by {}", row.graphs.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for MaxAbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            value,
            at,
            found,
            expected,
        } = self;
        if *value == 0.0 {
            return f.write_str("none");
        }
        let (found, expected) = (Shortest(*found), Shortest(*expected));
        write!(f, "{value:.2e} at {at:?}: {found} for {expected}")
    }
}

/// A number in as few digits as tell it from its neighbours, of 32-bit floats where it is one.
struct Shortest(f64);

impl fmt::Display for Shortest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let narrow = self.0 as f32;
        match f64::from(narrow) == self.0 {
            true => narrow.fmt(f),
            false => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_is_told() {
        let name = "z".repeat(100_000);
        let report = Report {
            rows: vec![Row {
                name: "vq_tokens".to_owned(),
                graphs: vec!["vq_encoder".to_owned()],
                cache: None,
                shape: vec![2, 16],
                relative_error: 0.5,
                max_abs: MaxAbs {
                    value: 3.0,
                    at: vec![1, 4],
                    found: 120.0,
                    expected: 117.0,
                },
                differing: Some(2),
                tolerance: 0.0,
                passed: false,
            }],
            not_checked: vec![NotChecked {
                name: name.clone(),
                reason: Reason::Unknown,
            }],
        };
        let expected = [
            "      tensor                                            shape    relative error  at most  largest difference",
            "FAIL  vq_tokens                                         [2, 16]  2 differ        0        3.00e0 at [1, 4]: 120 for 117",
            "      computed by vq_encoder",
            &format!("      {name}  not checked: there is no formula of this name"),
            "0 of 1 tensors within tolerance",
        ];
        assert_eq!(report.to_string(), expected.join("\n"));
    }
}
