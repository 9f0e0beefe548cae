//! How connections end, and what is given back then.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::conn::{Conn, State, Unanswered};
use super::thread::Thread;

impl Thread {
    /// Ends what is between two requests.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        let idle: Vec<u32> =
            self.conns.iter().filter(|(_, conn)| conn.is_between_requests()).map(|(i, _)| i as u32).collect();
        for index in idle {
            // A request that has arrived is answered, also at the moment of the drain.
            self.conns[index as usize].readable = true;
            self.on_readable(index);
            if self.conns.get(index as usize).is_some_and(Conn::is_between_requests) {
                self.close(index);
            }
        }
    }

    /// All that is to be said has been said: ends the connection when it is written.
    pub(super) fn finish(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        conn.closing = true;
        if conn.unsent.is_some() {
            return;
        }
        if conn.unanswered.put(Unanswered::ANSWER, false) {
            self.figures.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
        self.leave(index);
        // Closing a socket with unread input would reset it, and the reset can overtake our last words.
        const LINGER: Duration = Duration::from_secs(2);
        let conn = &mut self.conns[index as usize];
        conn.state = State::Lingering;
        if conn.stream.shutdown(std::net::Shutdown::Write).is_err() {
            return self.close(index);
        }
        self.due_in(index, LINGER);
    }

    /// Ends the connection at once.
    pub(super) fn close(&mut self, index: u32) {
        self.leave(index);
        self.expect(index, false);
        if self.conns.try_remove(index as usize).is_some_and(|mut conn| conn.unanswered.put(Unanswered::ANSWER, false))
        {
            self.figures.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Gives up the connection's places in channels.
    pub(super) fn leave_channels(&mut self, index: u32) {
        if let Some((way, places)) = self.conns.get_mut(index as usize).and_then(Conn::places) {
            self.group.leave(way, places);
        }
    }

    /// Gives up what the connection's state holds elsewhere.
    pub(super) fn leave(&mut self, index: u32) {
        self.leave_channels(index);
        let Some(conn) = self.conns.get_mut(index as usize) else { return };
        if matches!(conn.state, State::Opening(_) | State::Publishing(_) | State::Polling(_)) {
            self.figures.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
        conn.state = State::Lingering;
    }

    /// Notes whether a request has come in part, which is to be waited for when the server drains.
    pub(super) fn expect(&mut self, index: u32, expected: bool) {
        let Some(conn) = self.conns.get_mut(index as usize) else { return };
        match (conn.unanswered.put(Unanswered::REQUEST, expected), expected) {
            (false, true) => self.figures.unanswered.fetch_add(1, Ordering::SeqCst),
            (true, false) => self.figures.unanswered.fetch_sub(1, Ordering::SeqCst),
            _ => return,
        };
    }
}
