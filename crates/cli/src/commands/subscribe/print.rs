//! How events look on a terminal and in a pipe.
//!
//! Results go to the standard output: events, and with `--json` gaps too, because a script must not miss one. What happens
//! to the connection goes to the standard error.

use std::fmt::Write as _;
use std::io::{self, Write};

use bongsu_client::{Data, Event, Gap, Incoming, Open, Reconnecting};

use crate::output::{DIM, KIND, NAME, STRONG, WARN, harmless, note, span, styled, utc};

/// Prints what a subscription hands over.
#[derive(Debug)]
pub(super) struct Printer<W> {
    out: W,
    json: bool,
    /// Whether a connection was lost since the last one stood.
    lost: bool,
}

impl<W: Write> Printer<W> {
    /// A printer onto `out`.
    pub(super) fn new(out: W, json: bool) -> Self {
        Self { out, json, lost: false }
    }

    /// Prints one item.
    pub(super) fn print(&mut self, incoming: &Incoming) -> io::Result<()> {
        match incoming {
            Incoming::Event(event) if self.json => writeln!(self.out, "{}", event.object()),
            Incoming::Event(event) => writeln!(self.out, "{}", line(event)),
            Incoming::Gap(gap) => self.gap(gap),
            Incoming::Open(open) => {
                self.open(open);
                Ok(())
            }
            Incoming::Reconnecting(reconnecting) => self.reconnecting(reconnecting),
            _ => Ok(()),
        }
    }

    /// Lets out what was printed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn gap(&mut self, gap: &Gap) -> io::Result<()> {
        if self.json {
            let cursor = gap.cursor.as_ref().map(ToString::to_string);
            let object = serde_json::json!({
                "type": "$gap", "channel": gap.channel, "reason": gap.reason.to_string(), "cursor": cursor,
            });
            return writeln!(self.out, "{object}");
        }
        // What came before the gap stands before it, also where both streams end on one terminal.
        self.out.flush()?;
        let (channel, reason) = (harmless(&gap.channel), gap.reason.to_string());
        note(styled(WARN, format_args!("gap in {channel}: events are missing here ({})", harmless(&reason))));
        Ok(())
    }

    fn open(&mut self, open: &Open) {
        if std::mem::take(&mut self.lost) {
            note(styled(DIM, format_args!("connected again ({})", open.way.as_str())));
        }
    }

    fn reconnecting(&mut self, reconnecting: &Reconnecting) -> io::Result<()> {
        self.lost = true;
        self.out.flush()?;
        let Reconnecting { why, after, way, .. } = reconnecting;
        let why = why.to_string();
        let text = format!("no connection: {}; trying again in {} ({})", harmless(&why), span(*after), way.as_str());
        note(styled(WARN, text));
        Ok(())
    }
}

/// An event as one line for a person: time, channel, offset, type if it is not the usual one, payload.
fn line(event: &Event) -> String {
    let mut line = format!("{} {}", styled(DIM, utc(event.time.0)), styled(NAME, harmless(&event.channel)));
    match event.offset {
        Some(offset) => write!(line, "{}", styled(DIM, format_args!(" #{offset}"))),
        None => write!(line, "{}", styled(DIM, " #-")),
    }
    .expect("writing to a String cannot fail");
    if event.kind != "message" {
        write!(line, " {}", styled(KIND, harmless(&event.kind))).expect("writing to a String cannot fail");
    }
    if let Some(key) = &event.key {
        write!(line, " {}", styled(STRONG, format_args!("[{}]", harmless(key))))
            .expect("writing to a String cannot fail");
    }
    write!(line, "  {}", payload(event)).expect("writing to a String cannot fail");
    line
}

fn payload(event: &Event) -> String {
    match event.data() {
        Data::Json(json) => harmless(json).into_owned(),
        Data::Text(text) => harmless(&text).into_owned(),
        Data::Binary(bytes) => {
            let kind = event.content_type.as_deref().unwrap_or("no media type");
            format!("<{} bytes, {}>", bytes.len(), harmless(kind))
        }
    }
}
