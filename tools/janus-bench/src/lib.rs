//! How long the parts of a model take, what they move, and how two of them compare.
//!
//! This is what `janus bench` prints. Use it to put the same measurements into a program of your
//! own, or to compare something else with a model: whatever implements [`Subject`].
//!
//! ```text
//! Settings, manifests ─► Plan ─► cases of each stage ─┬─► measure ─► Measurement ─► Report
//!                       LocalModel or another Subject ┴─► compare ─► Pairing ─► Comparison
//! ```
//!
//! A [`Case`] is timed whole, and its parts inside of it: the head of a decode step runs when the
//! decoder has just swept the caches, as it does when a picture is drawn. Every stage opens the
//! graphs that it needs and drops them, so the peak memory of a stage is its own.
//!
//! ```
//! use janus_bench::{Budget, LocalModel, Plan, Settings, Stage, measure};
//! use janus_runtime::{ModelDir, SessionOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # janus_tests::load_library();
//! # let path = janus_tests::demo_model();
//! let model = ModelDir::open(path)?;
//! let settings = Settings { stages: vec![Stage::Decode], ..Settings::default() };
//! let plan = Plan::new(&settings, &[model.manifest()])?;
//! let budget = Budget { seconds: 1.0, repeats: Some(3) };
//!
//! let mut subject = LocalModel::new(model, SessionOptions::default(), plan);
//! let stages = measure(&mut subject, &[Stage::Decode], &budget, None, &mut |_| ())?;
//! let pair = stages[0].measurements.iter().find(|m| m.name == "decode.2").expect("two rows");
//! println!("a step of a guided picture takes {} s", pair.time.median);
//! # Ok(())
//! # }
//! ```

mod bandwidth;
mod compare;
mod cost;
mod error;
mod machine;
mod measure;
pub mod memory;
mod plan;
mod report;
mod stage;
mod statistics;
mod subject;
mod table;
mod workload;

pub use bandwidth::{Bandwidth, MemoryReader};
pub use compare::{Pairing, StagePairings, compare};
pub use cost::Cost;
pub use error::{AnyError, Error, Result};
pub use machine::Machine;
pub use measure::{Budget, Measurement, Progress, StageMeasurements, measure};
pub use plan::{Head, Limit, Plan, Settings};
pub use report::{Comparison, Length, Picture, Report, Setting};
pub use stage::Stage;
pub use statistics::Summary;
pub use subject::{Case, LocalModel, Subject, Timed};
