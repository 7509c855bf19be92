//! The thread that owns the model: it takes jobs, makes steps, and tells what they bring.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

use janus_pipeline::{Event, ImageEmbeds, Janus, Scheduler, SequenceId};
use tokio::sync::mpsc::UnboundedSender;

use super::client::{Answer, Client, Output, end, shown_at};
use super::flows::Flows;
use super::painter::Painting;
use super::ticket::Ticket;
use super::update::{ImageUpdate, TextUpdate};
use super::{ImageTask, TextTask, Way};
use crate::error::{ApiError, Result};
use crate::metrics::Metrics;
use crate::settings::Settings;

/// How often a model without work looks whether it is still needed.
const IDLE: Duration = Duration::from_millis(200);

/// A request on its way to the model.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) ticket: Ticket,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Work {
    Text(TextTask, Vec<Arc<ImageEmbeds>>, UnboundedSender<TextUpdate>),
    Images(ImageTask, UnboundedSender<ImageUpdate>),
}

/// The model, and who it works for.
#[derive(Debug)]
pub(super) struct Model {
    janus: Janus,
    scheduler: Scheduler,
    /// By the id of the first sequence.
    clients: BTreeMap<SequenceId, Client>,
    /// Those whose pictures take steps of their own.
    flows: Flows,
    metrics: Arc<Metrics>,
    painter: Sender<Painting>,
    request_time: Duration,
}

impl Model {
    pub(super) fn new(
        janus: Janus,
        scheduler: Scheduler,
        metrics: Arc<Metrics>,
        painter: Sender<Painting>,
        settings: &Settings,
    ) -> Self {
        Self {
            janus,
            scheduler,
            clients: BTreeMap::new(),
            flows: Flows::default(),
            metrics,
            painter,
            request_time: Duration::from_secs(settings.request_seconds),
        }
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        while self.take_jobs(jobs) {
            self.let_go();
            if !self.scheduler.is_idle() {
                self.step();
            }
            // A step of a picture by rectified flow has all its positions: it comes between two of the
            // others, so that neither waits for the other's end.
            self.flows
                .advance(&mut self.janus, &self.painter, &self.metrics);
            self.metrics.set_load(self.scheduler.load());
            self.metrics.set_flows(self.flows.len());
        }
    }

    fn is_idle(&self) -> bool {
        self.scheduler.is_idle() && self.flows.is_empty()
    }

    /// A step of everything that the scheduler has.
    fn step(&mut self) {
        let begun = Instant::now();
        // A panic would be a bug; it must not end the server all the same.
        let step = catch_unwind(AssertUnwindSafe(|| {
            self.scheduler.step(&mut self.janus.llm)
        }));
        self.metrics.step.add(begun.elapsed());
        match step {
            Ok(Ok(events)) => events.into_iter().for_each(|event| self.tell(event)),
            Ok(Err(_)) | Err(_) => self.begin_anew(),
        }
    }

