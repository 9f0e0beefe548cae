//! The payload of every published event: 100 bytes that say which publish it was and when it left.
//!
//! It is a JSON object of fixed shape, so that it can be written and found again without a JSON parser, which would
//! cost more than the delivery that is measured. It must not know how events travel.

/// The length of a payload, in bytes: the size that the comparison figures of other servers were taken with.
pub(crate) const PAYLOAD_BYTES: usize = 100;

/// What a payload begins with. In an event it stands after `"data":`.
pub(crate) const BEGIN: &[u8] = b"{\"s\":\"";

const ID_DIGITS: usize = 10;
const SENT: &[u8] = b"\",\"t\":\"";
const SENT_DIGITS: usize = 16;
const FILL: &[u8] = b"\",\"x\":\"";
const END: &[u8] = b"\"}";
const FILL_BYTES: usize = PAYLOAD_BYTES - BEGIN.len() - ID_DIGITS - SENT.len() - SENT_DIGITS - FILL.len() - END.len();

/// What a payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Which publish of this run it was.
    pub(crate) id: u32,
    /// When it was written to the publisher's socket, in nanoseconds since the generator began.
    pub(crate) sent_ns: u64,
}

/// Appends the payload of `stamp`: exactly [`PAYLOAD_BYTES`] bytes.
pub(crate) fn write(out: &mut Vec<u8>, stamp: Stamp) {
    out.extend_from_slice(BEGIN);
    digits::<ID_DIGITS>(out, u64::from(stamp.id));
    out.extend_from_slice(SENT);
    digits::<SENT_DIGITS>(out, stamp.sent_ns);
    out.extend_from_slice(FILL);
    out.extend_from_slice(&[b'x'; FILL_BYTES]);
    out.extend_from_slice(END);
}

/// Reads the payload that `bytes` begins with; more may follow. None when it is not one of ours.
pub(crate) fn read(bytes: &[u8]) -> Option<Stamp> {
    let rest = bytes.get(..PAYLOAD_BYTES)?.strip_prefix(BEGIN)?;
    let (id, rest) = rest.split_at(ID_DIGITS);
    let (sent, rest) = rest.strip_prefix(SENT)?.split_at(SENT_DIGITS);
    let fill = rest.strip_prefix(FILL)?.strip_suffix(END)?;
    if fill.iter().any(|byte| *byte != b'x') {
        return None;
    }
    Some(Stamp { id: number(id)?.try_into().ok()?, sent_ns: number(sent)? })
}

fn digits<const N: usize>(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).expect("a remainder of ten");
        value /= 10;
    }
    out.extend_from_slice(&text);
}

/// The decimal number that `bytes` is; None when it is empty, has another byte, or is too large.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(stamp: Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, stamp);
        out
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (id, sent_ns) in [(0, 0), (7, 1_234_567), (u32::MAX, 9_999_999_999_999_999)] {
            let stamp = Stamp { id, sent_ns };
            let bytes = written(stamp);
            assert_eq!(bytes.len(), PAYLOAD_BYTES);
            assert_eq!(read(&bytes), Some(stamp));
            assert_eq!(read(&[bytes.as_slice(), b"}]}"].concat()), Some(stamp));
            serde_json::from_slice::<serde_json::Value>(&bytes).expect("a payload is JSON");
        }
    }

    #[test]
    fn a_changed_payload_is_refused() {
        let good = written(Stamp { id: 12, sent_ns: 34 });
        for place in 0..PAYLOAD_BYTES {
            let mut bad = good.clone();
            bad[place] = b'#';
            assert_eq!(read(&bad), None, "byte {place}");
        }
        assert_eq!(read(&good[..PAYLOAD_BYTES - 1]), None);
    }
}
