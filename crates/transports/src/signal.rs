//! How the hub's sequencer reaches a task.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bongsu_hub::Wake;
use futures_util::task::AtomicWaker;

/// A flag with at most one task waiting for it.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Wake for Signal {
    fn wake(&self) {
        // Raised already means that the task is on its way: most wakes of a busy channel end here.
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }
}

impl Signal {
    /// Ready once the signal was raised since the last time this was ready.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.raised.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits for [`Signal::poll`]. Dropping the future loses no wake.
    pub(crate) async fn raised(&self) {
        poll_fn(|context| self.poll(context)).await;
    }
}
