//! The address of a server, parsed once.

use std::fmt;

use http::Uri;

use crate::error::Error;

/// Where the server is: `http://host:port`, with a path before all others if a proxy puts it under one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Host and port as written, for the `Host` header.
    pub(crate) authority: String,
    /// The host without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Empty, or a path that begins with `/` and does not end with one.
    pub(crate) prefix: String,
}

const HTTP_PORT: u16 = 80;

impl Origin {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::usage(format!("{url:?} is no address of a server: {why}"));
        let uri: Uri = url.parse().map_err(|_| bad("write it like http://127.0.0.1:7070"))?;
        match uri.scheme_str() {
            // `localhost:7070` is an address that people type.
            None | Some("http") => {}
            Some("https") => return Err(bad("https is not supported yet; use http, or a proxy that adds TLS")),
            Some(_) => return Err(bad("only http is supported")),
        }
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a user name and password cannot be part of it"));
        }
        if uri.query().is_some() {
            return Err(bad("it cannot have a query"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        Ok(Self {
            authority: authority.as_str().to_owned(),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(HTTP_PORT),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        // The address, its host, port and prefix.
        let cases = [
            ("http://127.0.0.1:7070", "127.0.0.1", 7070, ""),
            ("http://127.0.0.1:7070/", "127.0.0.1", 7070, ""),
            ("http://example.com", "example.com", 80, ""),
            ("http://[::1]:7070", "::1", 7070, ""),
            ("http://example.com/live/", "example.com", 80, "/live"),
            ("http://example.com/a/b", "example.com", 80, "/a/b"),
            ("localhost:7070", "localhost", 7070, ""),
            ("localhost", "localhost", 80, ""),
        ];
        for (url, host, port, prefix) in cases {
            let origin = Origin::parse(url).unwrap();
            assert_eq!((origin.host.as_str(), origin.port, origin.prefix.as_str()), (host, port, prefix), "{url}");
        }
        assert_eq!(Origin::parse("http://[::1]:7070/x/").unwrap().to_string(), "http://[::1]:7070/x");
    }

    #[test]
    fn addresses_that_are_refused() {
        let cases = [
            ("", "write it like"),
            ("a b", "write it like"),
            ("/v1", "names no host"),
            ("https://example.com", "https is not supported yet"),
            ("ftp://example.com", "only http"),
            ("http://u:p@example.com", "user name"),
            ("http://example.com/?a=b", "query"),
            ("http://:7070", "names no host"),
        ];
        for (url, why) in cases {
            let error = Origin::parse(url).unwrap_err().to_string();
            assert!(error.contains(why), "{url}: {error}");
        }
    }
}
