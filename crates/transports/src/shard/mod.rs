//! The driver for plain HTTP/1.1: socket shards.
//!
//! A shard is a thread with its own poll, its own connections and one read buffer for all of them. It reads the request
//! heads, serves the five ways and publishes to one channel, and hands every other request over to hyper with the bytes it
//! has read. An idle connection is a small struct; an event costs a shard one entry in its queue, and its connections one
//! write of bytes that they share. What waits for a socket leaves in one write.
//!
//! Where things are: `thread` the rounds of the loop, `conn` a connection, `accept` and `ending` how it comes and goes, `input`
//! from bytes to requests, `read` what the five ways have in common; `publish`, `poll`, `stream`, `socket` and `commands` what
//! is answered; `fanout` how an event gets to many; `mailbox` how others reach the thread, `wheel` the timers, `census` what
//! connections hold, `front` what is asked of the layer above.
//!
//! It is the second driver of the same [`session`](crate::session). It must not know what channels are for, nor who may read
//! them.

mod accept;
mod answer;
mod census;
mod commands;
mod conn;
mod ending;
mod fanout;
mod front;
mod input;
mod mailbox;
mod poll;
mod publish;
mod read;
mod replies;
mod socket;
mod stream;
mod thread;
mod wheel;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bongsu_core::limits::Limits;
use tokio::runtime::Handle;

pub use front::{Front, HandedOver, Route};
pub(crate) use mailbox::{Key, Letter, Mailbox};

use crate::Transports;
use thread::Thread;

/// What shards are made of.
pub struct Settings {
    /// The five ways.
    pub transports: Transports,
    /// The layer above.
    pub front: Arc<dyn Front>,
    /// Where connections come from.
    pub listener: TcpListener,
    /// How many threads, at least one.
    pub count: usize,
    /// The bounds on requests.
    pub limits: Limits,
    /// Takes what shards do not serve; called on their threads, so it must not wait.
    pub hand_over: Arc<dyn Fn(HandedOver) + Send + Sync>,
    /// Where reads that wait for the disk run.
    pub runtime: Handle,
}

/// Running shards.
pub struct Shards {
    mailboxes: Arc<[Arc<Mailbox>]>,
    threads: Vec<JoinHandle<()>>,
    figures: Arc<Figures>,
}

/// What all shards count together.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Requests that have come and are not answered yet.
    pub(crate) unanswered: AtomicUsize,
}

/// A server whose connections hang, and that accepts nobody, looks alive from outside. One that is gone is started again,
/// and what was acknowledged is in the log.
struct AbortIfPanicking;

impl Drop for AbortIfPanicking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

impl Shards {
    /// Starts the threads. The first accepts for all. What their connections hold is told by [`Transports::memory`], for the
    /// first shards that are started over the same transports.
    ///
    /// # Errors
    /// The operating system gives no poll or no thread.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let polls: Vec<mio::Poll> = (0..settings.count.max(1)).map(|_| mio::Poll::new()).collect::<Result<_, _>>()?;
        let mailboxes: Arc<[_]> = polls.iter().map(thread::mailbox).collect::<Result<_, _>>()?;
        settings.transports.context.census.set_shards(mailboxes.clone());
        let figures = Arc::new(Figures::default());
        settings.listener.set_nonblocking(true)?;
        let mut listener = Some(mio::net::TcpListener::from_std(settings.listener.try_clone()?));
        let mut threads = Vec::with_capacity(polls.len());
        for (number, poll) in polls.into_iter().enumerate() {
            let thread = Thread::new(&settings, poll, number, mailboxes.clone(), listener.take(), figures.clone())?;
            let name = format!("shard-{number}");
            threads.push(std::thread::Builder::new().name(name).spawn(move || {
                let _guard = AbortIfPanicking;
                thread.run();
            })?);
        }
        Ok(Self { mailboxes, threads, figures })
    }

    /// Ends the connections that are between two requests; new ones are still answered. Those that read are ended by
    /// [`Transports::drain`].
    pub fn drain(&self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Letter::Drain));
    }

    /// Ready when no request is unanswered.
    pub async fn idle(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(10);
        while self.figures.unanswered.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends the threads and all that is left of their connections.
    pub fn stop(self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.post(Letter::Stop));
        for thread in self.threads {
            // It cannot have ended by a panic.
            let _ = thread.join();
        }
    }
}
