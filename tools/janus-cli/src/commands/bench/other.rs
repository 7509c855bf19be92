//! The other side of a comparison: this program once more, which runs what it is asked for.
//!
//! Threads and library belong to a process, so one process cannot have two settings of them. A
//! plan, and then one order a line, go in as JSON; a reply to each comes out.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use janus_bench::{AnyError, Case, LocalModel, Plan, Stage, Subject};
use janus_runtime::{ExecutionProvider, Manifest};
use serde::{Deserialize, Serialize};

use crate::args::Global;
use crate::context::Context;
use crate::failure::Failure;
use crate::model::Model;
use crate::output;

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Open(Stage),
    Run(usize),
    Close,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Opened,
    Ran(Vec<f64>),
    Closed(Option<u64>),
    /// It failed, and why; nothing follows.
    Failed(String),
}

/// A model in a process of its own.
pub(super) struct OtherProcess {
    child: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    name: String,
    manifest: Manifest,
    provider: ExecutionProvider,
    plan: Plan,
}

impl OtherProcess {
    /// Starts this program on `model`, with the settings in `global`.
    pub(super) fn start(model: &Model, global: &Global, plan: &Plan) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "--serve", "--quiet"])
            .args(arguments(global))
            .arg("--")
            .arg(std::path::absolute(model.dir.path())?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(mut orders), Some(replies)) = (child.stdin.take(), child.stdout.take()) else {
            anyhow::bail!("the other process has no pipes");
        };
        send(&mut orders, plan)?;
        Ok(Self {
            child,
            orders,
            replies: BufReader::new(replies),
            name: model.name.clone(),
            manifest: model.dir.manifest().clone(),
            provider: global.on,
            plan: plan.clone(),
        })
    }

    fn ask(&mut self, order: &Order) -> Result<Reply, AnyError> {
        // Where nobody reads any more, the reply says why, or its absence.
        let _ = send(&mut self.orders, order);
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        if line.is_empty() {
            let (name, status) = (&self.name, self.child.wait()?);
            let message = format!("the process that measures `{name}` ended early ({status})");
            return Err(io::Error::other(message).into());
        }
        match serde_json::from_str(&line)? {
            Reply::Failed(why) => Err(Failure::Input(format!("`{}`: {why}", self.name)).into()),
            reply => Ok(reply),
        }
    }
}

impl Subject for OtherProcess {
    fn cases(&self, stage: Stage) -> Vec<Case> {
        self.plan.cases(stage, &self.manifest, self.provider)
    }

    fn open(&mut self, stage: Stage) -> Result<(), AnyError> {
        self.ask(&Order::Open(stage))?;
        Ok(())
    }

    fn run(&mut self, case: usize) -> Result<Vec<f64>, AnyError> {
        match self.ask(&Order::Run(case))? {
            Reply::Ran(seconds) => Ok(seconds),
            other => Err(format!("{other:?} is no reply to a run").into()),
        }
    }

    fn close(&mut self) -> Result<Option<u64>, AnyError> {
        match self.ask(&Order::Close)? {
            Reply::Closed(peak) => Ok(peak),
            other => Err(format!("{other:?} is no reply to a close").into()),
        }
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        // It holds nothing that could be left half-done, and may be in the midst of a run.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn arguments(global: &Global) -> Vec<std::ffi::OsString> {
    let mut arguments = vec!["--on".into(), global.on.to_string().into()];
    if let Some(threads) = global.threads {
        arguments.extend(["--threads".into(), threads.to_string().into()]);
    }
    let paths = [
        ("--runtime-library", &global.runtime_library),
        ("--cache", &global.cache),
    ];
    for (flag, path) in paths {
        if let Some(path) = path {
            arguments.extend([flag.into(), path.into()]);
        }
    }
    arguments
}

fn send(orders: &mut ChildStdin, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    orders.write_all(&line)?;
    orders.flush()
}

/// Does what standard input asks for, until it ends.
pub(super) fn serve(model: Option<&Path>, context: &Context) -> anyhow::Result<()> {
    match obey(model, context) {
        Ok(()) => Ok(()),
        Err(error) => reply(&Reply::Failed(format!("{error:#}"))),
    }
}

fn obey(model: Option<&Path>, context: &Context) -> anyhow::Result<()> {
    let mut lines = io::stdin().lines();
    let plan: Plan = match lines.next() {
        Some(line) => serde_json::from_str(&line?)?,
        None => return Ok(()),
    };
    let model = Model::open(model, context)?;
    let mut subject = LocalModel::new(model.dir, context.session_options()?, plan);
    for line in lines {
        let done = match serde_json::from_str(&line?)? {
            Order::Open(stage) => subject.open(stage).map(|()| Reply::Opened),
            Order::Run(case) => subject.run(case).map(Reply::Ran),
            Order::Close => subject.close().map(Reply::Closed),
        };
        reply(&done.map_err(anyhow::Error::from_boxed)?)?;
    }
    Ok(())
}

fn reply(reply: &Reply) -> anyhow::Result<()> {
    Ok(output::line(serde_json::to_string(reply)?)?)
}
