//! The server's answer to a publish.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::problem::Problem;

/// The server has taken an event: it is as durable as the channel's rule says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The cursor just after the event; `None` with `store=false`.
    #[serde(default)]
    pub id: Option<Cursor>,
    /// The channel it went to.
    pub channel: String,
    /// Its offset in the channel; `None` with `store=false`.
    #[serde(default)]
    pub offset: Option<u64>,
    /// How many live connections read the channel at that moment.
    #[serde(default)]
    pub subscribers: u64,
    /// The event had been taken before under the same idempotency key; this is that event's receipt.
    #[serde(default)]
    pub duplicate: bool,
}

/// The answer to an array of publications.
#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
}

impl Receipt {
    /// Reads one answer: a receipt or a problem.
    pub(crate) fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        // A problem has a code; a receipt has not.
        if let Ok(problem) = serde_json::from_slice::<Problem>(bytes)
            && !problem.code.is_empty()
        {
            return Err(Error::refused(problem));
        }
        serde_json::from_slice(bytes).map_err(|error| Error::protocol(format!("a receipt cannot be read: {error}")))
    }

    /// Reads the answer to an array of `expected` publications.
    pub(crate) fn list_from_json(bytes: &[u8], expected: usize) -> Result<Vec<Result<Self, Error>>, Error> {
        let Results { results } = serde_json::from_slice(bytes)
            .map_err(|error| Error::protocol(format!("the receipts cannot be read: {error}")))?;
        if results.len() != expected {
            return Err(Error::protocol(format!("{} receipts came for {expected} publications", results.len())));
        }
        Ok(results.into_iter().map(|result| Self::from_json(result.get().as_bytes())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_and_problems() {
        let receipt = Receipt::from_json(br#"{"id":"e-1","channel":"a","offset":18,"subscribers":3,"duplicate":true}"#);
        let expected = Receipt {
            id: Some("e-1".parse().unwrap()),
            channel: "a".into(),
            offset: Some(18),
            subscribers: 3,
            duplicate: true,
        };
        assert_eq!(receipt.unwrap(), expected);
        let unstored = Receipt::from_json(br#"{"channel":"a","subscribers":3,"duplicate":false}"#).unwrap();
        assert_eq!((unstored.id, unstored.offset), (None, None));
        let error = Receipt::from_json(br#"{"status":400,"code":"bad_channel","detail":"D"}"#).unwrap_err();
        assert_eq!(error.problem().unwrap().code, "bad_channel");
        assert_eq!(Receipt::from_json(b"{}").unwrap_err().kind(), crate::ErrorKind::Protocol);
    }

    #[test]
    fn lists() {
        let body = br#"{"results":[{"channel":"a"},{"code":"bad_channel","status":400}]}"#;
        let list = Receipt::list_from_json(body, 2).unwrap();
        assert!(list[0].is_ok() && list[1].is_err(), "{list:?}");
        assert!(Receipt::list_from_json(body, 3).is_err());
        assert!(Receipt::list_from_json(b"[]", 0).is_err());
    }
}
