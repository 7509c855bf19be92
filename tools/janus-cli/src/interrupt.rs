//! Ctrl-C: between two steps where a command works in steps, at once elsewhere.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::failure::Failure;

/// Exit status after Ctrl-C, as shells have it.
pub(crate) const STATUS: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);
/// How many pieces of work will look at `ASKED` before long.
static STEPPING: AtomicUsize = AtomicUsize::new(0);

/// Handles Ctrl-C from now on. A second one does not wait.
pub(crate) fn listen() {
    // Without a handler Ctrl-C simply ends the program, which is also right.
    let _ = ctrlc::set_handler(|| {
        let waits = STEPPING.load(Ordering::SeqCst) > 0;
        if ASKED.swap(true, Ordering::SeqCst) || !waits {
            // Not `std::process::exit`: it takes ONNX Runtime's globals down under the threads that
            // are in the middle of a graph, and the program ends with a segmentation fault.
            signal_hook::low_level::exit(i32::from(STATUS));
        }
    });
}

/// While this lives, Ctrl-C waits for [`check`] or [`asked`].
#[must_use]
pub(crate) struct Steps(());

/// Work in steps begins.
pub(crate) fn steps() -> Steps {
    STEPPING.fetch_add(1, Ordering::SeqCst);
    Steps(())
}

impl Drop for Steps {
    fn drop(&mut self) {
        STEPPING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether somebody pressed Ctrl-C.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// Fails if somebody pressed Ctrl-C.
pub(crate) fn check() -> Result<(), Failure> {
    if asked() {
        Err(Failure::Interrupted)
    } else {
        Ok(())
    }
}

/// What Ctrl-C was meant for has stopped; the program goes on.
pub(crate) fn forget() {
    ASKED.store(false, Ordering::SeqCst);
}
