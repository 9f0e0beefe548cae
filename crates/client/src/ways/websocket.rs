//! A WebSocket: objects one way, commands the other.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bongsu_core::control::close_code;
use bongsu_core::read::Way;
use bongsu_wire::websocket::handshake::ClientHandshake;
use bongsu_wire::websocket::{self, CloseCode, Event, Limits, Opcode, Role, Session, Timing, Violation};
use bytes::{Buf as _, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::request::read_call;
use super::{Reading, no_object, silence_max};
use crate::chance;
use crate::command::{Command, Op};
use crate::decode::object::{Close, Object, Reply, Subscribed, decode};
use crate::error::Error;
use crate::net::call::Answer;
use crate::net::connect::{self, CloseOnDrop};
use crate::net::origin::Origin;
use crate::net::transport::Transport;
use crate::resume::Resume;

/// The subprotocol of this version (§2 of the protocol page).
const SUBPROTOCOL: &str = "bongsu.v1";
/// Bytes to read at once.
const READ_BYTES: usize = 16 << 10;
/// Commands without a reply, and bytes not yet taken by the socket, beyond which no more commands are accepted.
const COMMANDS_MAX: usize = 32;
const OUTBOX_BYTES_MAX: usize = 4 << 20;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_millis(250);

/// A connection that stands.
pub(crate) struct WebSocket {
    origin: Origin,
    reader: ReadHalf<TokioIo<Upgraded>>,
    writer: WriteHalf<TokioIo<Upgraded>>,
    protocol: Session,
    /// When the protocol's clock began.
    began: Instant,
    /// Empty between reads.
    inbox: BytesMut,
    /// Frames that the socket has not taken yet.
    outbox: BytesMut,
    /// Commands that wait for a reply, by the number they were given.
    pending: HashMap<u64, Command>,
    commands_sent: u64,
    silence_max: Duration,
    object_bytes_max: usize,
    /// The server has said why it is about to close.
    close_said: bool,
    ended: bool,
    _task: CloseOnDrop,
}

impl WebSocket {
    /// Opens a WebSocket and asks for the channels that have a position of their own.
    pub(super) async fn open(transport: &Arc<Transport>, reading: &Reading, resume: &Resume) -> Result<Self, Error> {
        let (origin, bounds) = (&transport.origin, &transport.bounds);
        let handshake = ClientHandshake::new(chance::nonce(), &[SUBPROTOCOL]);
        let mut call = read_call(reading, Way::WebSocket, resume.channels(), resume.position())?;
        for (name, value) in handshake.headers() {
            call = call.header(name, &value)?;
        }
        let mut connection = connect::http1(origin, bounds.connect_timeout).await?;
        let sent = connection.sender.send_request(call.request(origin, false)?);
        let response = bounded(transport, bounds.answer_timeout, sent).await?;
        transport.note_answer();
        if response.status() != 101 {
            return Err(not_upgraded(transport.collect(response).await?));
        }
        let headers = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        handshake.verify(101, headers).map_err(|refusal| Error::protocol(format!("no WebSocket: {refusal}")))?;
        let upgraded = bounded(transport, bounds.answer_timeout, hyper::upgrade::on(response)).await?;
        let mut websocket = Self::new(origin.clone(), upgraded, connection.task, reading);
        for Subscribed { channels, since } in resume.late().iter().cloned() {
            websocket.send(Command::internal(Op::Subscribe { channels, since }));
        }
        Ok(websocket)
    }

    fn new(origin: Origin, upgraded: Upgraded, task: CloseOnDrop, reading: &Reading) -> Self {
        let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
        let message_bytes_max = u32::try_from(reading.object_bytes_max).unwrap_or(u32::MAX);
        let limits = Limits { message_bytes_max, ..Limits::default() };
        Self {
            origin,
            reader,
            writer,
            // Silence is measured here while this client reads, and not while it waits for its consumer: so the
            // session's own timer is never asked.
            protocol: Session::new(Role::Client, limits, Timing::default(), 0),
            began: Instant::now(),
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            pending: HashMap::new(),
            commands_sent: 0,
            silence_max: reading.silence_max(),
            object_bytes_max: reading.object_bytes_max,
            close_said: false,
            ended: false,
            _task: task,
        }
    }

    /// The next objects; `None` after the Close.
    pub(super) async fn next(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<Option<Vec<Object>>, Error> {
        let mut deadline = Instant::now() + self.silence_max;
        loop {
            if self.ended {
                self.flush_goodbye().await;
                return Ok(None);
            }
            let room = self.pending.len() < COMMANDS_MAX && self.outbox.len() < OUTBOX_BYTES_MAX;
            self.inbox.reserve(READ_BYTES);
            tokio::select! {
                biased;
                written = self.writer.write_buf(&mut self.outbox), if self.outbox.has_remaining() => {
                    written.map_err(|error| self.cut(error))?;
                }
                read = timeout_at(deadline, self.reader.read_buf(&mut self.inbox)) => {
                    let Ok(read) = read else { return Err(self.silent()) };
                    self.ended |= read.map_err(|error| self.cut(error))? == 0;
                    let objects = self.take()?;
                    if !objects.is_empty() {
                        return Ok(Some(objects));
                    }
                    deadline = Instant::now() + self.silence_max;
                }
                Some(command) = commands.recv(), if room => self.send(command),
            }
        }
    }

    /// Sends a Close, if the socket takes it at once.
    pub(super) async fn leave(mut self: Box<Self>) {
        let now = self.now_ms();
        self.protocol.close(CloseCode::NORMAL, "", now);
        self.transmit();
        self.flush_goodbye().await;
    }

    fn send(&mut self, command: Command) {
        self.commands_sent += 1;
        match command.op.encode(self.commands_sent) {
            Ok(text) => {
                self.outbox.extend_from_slice(&websocket::encode_masked(Opcode::Text, &text, chance::mask()));
                self.pending.insert(self.commands_sent, command);
            }
            Err(error) => command.answer(Err(error)),
        }
    }

    /// Reads frames, queues what has to be answered, and gives the objects in them.
    fn take(&mut self) -> Result<Vec<Object>, Error> {
        let inbox = self.inbox.split();
        let (mut input, mut objects) = (&inbox[..], Vec::new());
        let now = self.now_ms();
        while let Some(event) = self.protocol.receive(&mut input, now) {
            match event {
                Event::Text(text) => objects.extend(self.object(decode(text).map_err(|why| no_object(&why))?)?),
                Event::Binary(_) => {
                    return Err(Error::protocol("the server sent a binary frame, which has no meaning here"));
                }
                Event::Ping | Event::Pong => {}
                Event::Closed(close) => {
                    self.ended = true;
                    objects.extend(close.filter(|_| !self.close_said).map(|close| closed(&close)));
                }
                Event::Failed(Violation::MessageTooBig) => return Err(Error::too_large(self.object_bytes_max)),
                Event::Failed(violation) => {
                    return Err(Error::protocol(format!("a broken WebSocket frame: {violation}")));
                }
            }
            self.transmit();
        }
        Ok(objects)
    }

    /// Notes what concerns the connection itself; gives what concerns the reader.
    fn object(&mut self, object: Object) -> Result<Option<Object>, Error> {
        match object {
            Object::Reply(reply) => self.reply(reply),
            other => {
                self.close_said |= matches!(other, Object::Close(_));
                if let Object::Open(open) = &other {
                    self.silence_max = open.heartbeat.map_or(self.silence_max, silence_max);
                }
                Ok(Some(other))
            }
        }
    }

    fn reply(&mut self, reply: Reply) -> Result<Option<Object>, Error> {
        let Some(command) = reply.reference.and_then(|reference| self.pending.remove(&reference)) else {
            return Ok(None);
        };
        let result = reply.result.map_err(Error::refused);
        if let (true, Err(error)) = (command.is_internal(), &result) {
            // A channel that was read before is refused now: going on without it would lose its events silently.
            return Err(error.clone());
        }
        let object = match &command.op {
            _ if result.is_err() => None,
            Op::Subscribe { channels, since } => {
                Some(Object::Subscribed(Subscribed { channels: channels.clone(), since: since.clone() }))
            }
            Op::Unsubscribe { channels } => Some(Object::Unsubscribed(channels.clone())),
            Op::Publish(_) => None,
        };
        command.answer(result);
        Ok(object)
    }

    fn transmit(&mut self) {
        while let Some(frame) = self.protocol.transmit() {
            self.outbox.extend_from_slice(&frame.encode_masked(chance::mask()));
        }
    }

    async fn flush_goodbye(&mut self) {
        // The connection is over either way; a Close that cannot be written is no loss.
        let _ = timeout(GOODBYE, self.writer.write_all_buf(&mut self.outbox)).await;
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn cut(&self, error: io::Error) -> Error {
        Error::cut(format!("the connection to {} broke", self.origin), error)
    }

    fn silent(&self) -> Error {
        Error::silent(&self.origin, self.silence_max)
    }
}

/// A Close frame of a server that had no time for `$close`, or of something in between.
fn closed(close: &websocket::Close) -> Object {
    let code = close.code.get();
    let reconnect = !matches!(code, close_code::FORBIDDEN | close_code::PROTOCOL_ERROR);
    Object::Close(Close { code, reason: close.reason.clone(), reconnect, retry: None })
}

fn not_upgraded(answer: Answer) -> Error {
    if answer.status < 300 {
        return Error::protocol(format!(
            "the answer {} opens no WebSocket: a proxy may have dropped `Upgrade`",
            answer.status
        ));
    }
    answer.into_error()
}

async fn bounded<T>(
    transport: &Transport,
    patience: Duration,
    future: impl Future<Output = Result<T, hyper::Error>>,
) -> Result<T, Error> {
    match timeout(patience, future).await {
        Ok(result) => result.map_err(|error| connect::from_hyper(&transport.origin, error)),
        Err(_) => Err(Error::no_answer(&transport.origin, patience)),
    }
}
