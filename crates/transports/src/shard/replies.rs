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
}

struct Reply {
    reference: Option<String>,
    outcome: Outcome,
}

enum Outcome {
    Known(Result<String, Problem>),
    /// The answer to the publish of this number is to come.
    Awaited(u32),
}

impl Replies {
    /// How many are not sent.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.replies.len())
    }

    /// Adds one that is known.
    pub(crate) fn push(&mut self, reference: Option<String>, outcome: Result<String, Problem>) {
        self.0.get_or_insert_default().replies.push_back(Reply { reference, outcome: Outcome::Known(outcome) });
    }

    /// Bytes of heap held: 0 while nothing waits.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| {
            let texts = waiting.replies.iter().map(|reply| {
                let outcome = match &reply.outcome {
                    Outcome::Known(Ok(text)) => text.capacity(),
                    Outcome::Known(Err(_)) | Outcome::Awaited(_) => 0,
                };
                reply.reference.as_ref().map_or(0, String::capacity) + outcome
            });
            size_of::<Waiting>() + waiting.replies.capacity() * size_of::<Reply>() + texts.sum::<usize>()
        })
    }

    /// Adds one that comes with the answer to the publish of this number.
    pub(crate) fn expect(&mut self, reference: Option<String>, number: u32) {
        self.0.get_or_insert_default().replies.push_back(Reply { reference, outcome: Outcome::Awaited(number) });
    }

    /// An answer has come. One that nobody waits for is of a publish that was answered otherwise.
    pub(crate) fn settle(&mut self, number: u32, outcome: Result<String, Problem>) {
        let waiting = self.0.iter_mut().flat_map(|waiting| &mut waiting.replies);
        if let Some(reply) =
            waiting.into_iter().find(|reply| matches!(reply.outcome, Outcome::Awaited(n) if n == number))
        {
            reply.outcome = Outcome::Known(outcome);
        }
    }

    /// Writes those that are known, up to the first that is not.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) {
        let Some(waiting) = &mut self.0 else { return };
        while let Some(Reply { outcome: Outcome::Known(_), .. }) = waiting.replies.front()
            && let Some(Reply { reference, outcome: Outcome::Known(result) }) = waiting.replies.pop_front()
        {
            // Answers are told also where the events come as bare payloads: the client asked for them.
            let control = Control::Reply { reference, result };
            out.extend_from_slice(&framing::control_bytes(&control, Encoding::WebSocket).unwrap_or_default());
        }
        if waiting.replies.is_empty() {
            self.0 = None;
        }
    }
}
