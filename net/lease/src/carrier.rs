//! Carries out what the machine wants.

use std::collections::{BTreeMap, BTreeSet};
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

/// How many refusals are told apart. Whoever can reach the port can make up any number of them.
const MOST_REFUSALS: usize = 16;

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
    /// Peers that did not answer the last question.
    pub(crate) silent: Mutex<BTreeSet<usize>>,
    /// Refusals that the log has told already.
    pub(crate) refusals: Mutex<BTreeSet<String>>,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// The vote that is to be stored next. Only the last one counts.
    pub(crate) vote: Mutex<Option<Durable>>,
    /// Tells that there is one; full when that was told before.
    pub(crate) vote_is_there: mpsc::Sender<()>,
}

/// Questions of others that are not answered yet.
#[derive(Default)]
pub(crate) struct Questions {
    next: u64,
    open: BTreeMap<RequestId, oneshot::Sender<Response>>,
}

impl Shared {
    pub(crate) fn questions(&self) -> MutexGuard<'_, Questions> {
        lock(&self.questions)
    }

    /// The vote that is to be stored, if one waits.
    pub(crate) fn take_vote(&self) -> Option<Durable> {
        lock(&self.vote).take()
    }

    /// That vote is still to be stored, unless another one has taken its place.
    pub(crate) fn put_back(&self, vote: Durable) {
        lock(&self.vote).get_or_insert(vote);
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
                *lock(&self.vote) = Some(durable);
                let _ = self.vote_is_there.try_send(());
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
            let answer = answer.unwrap_or_else(|| Err("it took too long".to_owned()));
            shared.note(to, answer.as_ref().err());
            if let Ok(message) = answer {
                // A stopping member needs no answers.
                let _ =
                    shared.feeder.feed(Input::Response { from: to, asked, sent, message }).await;
            }
        });
    }

    async fn question(&self, to: usize, asked: Request) -> Result<Response, String> {
        let peer = self.peers.get(to).ok_or("it is no peer")?;
        let body = encode_request(self.me, &self.members, asked).encode_to_vec();
        let request = HttpRequest::post(PATH).body(Bytes::from(body));
        let request = request.map_err(|error| error.to_string())?;
        let response = self.client.send(peer, request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect(ANSWER_BYTES).await;
        let body = body.map_err(|error| error.to_string())?;
        if status != StatusCode::OK {
            return Err(format!("it answers {status}: {}", String::from_utf8_lossy(&body)));
        }
        let stored = message::Response::decode(body).map_err(|error| error.to_string())?;
        decode_response(&stored).map_err(|error| error.to_string())
    }

    /// Tells whoever reads the log when a peer falls silent, and when it is back.
    fn note(&self, peer: usize, error: Option<&String>) {
        let mut silent = lock(&self.silent);
        let changed = match error {
            Some(_) => silent.insert(peer),
            None => silent.remove(&peer),
        };
        drop(silent);
        let Some(peer) = self.peers.get(peer).filter(|_| changed) else { return };
        match error {
            Some(error) => tracing::warn!(%peer, error, "a peer does not answer"),
            None => tracing::info!(%peer, "a peer answers again"),
        }
    }

    /// Tells whoever reads the log why a peer's question is not answered, each reason once: peers
    /// ask several times a second.
    pub(crate) fn note_refusal(&self, refused: &str) {
        let mut refusals = lock(&self.refusals);
        if refusals.len() < MOST_REFUSALS && refusals.insert(refused.to_owned()) {
            tracing::error!(refused, "a peer's question is not answered");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain tables, which a panic elsewhere cannot leave half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