    /// Takes the jobs that have come; waits for one where there is nothing else to do. False when
    /// no more can come.
    fn take_jobs(&mut self, jobs: &Receiver<Job>) -> bool {
        if self.is_idle() {
            match jobs.recv_timeout(IDLE) {
                Ok(job) => self.begin(job),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        loop {
            match jobs.try_recv() {
                Ok(job) => self.begin(job),
                Err(TryRecvError::Empty) => return true,
                // What is under way is brought to its end.
                Err(TryRecvError::Disconnected) => return !self.is_idle(),
            }
        }
    }

    fn begin(&mut self, Job { work, ticket }: Job) {
        match work {
            Work::Text(task, seen, updates) if !updates.is_closed() => {
                if let Err(error) = self.begin_text(task, &seen, &updates, ticket) {
                    let _ = updates.send(TextUpdate::Failed(error));
                }
            }
            Work::Images(task, updates) if !updates.is_closed() => {
                if let Err(error) = self.begin_images(task, &updates, ticket) {
                    let _ = updates.send(ImageUpdate::Failed(error));
                }
            }
            _ => self.metrics.cancelled.add(1),
        }
    }

    fn begin_text(
        &mut self,
        task: TextTask,
        seen: &[Arc<ImageEmbeds>],
        updates: &UnboundedSender<TextUpdate>,
        ticket: Ticket,
    ) -> Result<(), ApiError> {
        let seen: Vec<_> = seen.iter().map(Arc::as_ref).collect();
        let (prompt, params) = (&task.prompt, &task.params);
        let request = self.janus.text_request_seeing(prompt, &seen, params)?;
        let request = request.answers(task.answers);
        let prompt_tokens = request.prompt_positions();
        let ids = self.scheduler.submit(request)?;
        self.metrics.prompt_tokens.add(prompt_tokens);
        let _ = updates.send(TextUpdate::Begun { prompt_tokens });
        let answers = vec![Answer::new(task.stops, task.streamed); ids.len()];
        self.add(ids, Output::Text(answers, updates.clone()), ticket);
        Ok(())
    }

    fn begin_images(
        &mut self,
        task: ImageTask,
        updates: &UnboundedSender<ImageUpdate>,
        ticket: Ticket,
    ) -> Result<(), ApiError> {
        let params = match task.way {
            Way::Tokens(params) => params,
            Way::Flow(params) => {
                let drawing = self.janus.begin_flow(&task.prompt, &params)?;
                self.metrics.prompt_tokens.add(drawing.prompt_tokens());
                self.flows.add(drawing, params.steps, task, updates, ticket);
                return Ok(());
            }
        };
        let request = self.janus.image_request(&task.prompt, &params)?;
        let prompt_tokens = request.prompt_positions();
        let ids = self.scheduler.submit(request)?;
        self.metrics.prompt_tokens.add(prompt_tokens);
        let _ = updates.send(ImageUpdate::Begun { prompt_tokens });
        let total = self.janus.manifest().vq().map_or(0, |vq| vq.num_tokens());
        let output = Output::Images {
            tokens: vec![Vec::with_capacity(total); ids.len()],
            total,
            shown_at: shown_at(total, task.partials),
            task,
            updates: updates.clone(),
        };
        self.add(ids, output, ticket);
        Ok(())
    }

    fn add(&mut self, ids: Vec<SequenceId>, output: Output, ticket: Ticket) {
        let client = Client {
            left: ids.len(),
            told_first: false,
            output,
            ticket,
            ids: ids.clone(),
        };
        self.clients.insert(ids[0], client);
    }

    /// Stops working for clients that have left, that have waited too long, or that are told to go.
    fn let_go(&mut self) {
        self.flows.let_go(self.request_time, &self.metrics);
        let gone = self.clients.iter().filter_map(|(first, client)| {
            let end = end(client.is_gone(), &client.ticket, self.request_time);
            end.map(|error| (*first, error))
        });
        for (first, error) in gone.collect::<Vec<_>>() {
            let Some(client) = self.clients.remove(&first) else {
                continue;
            };
            for id in &client.ids {
                self.scheduler.cancel(*id);
            }
            match error {
                Some(error) => client.fail(error),
                None => self.metrics.cancelled.add(1),
            }
        }
    }

    /// The model failed: everybody is told, and the next request finds a new scheduler.
    fn begin_anew(&mut self) {
        self.metrics.failed_steps.add(1);
        for client in std::mem::take(&mut self.clients).into_values() {
            client.fail(ApiError::internal());
        }
        let (limits, wide_steps) = (self.scheduler.limits(), self.scheduler.wide_steps());
        let scheduler = self.janus.scheduler().with_limits(limits);
        self.scheduler = scheduler.with_wide_steps(wide_steps);
    }

    /// Tells a client what came of one of its sequences.
    fn tell(&mut self, event: Event) {
        let (Event::Text { id, .. } | Event::Image { id, .. } | Event::Finished { id, .. }) = event;
        let Some((&first, client)) = self.clients.range_mut(..=id).next_back() else {
            return;
        };
        let index = (id.0 - first.0) as usize;
        if index >= client.ids.len() || client.has_ended(index) {
            return;
        }
        if !client.told_first {
            client.told_first = true;
            self.metrics
                .first_token
                .add(client.ticket.since().elapsed());
        }
        let ended = match event {
            Event::Text { token, .. } => {
                self.metrics.text_tokens.add(1);
                client.tell_text(index, token, &self.janus)
            }
            Event::Image { token, .. } => {
                self.metrics.image_tokens.add(1);
                client.tell_image(index, token, &self.painter);
                Ok(false)
            }
            Event::Finished { reason, .. } => client.finish(index, reason, &self.janus),
        };
        match ended {
            Ok(true) => {
                // After a stop text a sequence would go on by itself.
                self.scheduler.cancel(id);
                client.left -= 1;
            }
            Ok(false) => {}
            Err(_) => {
                for id in &client.ids {
                    self.scheduler.cancel(*id);
                }
                if let Some(client) = self.clients.remove(&first) {
                    client.fail(ApiError::internal());
                }
                return;
            }
        }
        if client.left == 0 {
            self.metrics.request.add(client.ticket.since().elapsed());
            self.clients.remove(&first);
        }
    }
}
