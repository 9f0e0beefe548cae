//! From what is read to the event that is published.
//!
//! A JSON payload keeps its text: numbers, escapes and the order of fields are the publisher's. It knows no connection.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bongsu_client::Publication;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What the events of one command have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    /// The channel; `None` when each line names its own.
    pub(super) channel: Option<String>,
    /// The type.
    pub(super) kind: Option<String>,
    /// The key.
    pub(super) key: Option<String>,
    /// After which time it is not delivered any more.
    pub(super) ttl: Option<Duration>,
    /// Whether the log does not keep it.
    pub(super) no_store: bool,
    /// Names the publish, so that a retry is harmless. In bulk each event gets this and its number.
    pub(super) idempotency_key: Option<String>,
    /// The media type of the payload; guessed when not said.
    pub(super) content_type: Option<String>,
}

/// A line that is a publish object of its own (§3 of the protocol page).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    channel: Option<String>,
    channels: Option<Vec<String>>,
    #[serde(rename = "type")]
    kind: Option<String>,
    key: Option<String>,
    ttl: Option<u64>,
    store: Option<bool>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
    content_type: Option<String>,
    idempotency_key: Option<String>,
}

/// `null` is a payload; only a field that is not there is none.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(field: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(field).map(Some)
}

impl Template {
    /// The one event of a command: `payload` from the command line or the standard input.
    pub(super) fn single(&self, payload: Vec<u8>) -> Publication {
        let publication = guessed(self.publication(), payload, self.content_type.as_deref());
        match &self.idempotency_key {
            Some(key) => publication.idempotency_key(key),
            None => publication,
        }
    }

    /// The events of a line of NDJSON, the `number`th: its JSON is the payload when a channel was named; else it is a
    /// publish object, of one event for each of its channels.
    pub(super) fn line(&self, line: &[u8], number: u64) -> Result<Vec<Publication>, String> {
        let text = std::str::from_utf8(line).map_err(|_| "not UTF-8 text".to_string())?;
        if self.channel.is_none() {
            return serde_json::from_str(text).map_err(|error| in_line(&error)).and_then(Line::publications);
        }
        let payload: &RawValue =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {}", in_line(&error)))?;
        Ok(vec![self.numbered(number).json_text(payload.get())])
    }

    /// The event of a file's content, the `number`th.
    pub(super) fn file(&self, path: &Path, content: Vec<u8>, number: u64) -> Result<Publication, String> {
        let publication = self.numbered(number);
        let named_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let declared = self.content_type.as_deref();
        // A file that says it is JSON, or a text, and is none was damaged: nobody wants it delivered as something else.
        if declared.map_or(named_json, is_json) {
            serde_json::from_slice::<&RawValue>(&content).map_err(|error| format!("not JSON: {error}"))?;
        } else if declared.is_some_and(is_text) {
            std::str::from_utf8(&content).map_err(|_| "not UTF-8 text".to_string())?;
        }
        Ok(guessed(publication, content, declared))
    }

    fn numbered(&self, number: u64) -> Publication {
        match &self.idempotency_key {
            Some(key) => self.publication().idempotency_key(format!("{key}-{number}")),
            None => self.publication(),
        }
    }

    /// Everything but the payload and the idempotency key.
    fn publication(&self) -> Publication {
        let channel = self.channel.as_deref().unwrap_or_default();
        decorated(Publication::new(channel), self.kind.as_deref(), self.key.as_deref(), self.ttl, !self.no_store)
    }
}

impl Line<'_> {
    fn publications(self) -> Result<Vec<Publication>, String> {
        let channels = match (&self.channel, &self.channels) {
            (Some(channel), None) => std::slice::from_ref(channel),
            (None, Some(channels)) => channels.as_slice(),
            (None, None) => return Err("it names no `channel`; name one here, or one for all lines as CHANNEL".into()),
            (Some(_), Some(_)) => return Err("it has both `channel` and `channels`: leave one out".into()),
        };
        channels.iter().map(|channel| self.publication(channel)).collect()
    }

    fn publication(&self, channel: &str) -> Result<Publication, String> {
        let ttl = self.ttl.map(Duration::from_secs);
        let store = self.store.unwrap_or(true);
        let bare = decorated(Publication::new(channel), self.kind.as_deref(), self.key.as_deref(), ttl, store);
        let bare = match &self.idempotency_key {
            Some(key) => bare.idempotency_key(key),
            None => bare,
        };
        let content_type = self.content_type.as_deref();
        match (self.data, &self.data_base64) {
            (Some(data), None) => with_data(bare, data, content_type),
            (None, Some(data)) => {
                let bytes = BASE64.decode(data).map_err(|error| format!("`data_base64` is not base64: {error}"))?;
                Ok(bare.bytes(bytes, content_type.unwrap_or("application/octet-stream")))
            }
            (None, None) => Err("it has no `data`".into()),
            (Some(_), Some(_)) => Err("it has both `data` and `data_base64`: leave one out".into()),
        }
    }
}

