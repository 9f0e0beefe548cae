//! Interval polling: answers at once.

use std::sync::Arc;
use std::time::Duration;

use bongsu_core::Problem;
use bongsu_core::read::{From, ReadRequest};
use http::Response;

use crate::Context;
use crate::answer::Gathered;
use crate::body::Body;
use crate::signal::Signal;

/// How long a client should wait before it polls again, unless it has its own interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// What lies after the client's position; without a position, the newest events.
pub(crate) async fn answer(context: &Context, mut read: ReadRequest) -> Result<Response<Body>, Problem> {
    let newest = (read.from == From::Unsaid).then_some(read.limit);
    if let Some(limit) = newest {
        read.from = From::Last(limit);
        // Each channel may bring so many; which of them are the newest is known only when all are there.
        read.limit = limit * read.channels.len().max(1);
    }
    let (reader, _) = context.reader(&read, &Arc::new(Signal::default())).await?;
    let mut gathered = Gathered::new(&read);
    let reader = gathered.fill(reader).await?;
    if let Some(limit) = newest {
        gathered.keep_newest(limit);
    }
    // Spread over a tenth, so that clients that were started together drift apart.
    let spread = context.chance.below(INTERVAL.as_millis() as u64 / 10);
    Ok(gathered.respond(&read, reader.cursor(), INTERVAL + Duration::from_millis(spread)))
}
