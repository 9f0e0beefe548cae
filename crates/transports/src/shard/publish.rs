//! Publishing to one channel on a kept connection: from the request to the hub and back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bongsu_core::{ErrorCode, Problem};
use bongsu_hub::Published;
use bongsu_wire::http1::{Head, Method};
use bytes::Bytes;

use super::answer::{self, Terms};
use super::conn::State;
use super::front::Route;
use super::thread::Thread;
use super::{Key, Letter, Mailbox};
use crate::receipt;

/// A publish on its way through the hub.
pub(crate) struct Publishing {
    number: u32,
    since: Instant,
    marks: Bytes,
    keep_alive: bool,
}

impl Publishing {
    /// Bytes of heap held. The event itself is the hub's.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.marks.len()
    }
}

/// What the hub answers to one publish.
type Given = Result<Vec<Published>, Problem>;

/// Brings an answer, and if there is none because the sequencer has died, brings that.
struct Messenger {
    mailbox: Arc<Mailbox>,
    to: Option<(Key, u32)>,
}

impl Messenger {
    fn bring(&mut self, answer: Given) {
        if let Some((key, number)) = self.to.take() {
            self.mailbox.post(Letter::Published(key, number, answer));
        }
    }
}

impl Drop for Messenger {
    fn drop(&mut self) {
        let problem = Problem::new(ErrorCode::Internal, "the sequencer has stopped after a mistake in the server");
        self.bring(Err(
            problem.hint("whether the event was taken is not known; with an `Idempotency-Key` a retry is harmless")
        ));
    }
}

impl Thread {
    /// Hands the event over to the hub. Its answer comes as a letter.
    pub(super) fn publish(&mut self, index: u32, head: &Head<'_>, channel: &str, body: &[u8]) {
        let route = Route::Publish(channel);
        let marks = self.front.marks(head, route);
        let (key, number) = (self.key(index), self.next_publish());
        let draft = self.front.check(head).and_then(|()| self.front.draft(head, channel, Bytes::copy_from_slice(body)));
        let handed = draft.and_then(|draft| self.context.hub.hand_in(vec![draft], self.answer_to(key, number)));
        self.handed_in |= handed.is_ok();
        self.figures.unanswered.fetch_add(1, Ordering::SeqCst);
        let publishing = Publishing { number, since: self.now, marks, keep_alive: head.keep_alive };
        self.conns[index as usize].state = State::Publishing(Box::new(publishing));
        if let Err(problem) = handed {
            self.answer_publish(index, Err(problem));
        }
    }

    /// A number by which the answer to a publish is known.
    pub(super) fn next_publish(&mut self) -> u32 {
        self.publishes = self.publishes.wrapping_add(1);
        self.publishes
    }

    /// Brings the hub's answer to the publish of this number. A connection that is gone needs none;
    /// its event stands.
    pub(super) fn answer_to(&self, key: Key, number: u32) -> impl FnOnce(Given) + Send + 'static {
        let mut messenger = Messenger { mailbox: self.mailbox.clone(), to: Some((key, number)) };
        move |answer| messenger.bring(answer)
    }

    /// The hub has answered.
    pub(super) fn on_published(&mut self, key: Key, number: u32, answer: Result<Vec<Published>, Problem>) {
        let Some(conn) = self.conn(key) else { return };
        match &conn.state {
            // Another number is of a publish that was refused, and answered with that.
            State::Publishing(publishing) if publishing.number == number => {
                let took = publishing.since.elapsed();
                self.front.published(took);
                self.answer_publish(key.index, answer);
            }
            State::Socket(_) => self.on_reply(key.index, number, answer),
            _ => {}
        }
    }

    fn answer_publish(&mut self, index: u32, given: Result<Vec<Published>, Problem>) {
        let state = std::mem::replace(&mut self.conns[index as usize].state, State::Request);
        let State::Publishing(publishing) = state else { return };
        let Publishing { marks, keep_alive, .. } = *publishing;
        let date = self.date_line();
        let terms = Terms { date: &date, marks: &marks, keep_alive, head_only: false };
        let (status, bytes) = match given {
            Ok(published) => {
                let json = published.first().map(|published| receipt(published).to_json()).unwrap_or_default();
                (200, answer::published(&terms, json.as_bytes()))
            }
            Err(problem) => (problem.code.status(), answer::problem(&terms, &problem, false)),
        };
        self.front.answered(Route::Publish(""), Method::Post, status);
        self.answer(index, bytes, !keep_alive);
    }
}
