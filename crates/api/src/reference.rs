//! The reference pages `docs/reference/errors.md` and `docs/reference/metrics.md`, made from the code. Tests hold the
//! pages to it.

use std::fmt::Write as _;

use bongsu_core::ErrorCode;
use bongsu_core::error::Retry;

use crate::metrics::METRICS;

const ERRORS_HEAD: &str = "\
# Errors

<!-- Generated from the catalogue of errors by `cargo xtask docs`. Do not edit. -->

Every refusal is an `application/problem+json` (RFC 9457): `code` is one of the names below, for programs; `detail` says
what was wrong this time and `hint` what to do, for people. A WebSocket closes with the close code. \"later\" means that the
same request may succeed later: wait for `Retry-After` seconds (`retry_ms` in the body), then back off with jitter.
\"no\" means that it will fail again until it is mended.

| code | status | close code | retry | meaning |
|---|---|---|---|---|
";

const METRICS_HEAD: &str = "\
# Metrics

<!-- Generated from the table of metrics by `cargo xtask docs`. Do not edit. -->

`GET /metrics` answers in Prometheus' text format. Counters begin at 0 when the process starts.

| metric | kind | labels | meaning |
|---|---|---|---|
";

/// The page of errors.
#[must_use]
pub fn errors() -> String {
    let mut page = ERRORS_HEAD.to_owned();
    for code in ErrorCode::ALL {
        let (name, status, close) = (code.name(), code.status(), code.close_code());
        let retry = if code.retry() == Retry::Later { "later" } else { "no" };
        let _ = writeln!(page, "| [`{name}`](#{name}) | {status} | {close} | {retry} | {} |", code.title());
    }
    for code in ErrorCode::ALL {
        let _ = write!(page, "\n## {}\n\n{}\n", code.name(), advice(*code));
    }
    page
}

/// The page of metrics.
#[must_use]
pub fn metrics() -> String {
    let mut page = METRICS_HEAD.to_owned();
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = metric.kind.as_str();
        let _ = writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
    }
    page
}

/// When the error comes, and what to do about it.
fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadRequest => {
            "The request cannot be understood as a whole: its body broke off, is no object where one is needed, or stands \
             against the rules of HTTP. `detail` says where."
        }
        ErrorCode::BadChannel => {
            "A channel name has 1 to 200 bytes of UTF-8 without white space, control characters or `*`. In a path it is \
             percent-encoded: `/` is `%2F`."
        }
        ErrorCode::BadCursor => {
            "Use the `cursor` of an answer or the `id` of an event, unchanged. A cursor of another log is not an error: it \
             gives a `$gap`."
        }
        ErrorCode::BadParameter => {
            "`detail` names the query parameter or header and what is allowed. Values out of range are refused, never \
             clamped."
        }
        ErrorCode::UnknownParameter => "`detail` names the nearest parameter there is, `hint` all of them.",
        ErrorCode::UnknownField => "`detail` names the nearest field there is, `hint` all of them.",
        ErrorCode::BadField => "`detail` names the field of the JSON object and what is allowed.",
        ErrorCode::BadJson => {
            "`detail` names line and column. Half surrogate pairs in escapes, invalid UTF-8 and nesting beyond 100 levels are \
             refused too."
        }
        ErrorCode::BadText => {
            "The body was declared to be text and is not UTF-8. Send bytes as `application/octet-stream`."
        }
        ErrorCode::UnknownCommand => {
            "A command on a connection has an `op` that does not exist. `detail` names the nearest."
        }
        ErrorCode::TooManyChannels => "Spread the channels over several requests or connections.",
        ErrorCode::TooManyEvents => "Send several arrays, or a stream of `application/x-ndjson`, which has no bound.",
        ErrorCode::Unauthorized => "Send credentials that are valid now.",
        ErrorCode::Reserved => {
            "Channel names and event types that begin with `$` belong to the server. Choose another name."
        }
        ErrorCode::NotPermitted => {
            "The credentials do not allow this, or a web page of an origin that is not in the option `cors` tried to open a \
             WebSocket."
        }
        ErrorCode::NotFound => "There is no such path, or no such connection any more. `hint` names the nearest path.",
        ErrorCode::MethodNotAllowed => "The header `Allow` lists the methods of this path.",
        ErrorCode::NotAcceptable => {
            "The headers `Accept` or `Upgrade` ask for a form of answer that does not exist. `?transport=` chooses one by name."
        }
        ErrorCode::RequestTimeout => "The body stopped arriving. Send it again on a new connection.",
        ErrorCode::PayloadTooLarge => {
            "`detail` names the bound: `payload_bytes_max` for one event, `body_bytes_max` for a request. Send less at once, or \
             raise it."
        }
        ErrorCode::UriTooLong => "Read fewer channels in one request, or raise `head_bytes_max`.",
        ErrorCode::UnsupportedMediaType => {
            "`hint` names the media types that are read here. Bodies must not be compressed."
        }
        ErrorCode::IdempotencyMismatch => {
            "The same `Idempotency-Key` was used on this channel for another event. A retry must repeat the event unchanged; a \
             new event needs a new key."
        }
        ErrorCode::UpgradeRequired => "The server speaks WebSocket version 13 (RFC 6455) only.",
        ErrorCode::RateLimited => "Wait as long as `Retry-After` says.",
        ErrorCode::HeadTooLarge => {
            "Send fewer or shorter headers, or raise `head_bytes_max`. Large cookies are the usual cause."
        }
        ErrorCode::Internal => {
            "A mistake in the server; its log has more. Whether a publish was taken is not known: with an `Idempotency-Key` a \
             retry is harmless."
        }
        ErrorCode::Overloaded => {
            "`detail` names the limit that is reached. Back off; if it lasts, raise it or add machines."
        }
        ErrorCode::Draining => "The server is shutting down. Come back after `retry_ms`; a cursor loses nothing.",
        ErrorCode::LogFailed => {
            "A write or sync failed, and the log takes no more writes, because after a failed sync a later one proves nothing. \
             Reading goes on. Restart the server once the disk is well."
        }
        ErrorCode::DiskFull => {
            "Less than `disk_free_min` bytes are free on the log's disk. Nothing is lost; publishing goes on as soon as there \
             is space."
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Compares a page with its file; with `BONGSU_BLESS` set, writes the file before.
    fn check(name: &str, page: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
        if std::env::var_os("BONGSU_BLESS").is_some() {
            std::fs::write(&path, page).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == page,
            "{name} is out of date: run `cargo xtask docs`"
        );
    }

    #[test]
    fn the_pages_are_what_the_code_says() {
        check("errors.md", &errors());
        check("metrics.md", &metrics());
    }
}
