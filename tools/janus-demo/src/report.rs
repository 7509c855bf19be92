//! What an examination found, as a table and as JSON.

use std::fmt;
use std::num::NonZeroUsize;

use serde::Serialize;

use crate::exam::Sample;
use crate::rate::Rate;

/// Widths of the columns, in characters.
const NAME: usize = 22;
const RATE: usize = 32;

/// The result of an examination.
///
/// It is printed as a table and serialized without its samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The seed of the tasks.
    pub seed: u64,
    /// How many tasks each line has, trained and held out each.
    pub per_category: NonZeroUsize,
    /// Drawing, by category.
    pub drawing: Part,
    /// Answering, by topic.
    pub answering: Part,
    /// Pictures that read the same after the image tokenizer; `None` without one.
    pub round_trip: Option<Line>,
    /// Samples to look at, as many as were asked for.
    #[serde(skip)]
    pub samples: Vec<Sample>,
}

/// Several lines and their sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Each category or topic.
    pub lines: Vec<Line>,
    /// All of them together.
    pub overall: Line,
}

impl Part {
    pub(crate) fn new(lines: Vec<Line>) -> Self {
        let trained = lines.iter().map(|line| line.trained).sum();
        let held_out: Rate = lines.iter().filter_map(|line| line.held_out).sum();
        let held_out = (held_out.asked() > 0).then_some(held_out);
        Self {
            lines,
            overall: Line {
                name: "overall",
                trained,
                held_out,
            },
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The category or topic.
    pub name: &'static str,
    /// Only with pairs of colour and kind that occur in training.
    pub trained: Rate,
    /// With a pair that does not; `None` where no prompt names such pairs.
    pub held_out: Option<Rate>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:NAME$}{:RATE$}held out", "", "trained")?;
        for (name, part) in [("drawing", &self.drawing), ("answering", &self.answering)] {
            writeln!(f, "{name}")?;
            for line in part.lines.iter().chain([&part.overall]) {
                writeln!(f, "{line}")?;
            }
        }
        if let Some(round_trip) = &self.round_trip {
            writeln!(f, "image tokenizer")?;
            writeln!(f, "{round_trip}")?;
        }
        write!(
            f,
            "in brackets: 95 % confidence, in %; {} each, seed {}",
            self.per_category, self.seed
        )
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("  {}", self.name.replace('_', " "));
        match self.held_out {
            Some(held_out) => write!(f, "{name:NAME$}{:RATE$}{held_out}", self.trained),
            None => write!(f, "{name:NAME$}{}", self.trained),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let line = |name, trained, held_out| Line {
            name,
            trained,
            held_out,
        };
        Report {
            seed: 7,
            per_category: NonZeroUsize::new(100).unwrap(),
            drawing: Part::new(vec![
                line("two_objects", Rate::new(97, 100), None),
                line(
                    "colour_attribution",
                    Rate::new(100, 100),
                    Some(Rate::new(8, 100)),
                ),
            ]),
            answering: Part::new(vec![line(
                "yes_no",
                Rate::new(50, 100),
                Some(Rate::new(0, 100)),
            )]),
            round_trip: Some(line(
                "round_trip",
                Rate::new(99, 100),
                Some(Rate::new(100, 100)),
            )),
            samples: Vec::new(),
        }
    }

    #[test]
    fn the_table_lines_up() {
        let expected = [
            "                      trained                         held out",
            "drawing",
            "  two objects           97/100   97.0 % [91.5, 99.0]",
            "  colour attribution   100/100  100.0 % [96.3, 100.0]    8/100    8.0 % [4.1, 15.0]",
            "  overall              197/200   98.5 % [95.7, 99.5]     8/100    8.0 % [4.1, 15.0]",
            "answering",
            "  yes no                50/100   50.0 % [40.4, 59.6]     0/100    0.0 % [0.0, 3.7]",
            "  overall               50/100   50.0 % [40.4, 59.6]     0/100    0.0 % [0.0, 3.7]",
            "image tokenizer",
            "  round trip            99/100   99.0 % [94.6, 99.8]   100/100  100.0 % [96.3, 100.0]",
            "in brackets: 95 % confidence, in %; 100 each, seed 7",
        ];
        assert_eq!(report().to_string().lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_an_image_tokenizer_nothing_is_said_of_it() {
        let report = Report {
            round_trip: None,
            ..report()
        };
        assert!(!report.to_string().contains("tokenizer"));
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(json["round_trip"], serde_json::Value::Null);
    }

    #[test]
    fn json_has_every_number() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["seed"], 7);
        assert_eq!(json["drawing"]["lines"][0]["name"], "two_objects");
        assert_eq!(json["drawing"]["overall"]["trained"]["right"], 197);
        assert_eq!(
            json["drawing"]["lines"][0]["held_out"],
            serde_json::Value::Null
        );
        assert_eq!(json["answering"]["lines"][0]["trained"]["rate"], 0.5);
        assert!(json["round_trip"]["held_out"]["low"].as_f64().unwrap() > 0.96);
        assert!(json.get("samples").is_none());
    }
}
