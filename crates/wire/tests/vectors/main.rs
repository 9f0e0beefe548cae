//! The golden vectors in `docs/vectors/`: every kind of object in every encoding, byte for byte.
//!
//! They are the wire contract for whoever writes a client, and guard it against a change that nobody meant. A change
//! that is meant: run `cargo xtask docs`, which writes the files anew from the inputs in them, and read the difference.
//! To add a vector, add its input and do the same.

#![allow(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod events;
mod others;

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A file of vectors.
#[derive(Serialize, Deserialize)]
struct File<T> {
    about: String,
    vectors: Vec<T>,
}

/// A WebSocket frame: its header in hex, and its data as text, or in hex if it is binary.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    header: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Frame {
    /// Takes a frame apart with the reader of frames, which knows nothing of the writer under test.
    fn new(bytes: &[u8]) -> Self {
        use bongsu_wire::websocket::frame::{Header, Opcode};
        let (header, length) = Header::decode(bytes).unwrap().expect("the header is whole");
        let (head, data) = bytes.split_at(length);
        assert!(header.fin && header.mask.is_none());
        assert_eq!(header.payload_bytes, data.len() as u64);
        let (text, hex) = match header.opcode {
            Opcode::Text => (Some(text(data)), None),
            Opcode::Binary => (None, Some(to_hex(data))),
            other => panic!("{other:?}"),
        };
        Self { header: to_hex(head), text, hex }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Fills every vector of a file by `fill` and compares the file with what it was.
fn check<T: Serialize + DeserializeOwned>(name: &str, fill: impl Fn(T) -> T) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors").join(name);
    let found = std::fs::read_to_string(&path).unwrap();
    let File { about, vectors } = serde_json::from_str::<File<T>>(&found).unwrap();
    assert!(!vectors.is_empty());
    let file = File { about, vectors: vectors.into_iter().map(fill).collect() };
    let expected = serde_json::to_string_pretty(&file).unwrap() + "\n";
    if std::env::var_os("BONGSU_BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    } else {
        for (line, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{name}, line {}: the left side is the file", line + 1);
        }
        assert_eq!(found, expected, "{name}");
    }
}
