//! The page at `/`: where things are, for a person who has found the server and nothing else.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};

use crate::App;

const TEXT: &str = "\
Bongsu carries events from your backend to browsers and apps, by whichever way suits each client.

  listen    curl -N -H 'Accept: text/event-stream' HOST/v1/channels/hello
  publish   curl -H 'Content-Type: application/json' -d '{\"n\":1}' HOST/v1/channels/hello
  catch up  curl 'HOST/v1/channels/hello?since=start'

  /v1/channels/{channel}   read and publish (five ways of reading, one URL)
  /v1/events               several channels at once
  /v1/channels             all channels
  /v1/connections          all connections
  /openapi.json            every path, parameter and error
  /healthz  /readyz        is it alive, does it work
  /metrics                 figures for Prometheus
";

/// `GET /`.
pub(crate) async fn page(State(app): State<App>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| is_plain(host));
    let text = TEXT.replace("HOST", &format!("http://{}", host.unwrap_or("localhost:7070")));
    let text = format!("Bongsu {}\n\n{text}", app.version);
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], text).into_response()
}

/// Whether a host can be shown in a command to paste: nothing in it means anything to a shell.
fn is_plain(host: &str) -> bool {
    host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strange_hosts_are_not_shown() {
        let cases = [("a.example:7070", true), ("[::1]:80", true), ("a;rm", false), ("a'b", false), ("a b", false)];
        for (host, expected) in cases {
            assert_eq!(is_plain(host), expected, "{host}");
        }
    }
}
