//! What goes on over one HTTP/2 connection, so that one that is not used can be ended.
//!
//! hyper ends an idle connection of HTTP/1.1, and one of HTTP/2 only when the peer no longer answers pings: a peer that
//! does nothing but answer them would keep its socket for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::timeout;

/// The requests of a connection that are under way.
#[derive(Clone, Debug)]
pub(crate) struct Streams(Arc<watch::Sender<usize>>);

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Stream(Streams);

impl Streams {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> Stream {
        self.0.send_modify(|open| *open += 1);
        Stream(self.clone())
    }

    /// Ready when no request was under way for so long.
    pub(crate) async fn idle(&self, limit: Duration) {
        let mut open = self.0.subscribe();
        loop {
            // The sender is here, so it is not gone.
            let _ = open.wait_for(|open| *open == 0).await;
            if timeout(limit, open.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

/// The body of an answer: its request is under way until all of it was taken.
#[derive(Debug)]
pub(crate) struct Answer<B> {
    body: B,
    _stream: Option<Arc<Stream>>,
}

impl<B> Answer<B> {
    pub(crate) fn new(body: B, stream: Option<Arc<Stream>>) -> Self {
        Self { body, _stream: stream }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_nothing_was_under_way_for_long() {
        let streams = Streams::new();
        let started = tokio::time::Instant::now();
        let watching = tokio::spawn({
            let streams = streams.clone();
            async move { streams.idle(LIMIT).await }
        });
        // The clock is the test's own: it moves only when nothing else is to be done.
        tokio::time::sleep(LIMIT / 2).await;
        let (one, two) = (streams.begin(), streams.begin());
        tokio::time::sleep(LIMIT * 10).await;
        drop(one);
        tokio::time::sleep(LIMIT * 10).await;
        drop(two);
        tokio::time::sleep(LIMIT / 2).await;
        drop(streams.begin());
        assert!(!watching.is_finished());
        watching.await.unwrap();
        assert_eq!(started.elapsed(), LIMIT * 22);
    }
}
