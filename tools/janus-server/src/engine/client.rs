//! A request under way: what of it was generated, and who is told.

use std::sync::mpsc::Sender;
use std::time::Duration;

use janus_pipeline::{AnswerText, FinishReason, ImageToken, Janus, SequenceId, TokenId};
use tokio::sync::mpsc::UnboundedSender;

use super::ImageTask;
use super::painter::{Drawn, Painting};
use super::ticket::Ticket;
use super::update::{ImageUpdate, TextUpdate};
use crate::error::ApiError;
use crate::stop::StopFinder;

/// A request under way.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) ids: Vec<SequenceId>,
    /// How many of them are not complete.
    pub(super) left: usize,
    pub(super) told_first: bool,
    pub(super) output: Output,
    pub(super) ticket: Ticket,
}

/// What a request brings.
#[derive(Debug)]
pub(super) enum Output {
    Text(Vec<Answer>, UnboundedSender<TextUpdate>),
    Images {
        tokens: Vec<Vec<ImageToken>>,
        /// Tokens of a picture.
        total: usize,
        /// Numbers of tokens at which a picture is shown.
        shown_at: Vec<usize>,
        task: ImageTask,
        updates: UnboundedSender<ImageUpdate>,
    },
}

/// One of several answers.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    text: AnswerText,
    stop: StopFinder,
    tokens: usize,
    /// Text that was not told yet.
    untold: String,
    /// Whether text is told as it comes. Whoever waits for all of it is not woken for every token.
    streamed: bool,
    /// Whether its end was told.
    ended: bool,
}

impl Client {
    pub(super) fn is_gone(&self) -> bool {
        match &self.output {
            Output::Text(_, updates) => updates.is_closed(),
            Output::Images { updates, .. } => updates.is_closed(),
        }
    }

    /// Whether the end of a sequence was told.
    pub(super) fn has_ended(&self, index: usize) -> bool {
        match &self.output {
            Output::Text(answers, _) => answers[index].ended,
            Output::Images { .. } => false,
        }
    }

    pub(super) fn fail(self, error: ApiError) {
        match self.output {
            Output::Text(_, updates) => {
                let _ = updates.send(TextUpdate::Failed(error));
            }
            Output::Images { updates, .. } => {
                let _ = updates.send(ImageUpdate::Failed(error));
            }
        }
    }

    /// Text that a token completes; true where the answer ends with it.
    pub(super) fn tell_text(
        &mut self,
        index: usize,
        token: TokenId,
        janus: &Janus,
    ) -> janus_pipeline::Result<bool> {
        let Output::Text(answers, updates) = &mut self.output else {
            return Ok(false);
        };
        let answer = &mut answers[index];
        answer.tokens += 1;
        let piece = answer.text.push(&janus.tokenizer, token)?;
        let (text, stopped) = answer.stop.push(&piece);
        answer.untold.push_str(&text);
        if stopped {
            answer.end(index, FinishReason::Stop, updates);
        } else if answer.streamed {
            answer.send_piece(index, updates);
        }
        Ok(stopped)
    }

    /// Has a picture shown where it is time, and painted where it is complete.
    pub(super) fn tell_image(
        &mut self,
        index: usize,
        token: ImageToken,
        painter: &Sender<Painting>,
    ) {
        let Output::Images {
            tokens,
            total,
            shown_at,
            task,
            updates,
        } = &mut self.output
        else {
            return;
        };
        let row = &mut tokens[index];
        row.push(token);
        let partial = shown_at.iter().position(|&at| at == row.len());
        if partial.is_none() && row.len() < *total {
            return;
        }
        let painting = Painting {
            index,
            partial,
            drawn: Drawn::Tokens(row.clone()),
            task: task.clone(),
            updates: updates.clone(),
            ticket: self.ticket.clone(),
        };
        // Without a painter the sender of the updates is dropped, which tells the client.
        let _ = painter.send(painting);
    }

    /// What is left of an answer. Pictures are finished by the painter. True: it is the end.
    pub(super) fn finish(
        &mut self,
        index: usize,
        reason: FinishReason,
        janus: &Janus,
    ) -> janus_pipeline::Result<bool> {
        let Output::Text(answers, updates) = &mut self.output else {
            return Ok(true);
        };
        let answer = &mut answers[index];
        let rest = answer.text.finish(&janus.tokenizer)?;
        let (text, stopped) = answer.stop.push(&rest);
        answer.untold.push_str(&text);
        if !stopped {
            answer.untold.push_str(&answer.stop.finish());
        }
        answer.end(index, reason, updates);
        Ok(true)
    }
}

impl Answer {
    pub(super) fn new(stops: Vec<String>, streamed: bool) -> Self {
        Self {
            text: AnswerText::default(),
            stop: StopFinder::new(stops),
            tokens: 0,
            untold: String::new(),
            streamed,
            ended: false,
        }
    }

    fn send_piece(&mut self, index: usize, updates: &UnboundedSender<TextUpdate>) {
        if !self.untold.is_empty() {
            let text = std::mem::take(&mut self.untold);
            let _ = updates.send(TextUpdate::Piece { index, text });
        }
    }

    fn end(&mut self, index: usize, reason: FinishReason, updates: &UnboundedSender<TextUpdate>) {
        self.send_piece(index, updates);
        self.ended = true;
        let tokens = self.tokens;
        let _ = updates.send(TextUpdate::Finished {
            index,
            reason,
            tokens,
        });
    }
}

/// Numbers of tokens, or of steps, at which a picture of `total` is shown before it is complete.
pub(super) fn shown_at(total: usize, partials: usize) -> Vec<usize> {
    let parts = partials + 1;
    (1..parts).map(|part| total * part / parts).collect()
}

/// Whether a request is not to be worked on any more, and what its client is told, if it is still there.
pub(super) fn end(is_gone: bool, ticket: &Ticket, most: Duration) -> Option<Option<ApiError>> {
    if is_gone {
        Some(None)
    } else if ticket.is_stopped() {
        Some(Some(ApiError::unavailable("the server is stopping")))
    } else if ticket.since().elapsed() > most {
        Some(Some(ApiError::timed_out(most.as_secs())))
    } else {
        None
    }
}
