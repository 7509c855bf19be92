//! Pictures by rectified flow.
//!
//! A step of one runs all its positions at once, so company makes none of them cheaper: requests are drawn
//! one after the other, in the order in which they came.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use janus_pipeline::{FlowDrawing, Janus};
use tokio::sync::mpsc::UnboundedSender;

use super::ImageTask;
use super::client::{end, shown_at};
use super::painter::{Drawn, Painting};
use super::ticket::Ticket;
use super::update::ImageUpdate;
use crate::error::ApiError;
use crate::metrics::Metrics;

/// Requests whose pictures are drawn by rectified flow; the first is being drawn.
#[derive(Debug, Default)]
pub(super) struct Flows(VecDeque<Flowing>);

#[derive(Debug)]
struct Flowing {
    drawing: FlowDrawing,
    /// Numbers of steps at which a picture is shown.
    shown_at: Vec<usize>,
    told_first: bool,
    task: ImageTask,
    updates: UnboundedSender<ImageUpdate>,
    ticket: Ticket,
}

impl Flows {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a request on.
    pub(super) fn add(
        &mut self,
        drawing: FlowDrawing,
        steps: usize,
        task: ImageTask,
        updates: &UnboundedSender<ImageUpdate>,
        ticket: Ticket,
    ) {
        let prompt_tokens = drawing.prompt_tokens();
        let _ = updates.send(ImageUpdate::Begun { prompt_tokens });
        self.0.push_back(Flowing {
            drawing,
            shown_at: shown_at(steps, task.partials),
            told_first: false,
            task,
            updates: updates.clone(),
            ticket,
        });
    }

    /// Stops working for clients that have left, that have waited too long, or that are told to go.
    pub(super) fn let_go(&mut self, most: Duration, metrics: &Metrics) {
        self.0.retain(|flowing| {
            let end = end(flowing.updates.is_closed(), &flowing.ticket, most);
            match &end {
                Some(Some(error)) => flowing.fail(error.clone()),
                Some(None) => metrics.cancelled.add(1),
                None => {}
            }
            end.is_none()
        });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Runs the next piece of the first request's pictures, if there is one.
    pub(super) fn advance(
        &mut self,
        janus: &mut Janus,
        painter: &Sender<Painting>,
        metrics: &Metrics,
    ) {
        let Some(first) = self.0.front_mut() else {
            return;
        };
        let begun = Instant::now();
        // A panic would be a bug; it must not end the server all the same.
        let moved = catch_unwind(AssertUnwindSafe(|| first.drawing.advance(janus)));
        metrics.flow_step.add(begun.elapsed());
        match moved {
            Ok(Ok(Some(picture))) => first.show(picture, painter, metrics),
            Ok(Ok(None)) => {}
            Ok(Err(_)) | Err(_) => {
                metrics.failed_steps.add(1);
                first.fail(ApiError::internal());
                self.0.pop_front();
                return;
            }
        }
        if first.drawing.is_complete() {
            metrics.request.add(first.ticket.since().elapsed());
            self.0.pop_front();
        }
    }
}

impl Flowing {
    /// Has a picture that has moved painted where it is time.
    fn show(&mut self, picture: usize, painter: &Sender<Painting>, metrics: &Metrics) {
        if !self.told_first {
            self.told_first = true;
            metrics.first_token.add(self.ticket.since().elapsed());
        }
        let trajectory = &self.drawing.trajectories()[picture];
        let done = trajectory.done();
        let partial = self.shown_at.iter().position(|&at| at == done);
        if partial.is_none() && !trajectory.is_complete() {
            return;
        }
        let painting = Painting {
            index: picture,
            partial: partial.filter(|_| !trajectory.is_complete()),
            drawn: Drawn::Latents(trajectory.prediction().clone()),
            task: self.task.clone(),
            updates: self.updates.clone(),
            ticket: self.ticket.clone(),
        };
        // Without a painter the sender of the updates is dropped, which tells the client.
        let _ = painter.send(painting);
    }

    fn fail(&self, error: ApiError) {
        let _ = self.updates.send(ImageUpdate::Failed(error));
    }
}
