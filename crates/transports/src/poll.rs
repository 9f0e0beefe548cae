//! Interval polling: answers at once.

use std::sync::Arc;
use std::time::Duration;

use bongsu_core::Problem;
use bongsu_core::read::{From, ReadRequest};
use bongsu_hub::Reader;
use http::Response;

use crate::Context;
use crate::answer::Gathered;
use crate::body::Body;
use crate::signal::Signal;

/// How long a client should wait before it polls again, unless it has its own interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// What lies after the client's position; without a position, the newest events.
pub(crate) async fn answer(context: &Context, read: ReadRequest) -> Result<Response<Body>, Problem> {
    let (gathered, reader) = match read.from {
        From::Unsaid => newest(context, &read).await?,
        _ => gather(context, &read).await?,
    };
    gathered.respond(context, &read, reader.cursor(), return_hint(context))
}

/// When to come back: spread over a tenth, so that clients that were started together drift apart.
pub(crate) fn return_hint(context: &Context) -> Duration {
    let spread = context.chance.below(INTERVAL.as_millis() as u64 / 10);
    INTERVAL + Duration::from_millis(spread)
}

/// How many of each channel to try for next, when so many of each were more than an answer holds.
pub(crate) fn fewer(each: usize) -> usize {
    (each / 4).max(1)
}

async fn gather(context: &Context, read: &ReadRequest) -> Result<(Gathered, Reader), Problem> {
    let (reader, _) = context.reader(read, &Arc::new(Signal::default())).await?;
    let mut gathered = Gathered::new(read.limit, read.format);
    let reader = gathered.fill(reader).await?;
    Ok((gathered, reader))
}

/// The newest events over all channels. Which of them are the newest is known only when all are there, so each channel
/// brings as many; if that is more than an answer holds, fewer are asked for until it fits.
async fn newest(context: &Context, read: &ReadRequest) -> Result<(Gathered, Reader), Problem> {
    let mut each = read.limit;
    loop {
        let limit = each * read.channels.len().max(1);
        let attempt = ReadRequest { from: From::Last(each), limit, ..read.clone() };
        let (mut gathered, reader) = gather(context, &attempt).await?;
        if gathered.is_level() || each == 1 {
            gathered.keep_newest(read.limit);
            return Ok((gathered, reader));
        }
        each = fewer(each);
    }
}
