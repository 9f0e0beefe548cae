//! Query parameters of the management paths.
//!
//! Those of reads and publishes are parsed where the rest of such a request is, in `bongsu-wire`.

use bongsu_core::Problem;
use bongsu_wire::query::Query;
use http::Uri;

/// The largest `limit` of a list, in entries: some 100 bytes each.
pub(crate) const LIST_ENTRIES_MAX: usize = 1_000;
/// The `limit` of a list that names none.
pub(crate) const LIST_ENTRIES_DEFAULT: usize = 100;

/// The parameters of the request, all of them in `known`.
pub(crate) fn of<'a>(uri: &'a Uri, known: &[&'static str]) -> Result<Query<'a>, Problem> {
    Query::parse(uri.query().unwrap_or_default(), known)
}

/// The parameter `limit` of a list.
pub(crate) fn limit(query: &Query<'_>) -> Result<usize, Problem> {
    let limit = query.number("limit", 1..=LIST_ENTRIES_MAX as u64)?;
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_ENTRIES_DEFAULT))
}
