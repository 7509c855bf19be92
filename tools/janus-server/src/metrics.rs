//! What a server counts, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use janus_pipeline::Load;

/// Upper bounds of a histogram's buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// What a server counts. Labels are few and ours: nothing that a client sends becomes one.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Answers by endpoint and status.
    responses: Mutex<std::collections::BTreeMap<(&'static str, u16), u64>>,
    pub(crate) text_tokens: Counter,
    pub(crate) image_tokens: Counter,
    pub(crate) prompt_tokens: Counter,
    pub(crate) pictures: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) failed_steps: Counter,
    pub(crate) first_token: Histogram,
    pub(crate) step: Histogram,
    pub(crate) flow_step: Histogram,
    pub(crate) request: Histogram,
    load: Mutex<Load>,
    /// Requests that are drawn by rectified flow, or wait for it.
    flows: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn add(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS) {
            if seconds <= bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The mean in seconds, if anything was counted.
    pub(crate) fn mean(&self) -> Option<f64> {
        let count = self.count.load(Ordering::Relaxed);
        let micros = self.micros.load(Ordering::Relaxed) as f64;
        (count > 0).then(|| micros / 1e6 / count as f64)
    }

    fn write(&self, text: &mut String, name: &str, help: &str) {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS) {
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {}", load(bucket));
        }
        let count = load(&self.count);
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let sum = load(&self.micros) as f64 / 1e6;
        let _ = writeln!(text, "{name}_sum {sum}\n{name}_count {count}");
    }
}

impl Metrics {
    pub(crate) fn responded(&self, endpoint: &'static str, status: u16) {
        if let Ok(mut responses) = self.responses.lock() {
            *responses.entry((endpoint, status)).or_default() += 1;
        }
    }

    pub(crate) fn set_load(&self, load: Load) {
        if let Ok(mut known) = self.load.lock() {
            *known = load;
        }
    }

    pub(crate) fn set_flows(&self, requests: usize) {
        self.flows.store(requests as u64, Ordering::Relaxed);
    }

    pub(crate) fn load(&self) -> Load {
        self.load.lock().map(|load| *load).unwrap_or_default()
    }

    /// Everything, with what is known of the model as labels of `janus_info`.
    pub(crate) fn text(&self, info: &[(&str, String)], under_way: usize) -> String {
        let mut text = String::new();
        let labels = info.iter();
        let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let _ = writeln!(
            text,
            "# HELP janus_info What is served, and where it runs.\n\
             # TYPE janus_info gauge\njanus_info{{{labels}}} 1\n\
             # HELP janus_responses_total Responses by endpoint and status.\n\
             # TYPE janus_responses_total counter"
        );
        for ((endpoint, status), count) in self.responses.lock().iter().flat_map(|r| r.iter()) {
            let _ = writeln!(
                text,
                "janus_responses_total{{endpoint=\"{endpoint}\",status=\"{status}\"}} {count}"
            );
        }
        for (name, help, counter) in [
            ("text_tokens", "Tokens of answers.", &self.text_tokens),
            ("image_tokens", "Tokens of pictures.", &self.image_tokens),
            (
                "prompt_tokens",
                "Positions of prompts.",
                &self.prompt_tokens,
            ),
            ("pictures", "Pictures that were drawn.", &self.pictures),
            ("cancelled", "Requests whose clients left.", &self.cancelled),
            (
                "failed_steps",
                "Steps that the model failed.",
                &self.failed_steps,
            ),
        ] {
            let (name, value) = (format!("janus_{name}_total"), counter.value());
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}"
            );
        }
        let load = self.load();
        for (name, help, value) in [
            ("requests_under_way", "Requests, waiting or not.", under_way),
            ("requests_waiting", "Requests without rows.", load.waiting),
            (
                "requests_joining",
                "Requests whose prompts run.",
                load.joining,
            ),
            ("sequences_running", "Answers and pictures.", load.running),
            ("batch_rows_used", "Rows in use.", load.rows),
            ("batch_rows", "Rows that a step runs.", load.batch),
            (
                "flow_requests",
                "Requests for pictures by rectified flow.",
                self.flows.load(Ordering::Relaxed) as usize,
            ),
        ] {
            let name = format!("janus_{name}");
            let _ = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
            );
        }
        let first = "From the request to the first token.";
        self.first_token
            .write(&mut text, "janus_first_token_seconds", first);
        self.step
            .write(&mut text, "janus_step_seconds", "One step of everybody.");
        let flow = "One step of one picture by rectified flow.";
        self.flow_step
            .write(&mut text, "janus_flow_step_seconds", flow);
        let whole = "From the request to its end.";
        self.request
            .write(&mut text, "janus_request_seconds", whole);
        text
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
