//! The headers that decide where a request ends and what the connection becomes (RFC 9112 §6, §9; RFC 9110 §7.2, §7.8).
//!
//! Each is accepted in the one form in which nobody can misread it. It must not know what a request asks for.

use httparse::Header;

use super::Method;

/// What the headers of a plain head say about its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) body_bytes: usize,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    host: bool,
    length: Option<usize>,
    close: bool,
    connection_upgrade: bool,
    websocket: bool,
}

impl Fields {
    /// `None`: the head is foreign.
    pub(super) fn read(method: Method, headers: &[Header<'_>]) -> Option<Self> {
        let mut seen = Seen::default();
        for header in headers {
            seen.add(header)?;
        }
        let body_bytes = match method {
            // RFC 9110 §9.3.1: a body here "might lead some implementations to reject the request", or to leave it unread.
            Method::Get | Method::Head => seen.length.unwrap_or(0),
            Method::Post => seen.length?,
        };
        let bodies_agree = method == Method::Post || body_bytes == 0;
        // An upgrade that is half one is understood by nobody for sure.
        let clean = !seen.websocket || (method == Method::Get && seen.connection_upgrade && !seen.close);
        let plain = seen.host && bodies_agree && clean;
        plain.then_some(Self { body_bytes, keep_alive: !seen.close, upgrade: seen.websocket })
    }
}

impl Seen {
    fn add(&mut self, header: &Header<'_>) -> Option<()> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("host") {
            // RFC 9112 §3.2: more than one must be refused.
            return (!std::mem::replace(&mut self.host, true) && is_plain_host(header.value)).then_some(());
        }
        if is("content-length") {
            return self.length.replace(length(header.value)?).is_none().then_some(());
        }
        if is("connection") {
            return self.connection(header.value);
        }
        if is("upgrade") {
            let websocket = header.value.eq_ignore_ascii_case(b"websocket");
            return (websocket && !std::mem::replace(&mut self.websocket, true)).then_some(());
        }
        // RFC 9112 §6.1: what smuggles requests. RFC 9110 §10.1.1: what wants an answer before the body.
        (!is("transfer-encoding") && !is("expect")).then_some(())
    }

    fn connection(&mut self, value: &[u8]) -> Option<()> {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            if !option.iter().all(|byte| is_token(*byte)) {
                return None;
            }
        }
        Some(())
    }
}

/// The characters of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `1*DIGIT` (RFC 9110 §8.6), of which no sum with the length of a head overflows.
fn length(value: &[u8]) -> Option<usize> {
    if value.is_empty() {
        return None;
    }
    let length = value.iter().try_fold(0_usize, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| usize::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })?;
    (length <= usize::MAX / 4).then_some(length)
}

/// A name, an IPv4 or a bracketed IPv6 address, and a port or not. Empty hosts, percent signs and the like are hyper's.
fn is_plain_host(value: &[u8]) -> bool {
    let port_at = value.iter().rposition(|byte| !byte.is_ascii_digit()).filter(|at| value[*at] == b':');
    let (host, port) = port_at.map_or((value, None), |at| (&value[..at], Some(&value[at + 1..])));
    let port_is_plain = port.is_none_or(|port| (1..=5).contains(&port.len()));
    let host_is_plain = match host.strip_prefix(b"[") {
        Some(address) => address.strip_suffix(b"]").is_some_and(is_ipv6),
        None => !host.is_empty() && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte)),
    };
    port_is_plain && host_is_plain
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use http::uri::Authority;

    use super::*;

    #[test]
    fn lengths() {
        let cases: &[(&str, Option<usize>)] = &[
            ("0", Some(0)),
            ("5", Some(5)),
            ("005", Some(5)),
            ("", None),
            ("+5", None),
            ("-0", None),
            ("5, 5", None),
            ("5,5", None),
            ("5 5", None),
            ("0x5", None),
            ("5;", None),
            ("٥", None),
            ("18446744073709551615", None),
            ("18446744073709551616", None),
            ("99999999999999999999999999999999", None),
        ];
        for (value, expected) in cases {
            assert_eq!(length(value.as_bytes()), *expected, "{value:?}");
        }
    }

    #[test]
    fn hosts() {
        let plain = ["a", "A-1.b_c", "localhost:8080", "127.0.0.1:1", "[::1]", "[2001:db8::1]:65535", "1:2"];
        let foreign = [
            "",
            ":",
            ":80",
            "a:",
            "a:b",
            "a:80:80",
            "a:123456",
            "[",
            "]",
            "[]",
            "[a]",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]]",
            "[:]",
            "a@b",
            "a,b",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "%41",
            "ä",
            "a\tb",
            "[fe80::1%25eth0]",
            "[::1]:",
            "a\\b",
            "a;b",
        ];
        for host in plain {
            assert!(is_plain_host(host.as_bytes()), "{host:?}");
            // What the layer around every handler asks of it.
            assert!(host.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@')), "{host:?}");
        }
        for host in foreign {
            assert!(!is_plain_host(host.as_bytes()), "{host:?}");
        }
    }
}
