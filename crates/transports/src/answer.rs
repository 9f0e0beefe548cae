//! What the two polling ways share: pages gathered into one answer.

use std::time::Duration;

use bongsu_core::cursor::{Cursor, Since};
use bongsu_core::log::Budget;
use bongsu_core::read::{Format, From, ReadRequest};
use bongsu_core::subscription::{Item, Page, ReadError};
use bongsu_core::{Control, Problem};
use bongsu_hub::Reader;
use bongsu_wire::{answer, framing};
use bytes::Bytes;
use http::{Response, StatusCode, header};

use crate::body::Body;
use crate::{Context, driver, response};

/// The most payload in one answer, in bytes; `more` tells that there is more.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The elements of an answer in the making.
pub(crate) struct Gathered {
    elements: Vec<Bytes>,
    events: usize,
    bytes: usize,
    limit: usize,
    format: Format,
    /// Whether the last read reached the head.
    level: bool,
}

impl Gathered {
    pub(crate) fn new(limit: usize, format: Format) -> Self {
        Self { elements: Vec::new(), events: 0, bytes: 0, limit, format, level: false }
    }

    /// Bytes of heap held. The elements are shared with all who get the same events, so only the list counts.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.elements.capacity() * size_of::<Bytes>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// How much more it wants: `None` when it is level with the head, or full.
    pub(crate) fn room(&self) -> Option<Budget> {
        let events = self.limit.saturating_sub(self.events);
        let bytes = ANSWER_BYTES_MAX.saturating_sub(self.bytes);
        (events > 0 && bytes > 0 && !self.level).then_some(Budget { events, bytes })
    }

    /// Looks for more than there was when it was level, if it has room for more.
    pub(crate) fn again(&mut self) {
        self.level &= self.events >= self.limit || self.bytes >= ANSWER_BYTES_MAX;
    }

    /// Takes what was read.
    pub(crate) fn take(&mut self, page: Page) {
        self.level = page.caught_up;
        for item in page.items {
            self.push(&item);
        }
    }

    /// Takes all that the reader has up to the head, or as much as one answer holds. Gives the reader back.
    pub(crate) async fn fill(&mut self, mut reader: Reader) -> Result<Reader, Problem> {
        self.again();
        while let Some(room) = self.room() {
            let page = match reader.page(room) {
                Ok(page) => page,
                Err(ReadError::Cold | ReadError::Failed(_)) => {
                    let (back, page) = driver::blocking(move || {
                        let page = reader.page_cold(room);
                        (reader, page)
                    })
                    .await?;
                    reader = back;
                    page?
                }
            };
            self.take(page);
            // A long way through what is filtered out is walked in steps.
            tokio::task::yield_now().await;
        }
        Ok(reader)
    }

    fn push(&mut self, item: &Item) {
        match item {
            Item::Event(event) => {
                self.events += 1;
                self.bytes += event.payload.bytes.len();
                self.elements.push(framing::event_element(event, self.format));
            }
            Item::Gap { channel, reason, cursor } => {
                let gap = Control::Gap { channel: channel.clone(), reason: *reason, cursor: *cursor };
                self.elements.extend(framing::control_element(&gap, self.format));
            }
            Item::Live { .. } => {}
        }
    }

    /// Whether everything up to the head is in.
    pub(crate) fn is_level(&self) -> bool {
        self.level
    }

    /// Keeps the newest `limit` elements only.
    pub(crate) fn keep_newest(&mut self, limit: usize) {
        let surplus = self.elements.len().saturating_sub(limit);
        self.elements.drain(..surplus);
    }

    /// The answer. Nothing new is `304` to a conditional request: to who knows the position `known`.
    pub(crate) fn reply(self, known: Option<Cursor>, cursor: Cursor, retry: Duration) -> Reply {
        if self.is_empty()
            && let Some(known) = known
        {
            // The client's own position stays good: in its channels nothing lies between it and the head.
            return Reply::NotModified(known);
        }
        let more = !self.level;
        let retry = if more { Duration::ZERO } else { retry };
        Reply::Content { bytes: answer::encode(&self.elements, cursor, more, retry), cursor }
    }

    /// The answer as hyper takes it.
    ///
    /// # Errors
    /// Too many bytes of answers wait for clients that do not read them.
    pub(crate) fn respond(
        self,
        context: &Context,
        read: &ReadRequest,
        cursor: Cursor,
        retry: Duration,
    ) -> Result<Response<Body>, Problem> {
        match self.reply(known(read), cursor, retry) {
            Reply::NotModified(known) => {
                let builder = response::head(StatusCode::NOT_MODIFIED).header(header::ETAG, response::etag(known));
                Ok(response::finish(builder, Body::empty()))
            }
            Reply::Content { bytes, cursor } => {
                let builder = response::head(StatusCode::OK)
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(header::ETAG, response::etag(cursor));
                Ok(response::full(builder, context.counted(bytes)?, read.head_only))
            }
        }
    }
}

/// What a polling request is answered.
pub(crate) enum Reply {
    /// Nothing has come after this position, which the client named.
    NotModified(Cursor),
    /// A body, and the position after it.
    Content { bytes: Bytes, cursor: Cursor },
}

/// The position to which `304` is the answer if nothing has come after it.
pub(crate) fn known(read: &ReadRequest) -> Option<Cursor> {
    match read.from {
        From::Since(Since::At(cursor)) if read.conditional => Some(cursor),
        _ => None,
    }
}
