//! The JSON of answers that are no events: what a publish got, and what there is. One shape for the server, which
//! writes them, and the client, which reads them and ignores what it does not know.

use std::io::Write as _;

use bongsu_core::read::Way;
use bongsu_core::{ChannelName, Cursor, Millis, Problem};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::as_text::{millis, optional_text, text, texts, way};
use crate::json::push_string;
use crate::problem;

/// The answer to one publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The cursor just after the event; none if the log does not keep it.
    #[serde(default, with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub id: Option<Cursor>,
    /// Where it went.
    #[serde(with = "text")]
    pub channel: ChannelName,
    /// Its place in the channel; none if the log does not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How many connections read the channel when it was taken.
    pub subscribers: u32,
    /// Whether it was taken before, and this is the first answer again.
    pub duplicate: bool,
}

impl Receipt {
    /// The JSON, for a `$reply` or a line of NDJSON. Written by hand, because every publish needs one.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self { id, channel, offset, subscribers, duplicate } = self;
        let mut out = Vec::with_capacity(160);
        out.push(b'{');
        // Writing into memory cannot fail.
        if let Some(id) = id {
            let _ = write!(out, "\"id\":\"{id}\",");
        }
        out.extend_from_slice(b"\"channel\":");
        push_string(&mut out, channel.as_str());
        let mut number = itoa::Buffer::new();
        if let Some(offset) = offset {
            out.extend_from_slice(b",\"offset\":");
            out.extend_from_slice(number.format(*offset).as_bytes());
        }
        out.extend_from_slice(b",\"subscribers\":");
        out.extend_from_slice(number.format(*subscribers).as_bytes());
        out.extend_from_slice(if *duplicate { b",\"duplicate\":true}" } else { b",\"duplicate\":false}" });
        String::from_utf8(out).expect("all of its parts are text")
    }
}

/// The answer to one element of a list: of a batch, or of the channels of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishResult {
    /// It was taken.
    Taken(Receipt),
    /// It was for several channels, and all took it.
    TakenByAll(Results),
    /// It was refused.
    Refused(Problem),
}

impl PublishResult {
    /// The JSON, for a line of NDJSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

/// The answers to a list, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// One for each.
    pub results: Vec<PublishResult>,
}

/// The answer of `GET /v1/channels`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelList {
    /// In order of their names.
    pub channels: Vec<ChannelSummary>,
    /// What to ask for as `after` to get more; none at the end.
    #[serde(default)]
    pub next: Option<String>,
}

/// One channel of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSummary {
    /// Its name.
    #[serde(with = "text")]
    pub channel: ChannelName,
    /// The offset of the newest event; 0 if there was none.
    pub offset: u64,
    /// How many connections read it.
    pub subscribers: u64,
}

/// The answer of `GET /v1/channels/{channel}/info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// Its name.
    #[serde(with = "text")]
    pub channel: ChannelName,
    /// The offset of the newest event ever kept; 0 if there was none.
    pub head: u64,
    /// The offset of the oldest event that is kept; 0 if there is none.
    pub oldest: u64,
    /// How many events are kept.
    pub events: u64,
    /// Their bytes of payload.
    pub bytes: u64,
    /// Who reads it.
    pub subscribers: Subscribers,
    /// How many members are present, where presence is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<u64>,
}

/// How many connections read something, by their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribers {
    /// Polls that are being answered.
    pub poll: u64,
    /// Long polls that wait.
    pub longpoll: u64,
    /// NDJSON streams.
    pub stream: u64,
    /// Streams of server-sent events.
    pub sse: u64,
    /// WebSockets.
    pub websocket: u64,
    /// All of them.
    pub total: u64,
}

impl Subscribers {
    /// The numbers of each way, in the order of [`Way::ALL`], and their sum.
    #[must_use]
    pub fn new(by_way: [u64; 5]) -> Self {
        let [poll, longpoll, stream, sse, websocket] = by_way;
        Self { poll, longpoll, stream, sse, websocket, total: by_way.iter().sum() }
    }
}

/// The answer of `GET /v1/connections`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionList {
    /// In order of their names.
    pub connections: Vec<ConnectionInfo>,
    /// What to ask for as `after` to get more; none at the end.
    #[serde(default)]
    pub next: Option<String>,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionInfo {
    /// Its name, as in `$open`.
    pub connection: String,
    /// Whose it is, if that is known.
    #[serde(default)]
    pub user: Option<String>,
    /// Its way.
    #[serde(with = "way")]
    pub transport: Way,
    /// What it reads.
    #[serde(with = "texts")]
    pub channels: Vec<ChannelName>,
    /// When it was opened, in Unix milliseconds.
    #[serde(with = "millis")]
    pub since: Millis,
}

