//! One server, as a client sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::chance;
use crate::error::Error;
use crate::net::call::{Answer, Call};
use crate::net::origin::Origin;
use crate::net::transport::{Bounds, Transport};
use crate::publish::Publish;
use crate::retry::Patience;
use crate::subscription::Subscribe;

/// The largest object unless said otherwise: the default payload of 1 MiB, each byte as an escape of six.
const OBJECT_BYTES_MAX: usize = 8 << 20;
/// The largest answer, as a multiple of the largest object: a poll brings many objects at once.
const OBJECTS_PER_ANSWER: usize = 8;

/// A client of one server. Clones share their connections; make one and keep it.
///
/// It needs a tokio runtime. Nothing is sent before the first call.
///
/// ```no_run
/// # async fn example() -> Result<(), bongsu_client::Error> {
/// let client = bongsu_client::Client::new("http://127.0.0.1:7070")?;
/// let receipt = client.publish("shop:7").text("hello").send().await?;
/// println!("taken as {:?}", receipt.id);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Arc<Transport>,
    object_bytes_max: usize,
    patience: Duration,
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:7070`.
    ///
    /// ```
    /// use bongsu_client::Client;
    ///
    /// assert!(Client::new("http://127.0.0.1:7070").is_ok());
    /// let error = Client::new("https://example.com").unwrap_err();
    /// assert!(error.to_string().contains("https is not supported yet"));
    /// ```
    ///
    /// # Errors
    /// It is no address, or not one of `http`.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::builder(url).build()
    }

    /// A client with other bounds than the usual.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder {
            url: url.to_owned(),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(30),
            object_bytes_max: OBJECT_BYTES_MAX,
            http2: false,
        }
    }

    /// Publishes to `channel`: say what with the methods of [`Publish`], then [`send`](Publish::send).
    pub fn publish(&self, channel: impl Into<String>) -> Publish {
        Publish::new(self.clone(), channel.into())
    }

    /// Reads `channels`: say how with the methods of [`Subscribe`], then [`open`](Subscribe::open).
    ///
    /// ```no_run
    /// # async fn example(client: bongsu_client::Client) -> Result<(), bongsu_client::Error> {
    /// use bongsu_client::{Incoming, Since, Way};
    ///
    /// let mut events = client.subscribe(["shop:7", "shop:8"]).way(Way::Sse).since(Since::Start).open();
    /// while let Some(incoming) = events.next().await {
    ///     match incoming? {
    ///         Incoming::Event(event) => println!("{} {:?}", event.channel, event.data()),
    ///         Incoming::Gap(gap) => println!("events of {} are lost: {}", gap.channel, gap.reason),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self, channels: impl IntoIterator<Item = impl Into<String>>) -> Subscribe {
        Subscribe::new(self.clone(), channels.into_iter().map(Into::into).collect())
    }

    /// The address of the server, as the client uses it.
    #[must_use]
    pub fn url(&self) -> String {
        self.transport().origin.to_string()
    }

    pub(crate) fn transport(&self) -> &Arc<Transport> {
        &self.0.transport
    }

    pub(crate) fn object_bytes_max(&self) -> usize {
        self.0.object_bytes_max
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience::new(self.0.patience)
    }

    /// One request, once.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, Error> {
        self.transport().exchange(call, Duration::ZERO).await?.success()
    }

    /// One request, again and again until it succeeds, cannot, or patience ends.
    pub(crate) async fn call_patiently(&self, call: &Call) -> Result<Answer, Error> {
        let (began, mut patience) = (Instant::now(), self.patience());
        loop {
            let error = match self.call(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let known = self.transport().has_answered();
            match patience.again(&error, began.elapsed(), known, chance::random()) {
                Some(wait) => sleep(wait).await,
                None => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.url()).finish()
    }
}

/// Bounds of a client, made by [`Client::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    url: String,
    connect_timeout: Duration,
    answer_timeout: Duration,
    patience: Duration,
    object_bytes_max: usize,
    http2: bool,
}

impl ClientBuilder {
    /// How long to wait for a connection; 5 s unless said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long to wait for the answer to a request, beyond the time for which a long poll is held; 30 s unless said.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// How long a publish is sent again and again while the server cannot be reached or asks to come back later; 30 s
    /// unless said. Zero for a single attempt.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The largest object that is taken, in bytes; 8 MiB unless said. Raise it if the server allows payloads of more
    /// than 1 MiB.
    pub fn object_bytes_max(mut self, bytes: usize) -> Self {
        self.object_bytes_max = bytes;
        self
    }

    /// Speaks HTTP/2 without asking first. WebSockets and streamed publishes stay on HTTP/1.1.
    pub fn http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// The URL is no address, or not one of `http`.
    pub fn build(self) -> Result<Client, Error> {
        let bounds = Bounds {
            connect_timeout: self.connect_timeout,
            answer_timeout: self.answer_timeout,
            answer_bytes_max: self.object_bytes_max.saturating_mul(OBJECTS_PER_ANSWER),
            http2: self.http2,
        };
        let transport = Arc::new(Transport::new(Origin::parse(&self.url)?, bounds));
        let (object_bytes_max, patience) = (self.object_bytes_max, self.patience);
        Ok(Client(Arc::new(Inner { transport, object_bytes_max, patience })))
    }
}
