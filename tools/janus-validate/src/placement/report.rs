//! What would run where.

use std::fmt;

use serde::Serialize;

use super::cost::Cost;

/// What [`check_placement`](crate::check_placement) found. Prints as a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlacementReport {
    /// The execution provider.
    pub provider: String,
    /// Whose kernels were looked up, of which version, by which source.
    pub table: String,
    /// One for each graph.
    pub graphs: Vec<GraphPlacement>,
}

/// The nodes of one graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GraphPlacement {
    /// The graph: that of an export, or the name of another exporter's file.
    pub graph: String,
    /// All nodes.
    pub nodes: usize,
    /// Those that the provider has kernels for.
    pub placed: usize,
    /// Matrix products, convolutions and attention.
    pub heavy: usize,
    /// Those of them that the provider has kernels for.
    pub heavy_placed: usize,
    /// Share of the operations that would leave the provider, 0 to 1.
    pub operations_leaving: f64,
    /// Share of the bytes of weights that would leave it.
    pub bytes_leaving: f64,
    /// The nodes that would leave, by operator and reason.
    pub leaving: Vec<Leaving>,
    #[serde(skip)]
    all: Cost,
    #[serde(skip)]
    outside: Cost,
}

/// Nodes that a provider would not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leaving {
    /// Their operator.
    pub op_type: String,
    /// Why.
    pub reason: String,
    /// Whether they do the work: matrix products, convolutions, attention.
    pub heavy: bool,
    /// How many there are.
    pub count: usize,
    /// The first of them.
    pub first: String,
}

impl GraphPlacement {
    pub(super) fn new(graph: String) -> Self {
        Self {
            graph,
            nodes: 0,
            placed: 0,
            heavy: 0,
            heavy_placed: 0,
            operations_leaving: 0.0,
            bytes_leaving: 0.0,
            leaving: Vec::new(),
            all: Cost::default(),
            outside: Cost::default(),
        }
    }

    pub(super) fn add(&mut self, heavy: bool, cost: Cost, placed: bool) {
        self.nodes += 1;
        self.placed += usize::from(placed);
        self.heavy += usize::from(heavy);
        self.heavy_placed += usize::from(heavy && placed);
        let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
        for sum in [Some(&mut self.all), (!placed).then_some(&mut self.outside)] {
            let Some(sum) = sum else { continue };
            sum.operations = sum.operations.saturating_add(cost.operations);
            sum.bytes = sum.bytes.saturating_add(cost.bytes);
        }
        self.operations_leaving = share(self.outside.operations, self.all.operations);
        self.bytes_leaving = share(self.outside.bytes, self.all.bytes);
    }
}

impl GraphPlacement {
    /// Lists a node that would leave, with those of its kind.
    pub(super) fn leave(&mut self, op_type: &str, reason: String, heavy: bool, name: &str) {
        let mut known = self.leaving.iter_mut();
        let of_kind = |it: &&mut Leaving| it.op_type == op_type && it.reason == reason;
        match known.find(of_kind) {
            Some(of_kind) => of_kind.count += 1,
            None => self.leaving.push(Leaving {
                op_type: op_type.to_owned(),
                reason,
                heavy,
                count: 1,
                first: name.to_owned(),
            }),
        }
    }
}

impl PlacementReport {
    /// Whether every matrix product, convolution and attention would run on the provider.
    pub fn passed(&self) -> bool {
        self.graphs
            .iter()
            .all(|graph| graph.heavy == graph.heavy_placed)
    }

    /// Names of the graphs that have heavy nodes which would leave.
    pub fn failed(&self) -> Vec<&str> {
        let failed = self
            .graphs
            .iter()
            .filter(|graph| graph.heavy != graph.heavy_placed);
        failed.map(|graph| graph.graph.as_str()).collect()
    }
}

impl fmt::Display for PlacementReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "placement on {}, by the {}", self.provider, self.table)?;
        writeln!(
            f,
            "      graph               nodes placed  heavy placed  operations leaving  bytes leaving"
        )?;
        for graph in &self.graphs {
            writeln!(f, "{graph}")?;
        }
        let (heavy, placed) = self.graphs.iter().fold((0, 0), |(all, placed), graph| {
            (all + graph.heavy, placed + graph.heavy_placed)
        });
        write!(f, "{placed} of {heavy} heavy nodes on {}", self.provider)
    }
}

impl fmt::Display for GraphPlacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.heavy == self.heavy_placed {
            "ok"
        } else {
            "FAIL"
        };
        write!(
            f,
            "{verdict:4}  {:18}  {:>12}  {:>12}  {:>16.1} %  {:>11.1} %",
            self.graph,
            format!("{} of {}", self.placed, self.nodes),
            format!("{} of {}", self.heavy_placed, self.heavy),
            100.0 * self.operations_leaving,
            100.0 * self.bytes_leaving,
        )?;
        for Leaving {
            op_type,
            reason,
            count,
            first,
            ..
        } in &self.leaving
        {
            write!(
                f,
                "\n      {count} × {op_type}: {reason}; the first is `{first}`"
            )?;
        }
        Ok(())
    }
}
