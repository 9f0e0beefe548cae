//! The tables: heads that are plain, and heads that are whole and not plain.

use super::super::HEADERS_MAX;

/// A head with a plain request line and host, and these lines.
pub(super) fn with(lines: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

fn posts(lines: &str) -> String {
    with(lines).replacen("GET", "POST", 1)
}

const WEBSOCKET: &str = "GET /v1/events?channel=a HTTP/1.1\r\nhost: [::1]:80\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Plain heads, and what follows from them: body, keep-alive, upgrade.
pub(super) fn plain() -> Vec<(String, (usize, bool, bool))> {
    let quiet = (0, true, false);
    vec![
        (with(""), quiet),
        ("HEAD /?q=%20?/ HTTP/1.1\r\nHOST:h:8080\r\n\r\n".into(), quiet),
        (with("Accept:\t text/event-stream ,*/*\t \r\nX: \u{e4}\r\nEmpty:\r\nSpaces:   \r\n"), quiet),
        (with("Content-Length: 0\r\n"), quiet),
        (posts("Content-Length: 0\r\n"), quiet),
        (posts("content-length:\t12 \r\n"), (12, true, false)),
        (posts("Content-Length: 5\r\nConnection: close\r\n"), (5, false, false)),
        (with("Connection: close\r\nConnection: keep-alive\r\n"), (0, false, false)),
        (with("Connection: keep-alive,, CLOSE ,\r\n"), (0, false, false)),
        (with("Connection:\r\n"), quiet),
        (with("Connection: upgrade\r\n"), quiet),
        (with("TE: trailers\r\nTrailer: x\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n"), quiet),
        (with("Content_Length: 5\r\nTransfer_Encoding: chunked\r\n"), quiet),
        (WEBSOCKET.into(), (0, true, true)),
    ]
}

/// First lines that are not plain.
const FOREIGN_LINES: &[&str] = &[
    // Methods, versions, spacing of the request line.
    "DELETE / HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT h:80 HTTP/1.1",
    "get / HTTP/1.1",
    "GETS / HTTP/1.1",
    "GET / HTTP/1.0",
    "GET / HTTP/1.2",
    "GET / HTTP/2.0",
    "GET / http/1.1",
    "GET /",
    "GET  / HTTP/1.1",
    "GET /  HTTP/1.1",
    "GET / HTTP/1.1 ",
    " GET / HTTP/1.1",
    "GET\t/ HTTP/1.1",
    "GET /\tHTTP/1.1",
    "GET /a b HTTP/1.1",
    "GET / HTTP/1.1\r",
    "\r\nGET / HTTP/1.1",
    "\nGET / HTTP/1.1",
    // Targets.
    "GET * HTTP/1.1",
    "GET a HTTP/1.1",
    "GET http://h/ HTTP/1.1",
    "GET h:80 HTTP/1.1",
    "GET ?a HTTP/1.1",
    "GET /# HTTP/1.1",
    "GET /?a#b HTTP/1.1",
    "GET /\0 HTTP/1.1",
    "GET /\u{7f} HTTP/1.1",
    "GET /\u{e4} HTTP/1.1",
    "GET /<a> HTTP/1.1",
];

/// Headers that make a request foreign.
const FOREIGN_HEADERS: &[&str] = &[
    "Host: h\r\n",
    "host: i\r\n",
    // Where the body ends.
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "expect:\r\n",
    // Lines that readers cut differently.
    "X : 1\r\n",
    "X\t: 1\r\n",
    " X: 1\r\n",
    "\tX: 1\r\n",
    "X: 1\r\n folded\r\n",
    "X: 1\r\n\tfolded\r\n",
    "X:\r\n \r\n",
    "X: a\rb\r\n",
    "X: a\r\r\n",
    "X: a\n",
    "X: a\nTransfer-Encoding: chunked\r\n",
    "X: a\0b\r\n",
    "X: a\u{1}b\r\n",
    "X: a\u{7f}\r\n",
    "X\0: a\r\n",
    "X\r: a\r\n",
    "X\u{e4}: a\r\n",
    "X\r\n",
    ": a\r\n",
    "X(: a\r\n",
    // What the connection becomes.
    "Upgrade: websocket\r\n",
    "Upgrade: websocket\r\nConnection: keep-alive\r\n",
    "Upgrade: websocket\r\nConnection: upgrade, close\r\n",
    "Upgrade: websocket\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
    "Upgrade: websocket, h2c\r\nConnection: upgrade\r\n",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
    "Upgrade:\r\nConnection: upgrade\r\n",
    "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 1\r\n",
    "Connection: \u{e4}, close\r\n",
    "Connection: close close\r\n",
    "Connection: \"close\"\r\n",
];

/// Headers that leave in doubt where a publish ends.
const FOREIGN_LENGTHS: &[&str] = &[
    "",
    "Content-Length:\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\ncontent-length: 6\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Content-Length : 5\r\n",
    "Content-Length: 5\r\n 5\r\n",
    "Content-Length: 5\n",
    "Content-Length\0: 5\r\n",
    // CL.TE, TE.CL, TE.TE and the shapes that hide them.
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n",
    "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n",
    "Content-Length: 5\r\n Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nX: a\nTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nX: a\rTransfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n",
    "Content-Length: 5\r\nTransfer-Encoding:\r\n",
    "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
    "Content-Length: 5\r\nExpect: 100-continue\r\n",
    "Content-Length: 0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
];

/// Heads that are whole and not plain.
pub(super) fn foreign() -> Vec<String> {
    let line = |line: &&str| format!("{line}\r\nHost: h\r\n\r\n");
    let mut heads: Vec<String> = FOREIGN_LINES.iter().map(line).collect();
    heads.push("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into());
    // Hosts.
    heads.push("GET / HTTP/1.1\r\n\r\n".into());
    heads.push("GET / HTTP/1.1\r\nHost:\r\n\r\n".into());
    heads.push("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into());
    heads.push("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n".into());
    heads.extend(FOREIGN_HEADERS.iter().map(|lines| with(lines)));
    heads.extend(FOREIGN_LENGTHS.iter().map(|lines| posts(lines)));
    heads.push(with(&"x:\r\n".repeat(HEADERS_MAX)));
    // No line end as it should be, anywhere.
    heads.push(with("").replace('\r', ""));
    heads.push(with("").replacen('\r', "", 1));
    heads.push(with("X: 1\r\n").replace("1\r", "1"));
    heads.push(with("").replace("h\r\n\r\n", "h\r\n\n"));
    heads
}
