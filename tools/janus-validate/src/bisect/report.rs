//! What a bisection found.

use std::fmt;

use janus_runtime::GraphKind;
use serde::Serialize;

/// What [`bisect`](crate::bisect) found. Prints one line for each graph.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BisectReport {
    /// The largest relative error of a value that is no departure.
    pub tolerance: f64,
    /// One for each graph that was compared.
    pub graphs: Vec<BisectRow>,
    /// Graphs of the reference that the model lacks, or that take other inputs in it.
    pub not_compared: Vec<GraphKind>,
}

/// One graph, followed node by node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BisectRow {
    /// The graph.
    pub graph: GraphKind,
    /// Nodes that it has.
    pub nodes: usize,
    /// Values that were compared, up to the departure.
    pub compared: usize,
    /// The largest relative error before it.
    pub worst: f64,
    /// Where it departs.
    pub departure: Option<Departure>,
}

/// The first node whose output is not the reference's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Departure {
    /// The node.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The output.
    pub value: String,
    /// How far it is off.
    pub relative_error: f64,
    /// Weights of this node that are not the reference's.
    pub weights: Vec<WeightDifference>,
}

/// A weight that is not the reference's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightDifference {
    /// Its name.
    pub name: String,
    /// Bytes that differ.
    pub differing_bytes: u64,
    /// `‖found − expected‖ / ‖expected‖` of floats.
    pub relative_error: Option<f64>,
}

impl BisectReport {
    /// Whether no graph departs.
    pub fn passed(&self) -> bool {
        self.graphs.iter().all(|row| row.departure.is_none())
    }

    /// `graph: node` for each graph that departs.
    pub fn departures(&self) -> Vec<String> {
        let departures = self.graphs.iter().filter_map(|row| {
            let departure = row.departure.as_ref()?;
            Some(format!("{}: {}", row.graph, departure.node))
        });
        departures.collect()
    }
}

impl fmt::Display for BisectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.graphs {
            writeln!(f, "{row}")?;
        }
        for graph in &self.not_compared {
            writeln!(
                f,
                "      {graph:18}  not compared: the model lacks it, or it takes other inputs"
            )?;
        }
        let departing = self.departures().len();
        write!(
            f,
            "{departing} of {} graphs depart by more than {:.0e}",
            self.graphs.len(),
            self.tolerance
        )
    }
}

impl fmt::Display for BisectRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            compared,
            worst,
            nodes,
            ..
        } = self;
        let graph = self.graph.name();
        let Some(departure) = &self.departure else {
            return write!(
                f,
                "ok    {graph:18}  {compared} values of {nodes} nodes, at most {worst:.1e} off"
            );
        };
        let Departure {
            node,
            op_type,
            relative_error,
            weights,
            ..
        } = departure;
        write!(
            f,
            "FAIL  {graph:18}  departs at `{node}` ({op_type}): {relative_error:.1e} off, after \
             {compared} values at most {worst:.1e} off"
        )?;
        for weight in weights {
            write!(f, "\n      {weight}")?;
        }
        Ok(())
    }
}

impl fmt::Display for WeightDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            differing_bytes,
            ..
        } = self;
        write!(
            f,
            "its weight `{name}` differs from the reference's in {differing_bytes} bytes"
        )?;
        match self.relative_error {
            Some(error) => write!(f, ", by {error:.1e}"),
            None => Ok(()),
        }
    }
}
