//! Who may join the batch, and when.

use std::collections::VecDeque;

use janus_llm::{LanguageModel, Prefill};

use crate::error::{Error, Result};
use crate::sequence::{Request, SequenceId};

/// How often a request that does not fit yet lets later ones pass.
const PASSED_AT_MOST: usize = 16;

/// What a scheduler takes on at most. The default is no limit: for a program that asks for one
/// thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows that run together: an answer has one, a guided picture two.
    pub rows: usize,
    /// Positions of the cache: rows times what the longest of them comes to.
    pub positions: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Positions of a prompt that are run at once: so long those that run are held up.
    pub piece: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows: usize::MAX,
            positions: usize::MAX,
            waiting: usize::MAX,
            piece: 256,
        }
    }
}

/// Rows, and the positions of the longest of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) rows: usize,
    pub(crate) longest: usize,
}

impl Cost {
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            rows: request.rows(),
            longest: request.positions(),
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            longest: self.longest.max(other.longest),
        }
    }

    fn fits(self, limits: &Limits) -> bool {
        self.rows <= limits.rows && self.rows.saturating_mul(self.longest) <= limits.positions
    }
}

/// Requests that wait for their turn, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    first: SequenceId,
    request: Request,
    /// How many came later and joined earlier.
    passed: usize,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a request wait.
    ///
    /// # Errors
    ///
    /// [`Error::QueueFull`], and [`Error::TooLarge`] where it would have to wait for ever.
    pub(crate) fn push(
        &mut self,
        first: SequenceId,
        request: Request,
        limits: &Limits,
    ) -> Result<()> {
        let Cost { rows, longest } = Cost::of(&request);
        if !(Cost { rows, longest }).fits(limits) {
            return Err(Error::TooLarge {
                rows,
                positions: longest,
                most_rows: limits.rows,
                most_positions: limits.positions,
            });
        }
        if self.waiting.len() >= limits.waiting {
            let limit = limits.waiting;
            return Err(Error::QueueFull { limit });
        }
        self.waiting.push_back(Waiting {
            first,
            request,
            passed: 0,
        });
        Ok(())
    }

    /// The first request that fits beside what has been taken on. One that is too large for now
    /// lets smaller ones pass, but not for ever.
    pub(crate) fn pop(&mut self, taken: Cost, limits: &Limits) -> Option<(SequenceId, Request)> {
        let fits = |waiting: &Waiting| taken.and(Cost::of(&waiting.request)).fits(limits);
        let place = self.waiting.iter().position(fits)?;
        let before = || self.waiting.iter().take(place);
        if before().any(|waiting| waiting.passed >= PASSED_AT_MOST) {
            return None;
        }
        for waiting in self.waiting.iter_mut().take(place) {
            waiting.passed += 1;
        }
        let found = self.waiting.remove(place)?;
        Some((found.first, found.request))
    }

    /// Keeps the requests that `wanted` wants.
    pub(crate) fn retain(&mut self, wanted: impl Fn(SequenceId, &Request) -> bool) {
        let wanted = |waiting: &Waiting| wanted(waiting.first, &waiting.request);
        self.waiting.retain(wanted);
    }
}

/// A request whose prompts are on their way into caches.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) first: SequenceId,
    pub(crate) request: Request,
    /// One for each row of a sequence.
    pub(crate) prefixes: Vec<Prefill>,
}

impl Joining {
    /// A request with none of its prompts run. The last position of each is left to the first step,
    /// which runs it with everybody else's.
    pub(crate) fn begin(
        llm: &mut LanguageModel,
        first: SequenceId,
        request: Request,
    ) -> Result<Self> {
        let prompts = request.prompts();
        let prefixes = prompts
            .iter()
            .map(|prompt| llm.prefill(prompt.slice(0..prompt.positions() - 1)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            first,
            request,
            prefixes,
        })
    }

    /// Positions that the next piece runs; 0 when every prompt is complete.
    pub(crate) fn next_piece(&self, most: usize) -> usize {
        let next = self.prefixes.iter().find(|prefix| !prefix.is_complete());
        next.map_or(0, |prefix| prefix.next_piece(most))
    }

    /// Runs the next piece.
    pub(crate) fn advance(&mut self, llm: &mut LanguageModel, most: usize) -> Result<()> {
        if let Some(prefix) = self.prefixes.iter_mut().find(|p| !p.is_complete()) {
            llm.advance_by(prefix, most)?;
        }
        Ok(())
    }

    /// Positions that have been run, and all.
    pub(crate) fn progress(&self) -> (usize, usize) {
        let done = self.prefixes.iter().map(Prefill::done).sum();
        (done, self.prefixes.iter().map(Prefill::total).sum())
    }
}
