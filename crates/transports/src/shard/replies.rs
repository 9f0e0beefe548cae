//! Answers to the commands of one client, in the order of the commands.

use std::collections::VecDeque;

use bongsu_core::Problem;
use bongsu_core::control::Control;
use bongsu_core::event::Encoding;
use bongsu_wire::framing;

/// Answers that are not sent yet. In memory only while there are some.
#[derive(Default)]
pub(crate) struct Replies(Option<Box<Waiting>>);

#[derive(Default)]
struct Waiting {
    replies: VecDeque<Reply>,
    /// The number of the first of them.
    first: u32,
}

struct Reply {
    reference: Option<String>,
    /// None as long as it is not known.
    outcome: Option<Result<String, Problem>>,
}

impl Replies {
    /// How many are not sent.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.replies.len())
    }

    /// Adds one; its number says where an answer that is not known yet belongs.
    pub(crate) fn push(&mut self, reference: Option<String>, outcome: Option<Result<String, Problem>>) -> u32 {
        let waiting = self.0.get_or_insert_default();
        waiting.replies.push_back(Reply { reference, outcome });
        waiting.first.wrapping_add(waiting.replies.len() as u32 - 1)
    }

    /// An answer has come.
    pub(crate) fn settle(&mut self, number: u32, outcome: Result<String, Problem>) {
        if let Some(waiting) = &mut self.0
            && let Some(reply) = waiting.replies.get_mut(number.wrapping_sub(waiting.first) as usize)
        {
            reply.outcome = Some(outcome);
        }
    }

    /// Writes those that are known, up to the first that is not.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) {
        let Some(waiting) = &mut self.0 else { return };
        while let Some(outcome) = waiting.replies.front_mut().and_then(|reply| reply.outcome.take()) {
            let reference = waiting.replies.pop_front().and_then(|reply| reply.reference);
            waiting.first = waiting.first.wrapping_add(1);
            // Answers are told also where the events come as bare payloads: the client asked for them.
            let control = Control::Reply { reference, result: outcome };
            out.extend_from_slice(&framing::control_bytes(&control, Encoding::WebSocket).unwrap_or_default());
        }
        // The count goes on with the next one from 0: nobody waits for a number any more.
        if waiting.replies.is_empty() {
            self.0 = None;
        }
    }
}
