//! What each way asks for: the same address and parameters, with the words that choose the way.

use bongsu_core::limits::WAIT_DEFAULT;
use bongsu_core::read::Way;

use super::Reading;
use crate::cursor::Since;
use crate::error::Error;
use crate::net::call::Call;
use crate::resume::Position;

/// The request that reads `channels` from `position` by `way`.
pub(super) fn read_call(reading: &Reading, way: Way, channels: &[String], position: &Position) -> Result<Call, Error> {
    let mut call = match channels {
        [channel] => Call::get(&["v1", "channels", channel]),
        many => many.iter().fold(Call::get(&["v1", "events"]), |call, channel| call.query("channel", channel)),
    };
    call = reading.types.iter().fold(call, |call, name| call.query("type", name));
    if way.is_polling() {
        call = call.maybe_query("limit", reading.limit);
    } else {
        call = call.maybe_query("heartbeat", reading.heartbeat.map(|heartbeat| heartbeat.as_secs()));
    }
    let call = match way {
        // What the server falls back to: nothing has to be said.
        Way::Poll => call,
        Way::LongPoll => {
            let wait = reading.wait.unwrap_or(WAIT_DEFAULT).as_secs();
            call.header("prefer", &format!("wait={wait}"))?
        }
        Way::Stream => call.static_header("accept", "application/x-ndjson"),
        Way::Sse => call.static_header("accept", "text/event-stream"),
        // The handshake adds its own headers.
        Way::WebSocket => call,
    };
    begin(call, way, position)
}

fn begin(call: Call, way: Way, position: &Position) -> Result<Call, Error> {
    match position {
        // Conditional, so that "nothing new" costs no body.
        Position::Since(Since::At(cursor)) if way.is_polling() => {
            call.header("if-none-match", &format!("\"{cursor}\""))
        }
        // `now` is said too: a poll without it would begin with old events.
        Position::Since(since) => Ok(call.query("since", &since.to_string())),
        Position::Last(count) => Ok(call.query("last", &count.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::origin::Origin;

    #[test]
    fn requests() {
        let at = Position::Since(Since::At("e-5".parse().unwrap()));
        let (now, start) = (Position::Since(Since::Now), Position::Since(Since::Start));
        let one: &[&str] = &["a"];
        // The way, channels and position; the target; the header that matters.
        let cases = [
            (Way::Poll, one, &at, "/v1/channels/a?type=x&limit=7", "if-none-match: \"e-5\""),
            (Way::Poll, one, &now, "/v1/channels/a?type=x&limit=7&since=now", ""),
            (Way::LongPoll, one, &start, "/v1/channels/a?type=x&limit=7&since=start", "prefer: wait=9"),
            (Way::LongPoll, one, &at, "/v1/channels/a?type=x&limit=7", "if-none-match: \"e-5\""),
            (Way::Stream, one, &at, "/v1/channels/a?type=x&heartbeat=30&since=e-5", "accept: application/x-ndjson"),
            (
                Way::Sse,
                one,
                &Position::Last(3),
                "/v1/channels/a?type=x&heartbeat=30&last=3",
                "accept: text/event-stream",
            ),
            (
                Way::WebSocket,
                &["a", "b c"],
                &at,
                "/v1/events?channel=a&channel=b%20c&type=x&heartbeat=30&since=e-5",
                "",
            ),
            (Way::WebSocket, &[], &now, "/v1/events?type=x&heartbeat=30&since=now", ""),
        ];
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let reading = Reading {
            types: vec!["x".into()],
            heartbeat: seconds(30),
            limit: Some(7),
            wait: seconds(9),
            ..Reading::default()
        };
        for (way, channels, position, target, header) in cases {
            let channels: Vec<String> = channels.iter().map(ToString::to_string).collect();
            let call = read_call(&reading, way, &channels, position).unwrap();
            let request = call.request(&Origin::parse("http://h").unwrap(), false).unwrap();
            assert_eq!(request.uri(), target, "{way:?}");
            if let Some((name, value)) = header.split_once(": ") {
                assert_eq!(request.headers()[name], value, "{way:?}");
            }
        }
    }
}
