//! Carries out what the machine wants.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request as HttpRequest, StatusCode};
use orrery_api::lease as message;
use orrery_http::Client;
use orrery_lease::{Durable, Elector, Input, Output, Request, RequestId, Response};
use orrery_runtime::machine::Feeder;
use orrery_runtime::{Address, Instant, Runtime};
use prost::Message;
use tokio::sync::{mpsc, oneshot};

use crate::Event;
use crate::message::{decode_response, encode_request};

/// Where questions are posted.
pub(crate) const PATH: &str = "/orrery/lease";

/// Longest answer that is read, in bytes.
const ANSWER_BYTES: usize = 4096;

/// What the HTTP side and the driver share.
pub(crate) struct Shared {
    pub(crate) runtime: Runtime,
    pub(crate) me: usize,
    pub(crate) peers: Vec<Address>,
    /// The peers as one text, by which members make sure that all have the same.
    pub(crate) members: String,
    pub(crate) feeder: Feeder<Elector>,
    pub(crate) client: Client,
    /// An answer that takes longer than this is of no use.
    pub(crate) answer_time: Duration,
    pub(crate) questions: Mutex<Questions>,
    /// Own questions that are on their way or wait for their answer.
    pub(crate) under_way: AtomicUsize,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) votes: mpsc::UnboundedSender<Durable>,
}

/// Questions of others that are not answered yet.
#[derive(Default)]
pub(crate) struct Questions {
    next: u64,
    open: BTreeMap<RequestId, oneshot::Sender<Response>>,
}

impl Shared {
    pub(crate) fn questions(&self) -> MutexGuard<'_, Questions> {
        // A table of senders, which a panic elsewhere cannot leave half changed.
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another member's question to the machine.
    pub(crate) async fn ask_machine(&self, from: usize, message: Request) -> Option<Response> {
        let (sender, receiver) = oneshot::channel();
        let request = {
            let mut questions = self.questions();
            questions.next += 1;
            let request = RequestId(questions.next);
            questions.open.insert(request, sender);
            request
        };
        if self.feeder.feed(Input::Request { request, from, message }).await.is_err() {
            self.questions().open.remove(&request);
            return None;
        }
        receiver.await.ok()
    }

    /// Never waits.
    pub(crate) fn carry(self: &Arc<Self>, output: Output) {
        // Nobody listens to events any more once the master is being stopped.
        match output {
            Output::Send { to, message, sent } => self.send(to, message, sent),
            Output::Reply { request, message } => {
                if let Some(sender) = self.questions().open.remove(&request) {
                    let _ = sender.send(message);
                }
            }
            Output::Store(durable) => {
                let _ = self.votes.send(durable);
            }
            Output::Elected { term } => {
                let _ = self.events.send(Event::Elected { term });
            }
            Output::Deposed => {
                let _ = self.events.send(Event::Deposed);
            }
            Output::Leader(leader) => {
                let leader = leader.and_then(|leader| self.peers.get(leader).cloned());
                let _ = self.events.send(Event::Leader(leader));
            }
        }
    }

    fn send(self: &Arc<Self>, to: usize, asked: Request, sent: Instant) {
        let shared = Arc::clone(self);
        shared.under_way.fetch_add(1, Ordering::Relaxed);
        // Ends by itself: no answer is waited for longer than it is worth.
        self.runtime.spawn("lease question", async move {
            let question = shared.question(to, asked);
            let answer = shared.runtime.timeout(shared.answer_time, question).await;
            shared.under_way.fetch_sub(1, Ordering::Relaxed);
            if let Some(Some(message)) = answer {
                // A stopping member needs no answers.
                let _ =
                    shared.feeder.feed(Input::Response { from: to, asked, sent, message }).await;
            }
        });
    }

    async fn question(&self, to: usize, asked: Request) -> Option<Response> {
        let peer = self.peers.get(to)?;
        let body = encode_request(self.me, &self.members, asked).encode_to_vec();
        let request = HttpRequest::post(PATH).body(Bytes::from(body)).ok()?;
        let answer = async {
            let response =
                self.client.send(peer, request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = response.into_body().collect(ANSWER_BYTES).await;
            let body = body.map_err(|error| error.to_string())?;
            if status != StatusCode::OK {
                return Err(format!("it answers {status}: {}", String::from_utf8_lossy(&body)));
            }
            message::Response::decode(body).map_err(|error| error.to_string())
        };
        match answer.await {
            Ok(stored) => Some(decode_response(&stored)),
            Err(error) => {
                tracing::debug!(%peer, error, "no answer from a peer");
                None
            }
        }
    }
}
