//! Long polling: waits for the first event, gathers a burst, answers.

use std::sync::Arc;
use std::time::Duration;

use bongsu_core::Problem;
use bongsu_core::limits::GATHER;
use bongsu_core::read::{ReadRequest, Way};
use http::Response;
use tokio::time::{Instant, sleep, timeout_at};

use crate::Context;
use crate::answer::Gathered;
use crate::body::Body;
use crate::connections::Call;
use crate::signal::Signal;

/// What lies after the client's position, as soon as there is something; nothing, when the wait is over.
pub(crate) async fn answer(context: &Context, read: ReadRequest) -> Result<Response<Body>, Problem> {
    let signal = Arc::new(Signal::default());
    let entry = context.enter(&read, Call::Task(signal.clone()))?;
    let (mut reader, _) = context.reader(&read, &signal).await?;
    // HEAD asks what a GET would say, and is not kept waiting for it.
    let wait = if read.head_only { Duration::ZERO } else { read.wait };
    let deadline = Instant::now() + wait;
    let mut gathered = Gathered::new(read.limit, read.format);
    reader = gathered.fill(reader).await?;
    while gathered.is_empty() {
        if timeout_at(deadline, signal.raised()).await.is_err() {
            break;
        }
        // Asked to end: answered as if the time were over, so that the client comes back by itself.
        if let Some(close) = entry.take_close() {
            return gathered.respond(context, &read, reader.cursor(), close.retry);
        }
        reader = gathered.fill(reader).await?;
        if !gathered.is_empty() {
            // What comes in the next moments goes along, so that a burst is one answer and not one request per event.
            sleep(GATHER).await;
            reader = gathered.fill(reader).await?;
        }
    }
    gathered.respond(context, &read, reader.cursor(), return_hint(context))
}

/// When to come back. A broadcast answers everyone at once; the more wait, the wider their returns are spread. The cursor
/// makes the pause lossless.
pub(crate) fn return_hint(context: &Context) -> Duration {
    const SPREAD_MAX_MS: u64 = 1_000;
    let waiting = context.connections.by_way()[Way::LongPoll as usize] as u64;
    // Twenty returns per millisecond are what one core takes with ease.
    Duration::from_millis(context.chance.below((waiting / 20).min(SPREAD_MAX_MS)))
}
