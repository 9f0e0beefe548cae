//! A publisher that sends each event, under the same Idempotency-Key, until it is acknowledged.

use super::check::Ack;
use super::{CHANNELS, Shared};
use crate::error::{Failure, Result};
use crate::net::{self, Exchange, Request};
use crate::way::Http;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A publish that is not answered in this time is sent again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two attempts while the server is away.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// An event that cannot be published for so long means that the server is gone for good.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

pub(super) struct Publisher {
    number: usize,
    shared: Arc<Shared>,
    exchange: Option<Box<dyn Exchange>>,
}

impl Publisher {
    /// Publishes until it is told to stop, then finishes its event.
    pub(super) fn spawn(number: usize, shared: &Arc<Shared>) -> JoinHandle<Vec<Ack>> {
        let mut publisher = Self { number, shared: Arc::clone(shared), exchange: None };
        std::thread::spawn(move || publisher.run())
    }

    fn run(&mut self) -> Vec<Ack> {
        let mut acks = Vec::new();
        for n in 0_usize.. {
            if self.shared.stop_publishing.load(Ordering::Relaxed) {
                break;
            }
            let channel = CHANNELS[(n + self.number) % CHANNELS.len()];
            match self.publish(channel, n) {
                Ok(ack) => acks.push(ack),
                Err(failure) => {
                    self.shared.fail(failure.within("publishing"));
                    break;
                }
            }
            self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        acks
    }

    fn publish(&mut self, channel: &str, n: usize) -> Result<Ack> {
        let data = format!("p{}-{n}", self.number);
        let mut request = Request::new("POST", format!("/v1/channels/{channel}"))
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", &data);
        request.body = format!("\"{data}\"").into_bytes();
        let give_up = Instant::now() + GIVE_UP_AFTER;
        loop {
            match self.attempt(&request, channel, &data) {
                Err(Failure::Closed { .. } | Failure::Timeout(_)) if Instant::now() < give_up => {
                    self.exchange = None;
                    self.shared.retries.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(RETRY_PAUSE);
                }
                done => return done,
            }
        }
    }

    fn attempt(&mut self, request: &Request, channel: &str, data: &str) -> Result<Ack> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let exchange = match &mut self.exchange {
            Some(exchange) => exchange,
            none => none.insert(net::connect(self.shared.addr, Http::H1, deadline)?),
        };
        let answer = net::call(exchange.as_mut(), request, deadline)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let (id, offset) = (body["id"].as_str(), body["offset"].as_u64());
        match (answer.head.status, id, offset) {
            (200, Some(id), Some(offset)) if body["channel"] == channel => {
                if body["duplicate"] == true {
                    self.shared.duplicates.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Ack { channel: channel.to_owned(), offset, id: id.to_owned(), data: data.to_owned() })
            }
            // Draining: not taken, so it is to be sent again.
            (503, ..) => Err(Failure::closed(format!("answered 503 {body}"))),
            (status, ..) => Err(Failure::wrong(format!("{data} was answered {status} {body}"))),
        }
    }
}
