//! What clients say on their WebSockets: commands, and the answers to them.

use bongsu_core::command::{Command, Op};
use bongsu_core::read::{From, Way};
use bongsu_core::{ChannelName, Problem};
use bongsu_hub::{Group, Published};
use bongsu_wire::command;

use super::conn::State;
use super::socket::Peer;
use super::stream::Streaming;
use super::thread::Thread;
use crate::talk;

impl Thread {
    /// Follows one command.
    pub(super) fn command(&mut self, index: u32, text: &str) {
        let parsed = talk::parse(&self.context.hub, text, self.context.limits.channels_per_connection_max);
        let (reference, outcome) = match parsed {
            Ok(Command { reference, op: Op::Publish(draft) }) => {
                let (key, number) = (self.key(index), self.next_publish());
                let Some(Peer::Reader { replies, .. }) = self.socket(index).map(|socket| &mut socket.peer) else {
                    return;
                };
                replies.expect(reference, number);
                match self.context.hub.hand_in(vec![*draft], self.answer_to(key, number)) {
                    Ok(()) => self.handed_in = true,
                    Err(problem) => self.settle(index, number, Err(problem)),
                }
                return;
            }
            Ok(Command { reference, op: Op::Subscribe { channels, since } }) => {
                return self.subscribe(index, reference, &channels, From::Since(since));
            }
            Ok(Command { reference, op: Op::Unsubscribe { channels } }) => {
                self.unsubscribe(index, &channels);
                (reference, Ok(command::channels_answer(&channels, None)))
            }
            Err((reference, problem)) => (reference, Err(problem)),
        };
        if let Some(Peer::Reader { replies, .. }) = self.socket(index).map(|socket| &mut socket.peer) {
            replies.push(reference, outcome);
        }
    }

    fn settle(&mut self, index: u32, number: u32, outcome: Result<String, Problem>) {
        if let Some(Peer::Reader { replies, .. }) = self.socket(index).map(|socket| &mut socket.peer) {
            replies.settle(number, outcome);
        }
    }

    fn unsubscribe(&mut self, index: u32, channels: &[ChannelName]) {
        let Self { conns, group, .. } = self;
        let State::Socket(socket) = &mut conns[index as usize].state else { return };
        let Some(streaming) = socket.reading_mut() else { return };
        let places = streaming.member.remove(|place| channels.contains(group.name(*place)));
        note_channels(streaming, group);
        group.leave(Way::WebSocket, places);
    }

    fn subscribe(&mut self, index: u32, reference: Option<String>, channels: &[ChannelName], from: From) {
        let channels_max = self.context.limits.channels_per_connection_max;
        let Self { conns, group, .. } = self;
        let State::Socket(socket) = &mut conns[index as usize].state else { return };
        let Peer::Reader { streaming, replies, .. } = &mut socket.peer else { return };
        let mine: Vec<ChannelName> = streaming.member.channels().map(|place| group.name(*place).clone()).collect();
        let new: Vec<ChannelName> = channels.iter().filter(|channel| !mine.contains(channel)).cloned().collect();
        if let Err(problem) = talk::together(mine, channels, channels_max) {
            replies.push(reference, Err(problem));
            return;
        }
        let places = group.join(index, Way::WebSocket, &new);
        // A position needs no look at the disk.
        let outcome = match group.search(&places, from, false).run() {
            Ok(found) => {
                Group::extend(&mut streaming.member, places, &found);
                note_channels(streaming, group);
                Ok(command::channels_answer(channels, Some(streaming.member.cursor())))
            }
            Err(problem) => {
                group.leave(Way::WebSocket, places);
                Err(problem)
            }
        };
        replies.push(reference, outcome);
    }

    /// A publish was answered.
    pub(super) fn on_reply(&mut self, index: u32, number: u32, answer: Result<Vec<Published>, Problem>) {
        self.settle(index, number, talk::published(answer));
        self.drive_socket(index);
    }
}

fn note_channels(streaming: &Streaming, group: &Group) {
    let channels = streaming.member.channels().map(|place| group.name(*place).clone()).collect();
    streaming.entry.set_channels(channels);
}
