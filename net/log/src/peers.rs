//! The asking side: a queue and a task for each other replica.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use orrery_api::log as proto;
use orrery_log::wire::{decode_response, encode_request};
use orrery_log::{Origin, Request, Responses, Transport};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use tokio::sync::{Mutex as QueueLock, mpsc};

use crate::connection::connect;

/// Requests that may wait for a peer. Further ones are lost.
const QUEUE: usize = 64;

/// How long a connection and the first answer on it may take.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// Pause after a connection that did not come about or broke.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection over which nothing was answered for this long is given up.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Reaches the other replicas.
pub struct Peers {
    runtime: Runtime,
    origin: Origin,
    responses: Mutex<Option<Responses>>,
    peers: Mutex<BTreeMap<Address, Peer>>,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Peers of {}", self.origin.address)
    }
}

struct Peer {
    queue: mpsc::Sender<Request>,
    _task: AbortOnDrop,
}

impl Peers {
    /// The peers of the replica `origin`.
    pub fn new(runtime: Runtime, origin: Origin) -> Self {
        Self { runtime, origin, responses: Mutex::new(None), peers: Mutex::default() }
    }

    fn start_peer(&self, to: &Address, responses: Responses) -> Peer {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let task = PeerTask {
            runtime: self.runtime.clone(),
            from: self.origin.clone(),
            to: to.clone(),
            queue: Arc::new(QueueLock::new(receiver)),
            responses,
        };
        let task = self.runtime.spawn("replicated log peer", task.run());
        Peer { queue, _task: task.abort_on_drop() }
    }
}

impl Transport for Peers {
    fn start(&self, responses: Responses) {
        *self.responses.lock().unwrap_or_else(PoisonError::into_inner) = Some(responses);
    }

    fn send(&self, to: &Address, request: Request) {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(to) {
            // What does not fit is asked again.
            let _ = peer.queue.try_send(request);
        }
    }

    fn members(&self, members: &BTreeSet<Address>) {
        let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(responses) = responses else { return };
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|address, _| members.contains(address));
        for address in members.iter().filter(|address| **address != self.origin.address) {
            peers
                .entry(address.clone())
                .or_insert_with(|| self.start_peer(address, responses.clone()));
        }
    }
}

struct PeerTask {
    runtime: Runtime,
    from: Origin,
    to: Address,
    queue: Arc<QueueLock<mpsc::Receiver<Request>>>,
    responses: Responses,
}

impl PeerTask {
    /// Keeps an exchange with the peer, made anew whenever it ends.
    async fn run(self) {
        loop {
            if let Err(reason) = self.exchange().await {
                tracing::debug!(peer = %self.to, reason, "no exchange with a replica");
            }
            self.runtime.sleep(PAUSE).await;
            // What waited so long is asked again by who wants it.
            let mut queue = self.queue.lock().await;
            while queue.try_recv().is_ok() {}
            if queue.is_closed() {
                return;
            }
        }
    }

    async fn exchange(&self) -> Result<(), String> {
        let opening = connect(&self.runtime, &self.to);
        let opened = self.runtime.timeout(CONNECT_TIME, opening).await;
        let (mut client, closer) =
            opened.ok_or("no connection in time")?.map_err(|error| error.to_string())?;
        let asked = Arc::new(AtomicU64::new(0));
        let queue = Arc::clone(&self.queue).lock_owned().await;
        let questions = Questions { queue, from: self.from.clone(), asked: Arc::clone(&asked) };
        let result = async {
            let opening = client.exchange(questions);
            let opened = self.runtime.timeout(CONNECT_TIME, opening).await;
            let answers = opened.ok_or("no answer in time")?;
            let answers = answers.map_err(|status| status.message().to_owned())?;
            self.listen(answers.into_inner(), &asked).await
        };
        let result = result.await;
        drop(client);
        closer.close_within(Duration::ZERO);
        result
    }

    async fn listen(
        &self,
        mut answers: tonic::Streaming<proto::Response>,
        asked: &AtomicU64,
    ) -> Result<(), String> {
        let mut before = 0;
        let mut answered = 0;
        loop {
            match self.runtime.timeout(ANSWER_TIME, answers.message()).await {
                None => {
                    // Nothing came for a while. Was anything waited for all the time?
                    if before > answered {
                        return Err("it does not answer".to_owned());
                    }
                    before = asked.load(Ordering::Relaxed);
                }
                Some(Err(status)) => return Err(status.message().to_owned()),
                Some(Ok(None)) => return Ok(()),
                Some(Ok(Some(response))) => {
                    answered = asked.load(Ordering::Relaxed);
                    let response = decode_response(response).map_err(|error| error.to_string())?;
                    if !self.responses.deliver(self.to.clone(), response).await {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// The stream of questions to the peer.
struct Questions {
    queue: tokio::sync::OwnedMutexGuard<mpsc::Receiver<Request>>,
    from: Origin,
    asked: Arc<AtomicU64>,
}

impl Stream for Questions {
    type Item = proto::Request;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll_recv(context).map(|request| {
            let request = request?;
            self.asked.fetch_add(1, Ordering::Relaxed);
            Some(encode_request(&self.from, request))
        })
    }
}