/// The JSON of an answer.
///
/// Nothing in these types can fail to be written: all keys are strings and all numbers finite.
#[must_use]
pub fn to_json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_default()
}

impl Serialize for PublishResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Taken(receipt) => receipt.serialize(serializer),
            Self::TakenByAll(results) => results.serialize(serializer),
            Self::Refused(refusal) => {
                let text = String::from_utf8(problem::encode(refusal).into()).map_err(serde::ser::Error::custom)?;
                RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for PublishResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Which members there are tells the three apart.
        #[derive(Deserialize)]
        struct Shape {
            results: Option<serde::de::IgnoredAny>,
            channel: Option<serde::de::IgnoredAny>,
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let Shape { results, channel } = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        match (results, channel) {
            (Some(_), _) => serde_json::from_str(raw.get()).map(Self::TakenByAll).map_err(D::Error::custom),
            (None, Some(_)) => serde_json::from_str(raw.get()).map(Self::Taken).map_err(D::Error::custom),
            (None, None) => problem::parse(raw.get().as_bytes()).map(Self::Refused).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use bongsu_core::{Epoch, ErrorCode, Seq};
    use serde::de::DeserializeOwned;

    use super::*;

    fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(answer: &T, text: &str) {
        assert_eq!(to_json(answer), text);
        assert_eq!(&serde_json::from_str::<T>(text).unwrap(), answer);
        let more = text.replacen('{', r#"{"new":[],"#, 1);
        assert_eq!(&serde_json::from_str::<T>(&more).unwrap(), answer, "what is not known is ignored");
    }

    fn channel() -> ChannelName {
        ChannelName::new("a").unwrap()
    }

    fn receipt() -> Receipt {
        let id = Some(Cursor::new(Epoch::from_random(1), Seq(17)));
        Receipt { id, channel: channel(), offset: Some(3), subscribers: 2, duplicate: false }
    }

    #[test]
    fn publishes_are_answered() {
        const TAKEN: &str = r#"{"id":"00000001-17","channel":"a","offset":3,"subscribers":2,"duplicate":false}"#;
        const LIVE: &str = r#"{"channel":"a","subscribers":2,"duplicate":false}"#;
        same(&receipt(), TAKEN);
        let live = Receipt { id: None, offset: None, ..receipt() };
        same(&live, LIVE);
        let both = Results { results: vec![PublishResult::Taken(receipt()), PublishResult::Taken(live)] };
        same(&both, &format!(r#"{{"results":[{TAKEN},{LIVE}]}}"#));
        let problem = Problem::new(ErrorCode::BadJson, "no");
        let refused = String::from_utf8(problem::encode(&problem).into()).unwrap();
        let mixed = Results { results: vec![PublishResult::Refused(problem), PublishResult::TakenByAll(both)] };
        same(&mixed, &format!(r#"{{"results":[{refused},{{"results":[{TAKEN},{LIVE}]}}]}}"#));
    }

    #[test]
    fn lists_have_one_form() {
        let subscribers = Subscribers::new([1, 2, 3, 4, 5]);
        same(&ChannelList::default(), r#"{"channels":[],"next":null}"#);
        same(
            &ChannelList {
                channels: vec![ChannelSummary { channel: channel(), offset: 3, subscribers: 2 }],
                next: Some("a".into()),
            },
            r#"{"channels":[{"channel":"a","offset":3,"subscribers":2}],"next":"a"}"#,
        );
        same(
            &ChannelInfo { channel: channel(), head: 9, oldest: 3, events: 7, bytes: 70, subscribers, presence: None },
            r#"{"channel":"a","head":9,"oldest":3,"events":7,"bytes":70,"subscribers":{"poll":1,"longpoll":2,"stream":3,"sse":4,"websocket":5,"total":15}}"#,
        );
        let connection = ConnectionInfo {
            connection: "c".into(),
            user: None,
            transport: Way::LongPoll,
            channels: vec![channel()],
            since: Millis(5),
        };
        same(
            &ConnectionList { connections: vec![connection], next: None },
            r#"{"connections":[{"connection":"c","user":null,"transport":"longpoll","channels":["a"],"since":5}],"next":null}"#,
        );
    }

    #[test]
    fn what_is_broken_is_refused() {
        for text in ["5", "{}", r#"{"channel":"a b","subscribers":0,"duplicate":false}"#, r#"{"channel":"a","id":"x"}"#]
        {
            assert!(serde_json::from_str::<PublishResult>(text).is_err(), "{text}");
        }
    }
}