/// `data` as JSON, or as the text it stands for when the media type says so.
fn with_data(bare: Publication, data: &RawValue, content_type: Option<&str>) -> Result<Publication, String> {
    match content_type {
        None => Ok(bare.json_text(data.get())),
        Some(declared) if is_json(declared) => Ok(bare.bytes(data.get().as_bytes().to_vec(), declared)),
        Some(declared) => {
            let text: String = serde_json::from_str(data.get())
                .map_err(|_| format!("`data` has to be a string when `content_type` is {declared}"))?;
            Ok(bare.text_of(text, declared))
        }
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence == "application/json" || essence.ends_with("+json")
}

fn is_text(media_type: &str) -> bool {
    essence(media_type).starts_with("text/")
}

/// The media type without its parameters.
fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn decorated(
    bare: Publication,
    kind: Option<&str>,
    key: Option<&str>,
    ttl: Option<Duration>,
    store: bool,
) -> Publication {
    let bare = bare.store(store);
    let bare = kind.into_iter().fold(bare, Publication::kind);
    let bare = key.into_iter().fold(bare, Publication::key);
    ttl.into_iter().fold(bare, Publication::ttl)
}

/// With `payload` of the media type that was declared, or as the server would take it without one: JSON if it parses,
/// else text if it is UTF-8, else bytes.
fn guessed(bare: Publication, payload: Vec<u8>, declared: Option<&str>) -> Publication {
    if let Some(declared) = declared {
        return bare.bytes(payload, declared);
    }
    match String::from_utf8(payload) {
        Ok(text) => match serde_json::from_str::<&RawValue>(&text) {
            Ok(value) => bare.json_text(value.get()),
            Err(_) => bare.text(text),
        },
        Err(error) => bare.bytes(error.into_bytes(), "application/octet-stream"),
    }
}

/// Why a text that begins like JSON is none; `None` if it is, or does not begin like it.
pub(super) fn almost_json(payload: &[u8]) -> Option<String> {
    let begins = matches!(payload.trim_ascii_start().first(), Some(b'{' | b'['));
    let error = serde_json::from_slice::<&RawValue>(payload).err()?;
    begins.then(|| error.to_string())
}

/// The parser's words with only the column: the line is that of the file, which is told elsewhere.
fn in_line(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match words.strip_suffix(&place) {
        Some(words) => format!("{words} at column {}", error.column()),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(publication: &Publication) -> String {
        serde_json::to_string(publication).unwrap()
    }

    fn for_channel() -> Template {
        Template { channel: Some("a".into()), ..Template::default() }
    }

    #[test]
    fn a_payload_is_what_it_looks_like() {
        let cases: [(&[u8], &str); 6] = [
            (b"{\"n\": 1.0}", r#"{"channel":"a","data":{"n": 1.0}}"#),
            (b"42\n", r#"{"channel":"a","data":42}"#),
            (b"hello", r#"{"channel":"a","content_type":"text/plain","data":"hello"}"#),
            (b"{broken", r#"{"channel":"a","content_type":"text/plain","data":"{broken"}"#),
            (b"", r#"{"channel":"a","content_type":"text/plain","data":""}"#),
            (b"\xff", r#"{"channel":"a","content_type":"application/octet-stream","data_base64":"/w=="}"#),
        ];
        for (payload, expected) in cases {
            assert_eq!(wire(&for_channel().single(payload.to_vec())), expected);
        }
        assert!(almost_json(b" {broken").is_some());
        assert!(almost_json(b"{}").is_none() && almost_json(b"hello").is_none());
    }

    #[test]
    fn what_was_said_goes_with_every_event() {
        let template = Template {
            kind: Some("t".into()),
            key: Some("k".into()),
            ttl: Some(Duration::from_secs(60)),
            no_store: true,
            idempotency_key: Some("i".into()),
            ..for_channel()
        };
        let said = r#"{"channel":"a","type":"t","key":"k","ttl":60,"store":false,"idempotency_key":"#;
        assert_eq!(wire(&template.single(b"1".to_vec())), format!("{said}\"i\",\"data\":1}}"));
        assert_eq!(wire(&template.line(b"1", 7).unwrap()[0]), format!("{said}\"i-7\",\"data\":1}}"));
        let file = template.file(Path::new("x.json"), b"1".to_vec(), 8).unwrap();
        assert_eq!(wire(&file), format!("{said}\"i-8\",\"data\":1}}"));
    }

    #[test]
    fn a_line_of_its_own_says_everything() {
        let cases = [
            (r#"{"channel":"b","data":null}"#, r#"{"channel":"b","data":null}"#),
            (r#"{"data":[1, 2],"type":"t","channel":"b"}"#, r#"{"channel":"b","type":"t","data":[1, 2]}"#),
            (
                r#"{"channel":"b","data_base64":"AP8=","ttl":5,"store":false}"#,
                r#"{"channel":"b","ttl":5,"store":false,"content_type":"application/octet-stream","data_base64":"AP8="}"#,
            ),
            (
                r#"{"channel":"b","data":"<p>","content_type":"text/html","idempotency_key":"i"}"#,
                r#"{"channel":"b","idempotency_key":"i","content_type":"text/html","data":"<p>"}"#,
            ),
        ];
        for (line, expected) in cases {
            let publications = Template::default().line(line.as_bytes(), 1).unwrap();
            assert_eq!(publications.iter().map(wire).collect::<Vec<_>>(), [expected], "{line}");
        }
        let both = Template::default().line(br#"{"channels":["a","b"],"data":1}"#, 1).unwrap();
        assert_eq!(
            both.iter().map(wire).collect::<Vec<_>>(),
            [r#"{"channel":"a","data":1}"#, r#"{"channel":"b","data":1}"#]
        );
    }

    #[test]
    fn what_is_wrong_with_a_line() {
        let own = [
            (r#"{"data":1}"#, "it names no `channel`; name one here, or one for all lines as CHANNEL"),
            (r#"{"channel":"a"}"#, "it has no `data`"),
            (r#"{"channel":"a","channels":["b"],"data":1}"#, "it has both `channel` and `channels`: leave one out"),
            (r#"{"channel":"a","data":1,"data_base64":""}"#, "it has both `data` and `data_base64`: leave one out"),
            (
                r#"{"channel":"a","data":1,"content_type":"text/plain"}"#,
                "`data` has to be a string when `content_type` is text/plain",
            ),
            (r#"{"channel":"a","data":}"#, "expected value at column 23"),
        ];
        for (line, expected) in own {
            assert_eq!(Template::default().line(line.as_bytes(), 1).unwrap_err(), expected, "{line}");
        }
        let unknown = Template::default().line(br#"{"chanel":"a","data":1}"#, 1).unwrap_err();
        assert!(unknown.starts_with("unknown field `chanel`, expected one of `channel`"), "{unknown}");
        assert_eq!(for_channel().line(b"{", 1).unwrap_err(), "not JSON: EOF while parsing an object at column 1");
        assert_eq!(for_channel().line(b"\xff", 1).unwrap_err(), "not UTF-8 text");
        let broken = for_channel().file(Path::new("x.JSON"), b"{".to_vec(), 1).unwrap_err();
        assert!(broken.starts_with("not JSON: EOF"), "{broken}");
        let declared = |kind: &str| Template { content_type: Some(kind.into()), ..for_channel() };
        let file =
            |kind, content: &[u8]| declared(kind).file(Path::new("x"), content.to_vec(), 1).map(|event| wire(&event));
        assert!(file("a/b+json", b"{").unwrap_err().starts_with("not JSON"));
        assert_eq!(file("text/html", b"\xff"), Err("not UTF-8 text".into()));
        let image = r#"{"channel":"a","content_type":"image/png","data_base64":"/w=="}"#;
        assert_eq!(file("image/png", b"\xff").as_deref(), Ok(image));
    }
}
