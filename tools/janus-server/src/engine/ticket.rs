//! Who may come in: as many requests as the limit, and the rest is told to come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// What requests need to be worked on.
#[derive(Clone, Debug)]
pub(crate) struct Tickets(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    limit: usize,
    out: AtomicUsize,
    stopped: AtomicBool,
}

/// A request under way, until the last copy is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Ticket(Arc<Out>);

#[derive(Debug)]
struct Out {
    counts: Arc<Counts>,
    since: Instant,
}

impl Tickets {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Counts {
            limit,
            out: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }))
    }

    /// A ticket, if there is one.
    pub(crate) fn take(&self) -> Option<Ticket> {
        let more = |out| (out < self.0.limit).then_some(out + 1);
        let taken = self
            .0
            .out
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok()?;
        Some(Ticket(Arc::new(Out {
            counts: Arc::clone(&self.0),
            since: Instant::now(),
        })))
    }

    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    /// Requests under way.
    pub(crate) fn out(&self) -> usize {
        self.0.out.load(Ordering::Acquire)
    }

    /// Everything under way is to end now.
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
    }
}

impl Ticket {
    /// When the request came in.
    pub(crate) fn since(&self) -> Instant {
        self.0.since
    }

    /// Whether it is to end now, whatever it has come to.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.counts.stopped.load(Ordering::Acquire)
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.counts.out.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_come_back() {
        let tickets = Tickets::new(2);
        let (one, two) = (tickets.take().unwrap(), tickets.take().unwrap());
        assert!(tickets.take().is_none());
        let copy = one.clone();
        drop(one);
        assert!(tickets.take().is_none());
        drop(copy);
        assert_eq!(tickets.out(), 1);
        assert!(tickets.take().is_some());
        tickets.stop();
        assert!(two.is_stopped());
    }
}
