//! What the path of a request says: a channel, a connection, or nothing that exists.

use axum::extract::Request;
use bongsu_core::{ChannelName, ErrorCode, Problem};
use http::Uri;

use crate::problem::Refusal;
use crate::routes::ROUTES;

/// The channel of `/v1/channels/{channel}…`, still percent-encoded.
pub(crate) fn channel_segment(uri: &Uri) -> &str {
    third_segment(uri)
}

/// The channel of `/v1/channels/{channel}…`.
///
/// # Errors
/// It is no channel name, or one of the server's own.
pub(crate) fn channel(uri: &Uri) -> Result<ChannelName, Problem> {
    bongsu_wire::query::path_channel(third_segment(uri))
}

/// The third segment of `/v1/connections/{connection}`. Ids need no encoding, so one that has any is of no connection.
pub(crate) fn connection(uri: &Uri) -> &str {
    third_segment(uri)
}

fn third_segment(uri: &Uri) -> &str {
    uri.path().split('/').nth(3).unwrap_or_default()
}

/// The answer where no route matches.
pub(crate) async fn unknown(request: Request) -> Refusal {
    let path = request.uri().path();
    let shown: String = path.chars().take(200).collect();
    let problem = Problem::new(ErrorCode::NotFound, format!("there is no path `{shown}`"));
    Refusal(problem.hint(hint(path)))
}

fn hint(path: &str) -> String {
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    if segments.len() > 4 && segments[..3] == ["", "v1", "channels"] {
        return "a `/` within a channel name is written `%2F`".into();
    }
    match nearest(&segments) {
        Some(near) => format!("did you mean `{near}`? All paths are in `/openapi.json`"),
        None => "all paths are in `/openapi.json`".into(),
    }
}

/// The path most like the one that was asked for, if any is like it at all.
fn nearest(segments: &[&str]) -> Option<String> {
    // Below this a suggestion is more often a wrong guess than a help.
    const ALIKE: f64 = 0.6;
    let asked = segments.join("/");
    if asked.len() > 250 {
        return None;
    }
    ROUTES
        .iter()
        .map(|route| fill(route.path, segments))
        .map(|path| (strsim::normalized_damerau_levenshtein(&asked.to_lowercase(), &path.to_lowercase()), path))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, path)| path)
}

/// The route's path with its `{…}` filled in from the path that was asked for.
fn fill(path: &str, segments: &[&str]) -> String {
    let filled = path.split('/').enumerate().map(|(index, segment)| match segments.get(index) {
        Some(asked) if segment.starts_with('{') && !asked.is_empty() => asked,
        _ => segment,
    });
    filled.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_found_in_every_path_that_has_one() {
        let cases = [
            ("/v1/channels/a", Ok("a")),
            ("/v1/channels/a?type=b/c", Ok("a")),
            ("/v1/channels/a%2Fb/info", Ok("a/b")),
            ("/v1/channels/%25", Ok("%")),
            ("/v1/channels/a+b", Ok("a+b")),
            ("/v1/channels/%2/b", Err(ErrorCode::BadChannel)),
            ("/v1/channels/%ff", Err(ErrorCode::BadChannel)),
            ("/v1/channels/$user:4", Err(ErrorCode::Reserved)),
        ];
        for (uri, expected) in cases {
            let name = channel(&Uri::from_static(uri)).map_err(|problem| problem.code);
            assert_eq!(name.as_ref().map(ChannelName::as_str).map_err(|code| *code), expected, "{uri}");
        }
    }

    #[test]
    fn mistyped_paths_have_a_hint() {
        let cases = [
            ("/v1/channel/a", Some("`/v1/channels/a`")),
            ("/v1/channels/", Some("`/v1/channels`")),
            ("/channels/a", None),
            ("/v1/event", Some("`/v1/events`")),
            ("/V1/Events", Some("`/v1/events`")),
            ("/v1/channels/a/inf", Some("%2F")),
            ("/v1/channels/a/b/c", Some("%2F")),
            ("/health", Some("`/healthz`")),
            ("/ready", Some("`/readyz`")),
            ("/metric", Some("`/metrics`")),
            ("/openapi", Some("`/openapi.json`")),
            ("/v1/connection/abc", Some("`/v1/connections/abc`")),
            ("/favicon.ico", None),
            ("/wp-admin/setup.php", None),
        ];
        for (path, expected) in cases {
            let hint = hint(path);
            match expected {
                Some(part) => assert!(hint.contains(part), "{path}: {hint}"),
                None => assert_eq!(hint, "all paths are in `/openapi.json`", "{path}"),
            }
        }
    }
}
