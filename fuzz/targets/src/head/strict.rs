//! A second reader of HTTP/1.1 heads: slow, plain to read, and as strict as RFC 9112 lets anyone be.
//!
//! It works on lines where the parser under test works on bytes, and shares no code with it.

use http::uri::Authority;

/// A head and what it says about its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) head_bytes: usize,
    pub(super) body_bytes: usize,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    /// Names in lower case.
    pub(super) headers: Vec<(String, Vec<u8>)>,
}

type Line = (String, Vec<u8>);

/// Reads the head at the front of a stream.
pub(super) fn read(stream: &[u8]) -> Result<Message, &'static str> {
    let end = stream.windows(4).position(|window| window == b"\r\n\r\n").ok_or("no end")?;
    // Every byte is a character here, so that lines can be cut by the tools for text.
    let text: String = stream[..end].iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.split("\r\n");
    let (method, path, query) = request_line(lines.next().ok_or("no request line")?)?;
    let headers = lines.map(header).collect::<Result<Vec<Line>, _>>()?;
    let count = |name: &str| headers.iter().filter(|(known, _)| known == name).count();
    if count("host") != 1 || count("content-length") > 1 || count("upgrade") > 1 {
        return Err("one of a kind");
    }
    if count("transfer-encoding") + count("expect") > 0 {
        return Err("what changes how a body is read");
    }
    check_host(&headers)?;
    let body_bytes = body_bytes(&method, &headers)?;
    let options = list(&headers, "connection");
    let upgrade = upgrade(&method, &headers, &options)?;
    let keep_alive = !options.iter().any(|option| option == "close");
    Ok(Message { method, path, query, head_bytes: end + 4, body_bytes, keep_alive, upgrade, headers })
}

fn request_line(line: &str) -> Result<(String, String, String), &'static str> {
    let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else { return Err("request line") };
    if !matches!(method, "GET" | "HEAD" | "POST") {
        return Err("method");
    }
    if !target.starts_with('/') || !target.chars().all(|c| c.is_ascii_graphic() && c != '#') {
        return Err("target");
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok((method.to_owned(), path.to_owned(), query.to_owned()))
}

fn header(line: &str) -> Result<Line, &'static str> {
    let (name, value) = line.split_once(':').ok_or("no colon")?;
    let separators = "\"(),/:;<=>?@[\\]{}";
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic() && !separators.contains(c)) {
        return Err("name");
    }
    if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Err("value");
    }
    let value = value.trim_matches([' ', '\t']);
    // Back from characters to the bytes they were.
    let value = value.chars().map(|c| u8::try_from(c).map_err(|_| "byte")).collect::<Result<_, _>>()?;
    Ok((name.to_ascii_lowercase(), value))
}

fn check_host(headers: &[Line]) -> Result<(), &'static str> {
    let host = text(headers, "host").ok_or("host")?;
    // As the layer around the handlers asks, and not empty.
    let authority: Authority = host.parse().map_err(|_| "host")?;
    if authority.as_str().contains('@') { Err("user in host") } else { Ok(()) }
}

fn body_bytes(method: &str, headers: &[Line]) -> Result<usize, &'static str> {
    let Some(length) = text(headers, "content-length") else {
        return if method == "POST" { Err("POST without length") } else { Ok(0) };
    };
    if !length.chars().all(|c| c.is_ascii_digit()) {
        return Err("length");
    }
    match length.parse() {
        Ok(length) if length > 0 && method != "POST" => Err("body"),
        length => length.map_err(|_| "length"),
    }
}

fn upgrade(method: &str, headers: &[Line], options: &[String]) -> Result<bool, &'static str> {
    let Some(protocol) = text(headers, "upgrade") else { return Ok(false) };
    let has = |name: &str| options.iter().any(|option| option == name);
    let clean = protocol.eq_ignore_ascii_case("websocket") && method == "GET" && has("upgrade") && !has("close");
    if clean { Ok(true) } else { Err("upgrade") }
}

/// The value of a header as text; one that is not ASCII is shown as empty, which none of the callers accepts.
fn text<'a>(headers: &'a [Line], name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(known, _)| known == name)?;
    Some(std::str::from_utf8(value).ok().filter(|value| value.is_ascii()).unwrap_or_default())
}

/// The elements of a header that is a list, in lower case.
fn list(headers: &[Line], name: &str) -> Vec<String> {
    let values = headers.iter().filter(|(known, _)| known == name).map(|(_, value)| String::from_utf8_lossy(value));
    let elements = values.flat_map(|value| value.split(',').map(|each| each.trim().to_lowercase()).collect::<Vec<_>>());
    elements.collect()
}
