//! What a model was measured on.

use std::fs;
use std::thread;

use serde::Serialize;

use crate::bandwidth::Bandwidth;

/// What a model was measured on, and by what.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Version of janus.
    pub janus: &'static str,
    /// What the processor calls itself, where the system tells: Linux on x86 does.
    pub cpu: Option<String>,
    /// Processors that this process may use.
    pub processors: usize,
    /// How fast as many threads as the runs used read memory between them; only measured where it is
    /// compared with something.
    pub read_bandwidth: Option<Bandwidth>,
}

impl Machine {
    /// This machine; its bandwidth is not measured.
    pub fn here() -> Self {
        Self {
            janus: env!("CARGO_PKG_VERSION"),
            cpu: cpu(),
            processors: thread::available_parallelism().map_or(1, usize::from),
            read_bandwidth: None,
        }
    }
}

fn cpu() -> Option<String> {
    model_name(&fs::read_to_string("/proc/cpuinfo").ok()?)
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nstepping\t: 1\n";
        assert_eq!(model_name(cpuinfo).unwrap(), "Some CPU @ 3 GHz");
        assert_eq!(model_name("processor\t: 0\n"), None);
    }
}
