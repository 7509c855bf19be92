//! Tables of plain text.

use std::fmt;

/// Between columns.
const GAP: &str = "  ";

/// Rows under a header; the first column is flush left, the others flush right. Columns without
/// any content are left out.
pub(crate) struct Table {
    header: Vec<String>,
    lines: Vec<Line>,
}

enum Line {
    /// Text across the columns.
    Heading(String),
    Row(Vec<String>),
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            header: header.map(str::to_owned).into(),
            lines: Vec::new(),
        }
    }

    pub(crate) fn heading(&mut self, text: String) {
        self.lines.push(Line::Heading(text));
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.lines.push(Line::Row(cells));
    }

    fn rows(&self) -> impl Iterator<Item = &Vec<String>> {
        self.lines.iter().filter_map(|line| match line {
            Line::Row(cells) => Some(cells),
            Line::Heading(_) => None,
        })
    }

    /// Width of each column, in characters; none for one that is left out.
    fn widths(&self) -> Vec<Option<usize>> {
        let width = |column: usize| {
            let cells = self.rows().filter_map(|row| row.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            let header = self.header[column].chars().count();
            (widest > 0).then_some(widest.max(header))
        };
        (0..self.header.len()).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        writeln!(f, "{}", aligned(&self.header, &widths))?;
        for line in &self.lines {
            match line {
                Line::Heading(text) => writeln!(f, "{text}")?,
                Line::Row(cells) => writeln!(f, "{}", aligned(cells, &widths))?,
            }
        }
        Ok(())
    }
}

fn aligned(cells: &[String], widths: &[Option<usize>]) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let Some(width) = *width else {
            continue;
        };
        line.push_str(&match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{GAP}{cell:>width$}"),
        });
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(["", "ms", "tokens/s", "runs"]);
        table.heading("a heading that is wider than all of it".to_owned());
        let cells = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        table.row(cells(["  short", "1.25", "", "10"]));
        table.row(cells(["  rather long", "1.2 … 3", "", "9"]));
        let expected = [
            "                    ms  runs",
            "a heading that is wider than all of it",
            "  short           1.25    10",
            "  rather long  1.2 … 3     9",
        ];
        assert_eq!(table.to_string().lines().collect::<Vec<_>>(), expected);
    }
}
