//! Looking after channels and connections (§4 of the protocol page).

use bongsu_wire::receipt::{ChannelInfo, ChannelList, ChannelSummary, ConnectionInfo, ConnectionList};
use http::Method;

use crate::client::Client;
use crate::error::Error;
use crate::net::call::Call;

/// One page of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; `None` on the last.
    pub next: Option<String>,
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether log and engine work, as `/readyz` says.
    pub ready: bool,
    /// What it says.
    pub detail: String,
}

/// Which part of a list.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// Only names that begin with this.
    pub prefix: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
    /// After this name: the `next` of the last page.
    pub after: Option<String>,
}

impl PageRequest {
    fn on(&self, call: Call) -> Call {
        let call = call.maybe_query("prefix", self.prefix.as_ref());
        call.maybe_query("limit", self.limit).maybe_query("after", self.after.as_ref())
    }
}

impl Client {
    /// One page of the channels, by name.
    ///
    /// # Errors
    /// The server refused, or gave no answer.
    pub async fn channels(&self, request: &PageRequest) -> Result<Page<ChannelSummary>, Error> {
        let answer = self.call(&request.on(Call::get(&["v1", "channels"]))).await?;
        answer.json().map(|ChannelList { channels, next }| Page { items: channels, next })
    }

    /// What the server knows of a channel.
    ///
    /// # Errors
    /// The server refused, or gave no answer.
    pub async fn channel_info(&self, channel: &str) -> Result<ChannelInfo, Error> {
        self.call(&Call::get(&["v1", "channels", channel, "info"])).await?.json()
    }

    /// Drops the history of a channel. Its readers are told by a gap.
    ///
    /// # Errors
    /// The server refused, or gave no answer.
    pub async fn delete_history(&self, channel: &str) -> Result<(), Error> {
        self.call(&Call::new(Method::DELETE, &["v1", "channels", channel])).await.map(drop)
    }

    /// One page of the connections, by name. They have no prefix to choose by.
    ///
    /// # Errors
    /// The server refused, or gave no answer.
    pub async fn connections(&self, request: &PageRequest) -> Result<Page<ConnectionInfo>, Error> {
        if request.prefix.is_some() {
            return Err(Error::usage("connections cannot be chosen by a prefix"));
        }
        let answer = self.call(&request.on(Call::get(&["v1", "connections"]))).await?;
        answer.json().map(|ConnectionList { connections, next }| Page { items: connections, next })
    }

    /// One connection.
    ///
    /// # Errors
    /// The server refused (there is no such connection), or gave no answer.
    pub async fn connection(&self, connection: &str) -> Result<ConnectionInfo, Error> {
        self.call(&Call::get(&["v1", "connections", connection])).await?.json()
    }

    /// Ends a connection. With `reconnect` false its client is told not to come back.
    ///
    /// # Errors
    /// The server refused (there is no such connection), or gave no answer.
    pub async fn disconnect(&self, connection: &str, reconnect: bool) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, &["v1", "connections", connection]);
        let call = if reconnect { call } else { call.query("reconnect", "false") };
        self.call(&call).await.map(drop)
    }

    /// Whether the server can do its work.
    ///
    /// # Errors
    /// There is no answer. A server that says it is not ready is no error.
    pub async fn health(&self) -> Result<Health, Error> {
        let answer = self.transport().exchange(&Call::get(&["readyz"]), std::time::Duration::ZERO).await?;
        let detail = String::from_utf8_lossy(&answer.body).trim().to_owned();
        Ok(Health { ready: answer.status == 200, detail })
    }
}
