//! The one catalogue of errors, and the problem that carries one to a person.
//!
//! Every refusal, on every way, is an [`ErrorCode`] with a sentence about this case. HTTP answers it as RFC 9457
//! problem details with the code's status; a WebSocket closes with its close code; clients look at [`Retry`] to know
//! whether to come back. Codes are never renamed and never reused.

use std::fmt;
use std::time::Duration;

/// What a client should do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will fail again: mend it first.
    Never,
    /// The same request may succeed later: back off, then retry.
    Later,
}

macro_rules! catalogue {
    ($($variant:ident $name:literal $status:literal $close:literal $retry:ident $title:literal;)*) => {
        /// Every error that Bongsu can answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $title] $variant,)*
        }

        impl ErrorCode {
            /// All codes, in the order of the reference page.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on the wire, such as `bad_cursor`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The WebSocket close code.
            #[must_use]
            pub fn close_code(self) -> u16 {
                match self { $(Self::$variant => $close,)* }
            }

            /// What a client should do.
            #[must_use]
            pub fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }

            /// The short title, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

catalogue! {
    BadRequest "bad_request" 400 4009 Never "The request is malformed";
    BadChannel "bad_channel" 400 4009 Never "That is no channel name";
    BadCursor "bad_cursor" 400 4009 Never "That is no cursor";
    BadParameter "bad_parameter" 400 4009 Never "A parameter has a value that is not allowed";
    UnknownParameter "unknown_parameter" 400 4009 Never "There is no such parameter";
    UnknownField "unknown_field" 400 4009 Never "There is no such field";
    BadField "bad_field" 400 4009 Never "A field has a value that is not allowed";
    BadJson "bad_json" 400 4009 Never "The body is not valid JSON";
    BadText "bad_text" 400 4009 Never "The body is not valid UTF-8 text";
    UnknownCommand "unknown_command" 400 4009 Never "There is no such command";
    TooManyChannels "too_many_channels" 400 4009 Never "Too many channels in one request";
    TooManyEvents "too_many_events" 400 4009 Never "Too many events in one request";
    Unauthorized "unauthorized" 401 4003 Never "Credentials are needed";
    Reserved "reserved" 403 4003 Never "Names beginning with `$` belong to the server";
    NotPermitted "not_permitted" 403 4003 Never "That is not permitted";
    NotFound "not_found" 404 4009 Never "There is nothing here";
    MethodNotAllowed "method_not_allowed" 405 4009 Never "The method is not allowed here";
    NotAcceptable "not_acceptable" 406 4009 Never "None of the accepted media types can be answered";
    RequestTimeout "request_timeout" 408 1001 Later "The request took too long to arrive";
    PayloadTooLarge "payload_too_large" 413 1009 Never "The payload is too large";
    UriTooLong "uri_too_long" 414 4009 Never "The address is too long";
    UnsupportedMediaType "unsupported_media_type" 415 1003 Never "That media type cannot be used here";
    IdempotencyMismatch "idempotency_mismatch" 422 4009 Never "The Idempotency-Key was used for something else";
    UpgradeRequired "upgrade_required" 426 4009 Never "This WebSocket version is not supported";
    RateLimited "rate_limited" 429 4029 Later "Too many requests";
    HeadTooLarge "head_too_large" 431 4009 Never "The request head is too large";
    Internal "internal" 500 1011 Later "The server made a mistake";
    Overloaded "overloaded" 503 4013 Later "The server has reached a limit";
    Draining "draining" 503 1001 Later "The server is shutting down";
    LogFailed "log_failed" 503 4013 Later "The log refuses writes after a failure";
    DiskFull "disk_full" 507 4013 Later "The disk is full";
}

/// One refusal: the code, and what a person needs to know about this case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which error it is.
    pub code: ErrorCode,
    /// A sentence about this occurrence: the field, what was said, what is allowed.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// When to come back, for codes that may succeed later.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem without a hint.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), hint: None, retry_after: None }
    }

    /// The same with a sentence that says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the time after which to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.detail)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_catalogue_is_consistent() {
        let mut names = HashSet::new();
        for code in ErrorCode::ALL {
            assert!(names.insert(code.name()), "{} twice", code.name());
            assert!((400..600).contains(&code.status()), "{}", code.name());
            // A 503 or 429 without a way back would be a lie; a 4xx that may be retried as it is likewise.
            let later = matches!(code.status(), 408 | 429 | 500..);
            assert_eq!(code.retry() == Retry::Later, later, "{}", code.name());
        }
    }
}
