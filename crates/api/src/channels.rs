//! Channels: listing them, looking at one, dropping its history.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use bongsu_core::read::Way;
use bongsu_wire::receipt::{ChannelInfo, ChannelList, ChannelSummary, Subscribers};
use serde::Serialize;

use crate::problem::Answer;
use crate::{App, parameters, path, publish};

/// `GET /v1/channels`: channels with a history and channels with readers, in order of their names.
pub(crate) async fn list(State(app): State<App>, request: Request) -> Answer {
    let query = parameters::of(request.uri(), &["prefix", "after", "limit"])?;
    let limit = parameters::limit(&query)?;
    let prefix = query.one("prefix")?.unwrap_or_default();
    // One more than is answered tells whether there is more.
    let mut found = app.hub.channels(prefix, query.one("after")?, limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(last, ..)| last.to_string());
    let channels = found.into_iter().map(|(channel, state, subscribers)| ChannelSummary {
        channel,
        offset: state.head_offset,
        subscribers: subscribers.total().into(),
    });
    Ok(Json(ChannelList { channels: channels.collect(), next }).into_response())
}

/// `GET /v1/channels/{channel}/info`. A channel that was never used is an empty one.
pub(crate) async fn info(State(app): State<App>, request: Request) -> Answer {
    let channel = path::channel(request.uri())?;
    let (state, subscribers) = app.hub.channel(&channel);
    let info = ChannelInfo {
        channel,
        head: state.head_offset,
        oldest: state.oldest_offset(),
        events: state.events,
        bytes: state.bytes,
        subscribers: Subscribers::new(Way::ALL.map(|way| subscribers.by(way).into())),
        presence: None,
    };
    Ok(Json(info).into_response())
}

/// What a dropped history leaves behind.
#[derive(Serialize)]
struct Dropped {
    channel: String,
    /// After this position everything is kept again.
    cursor: Option<String>,
}

/// `DELETE /v1/channels/{channel}`: drops the history. Answered when that is durable.
pub(crate) async fn drop_history(State(app): State<App>, request: Request) -> Answer {
    let channel = path::channel(request.uri())?;
    let (done, mut answer) = publish::callback();
    app.hub.drop_history(channel.clone(), done)?;
    let published = publish::answered(&mut answer).await?;
    let cursor = published.first().and_then(|reset| reset.id).map(|cursor| cursor.to_string());
    Ok(Json(Dropped { channel: channel.to_string(), cursor }).into_response())
}
