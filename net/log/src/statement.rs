//! Asking replicas what they say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use orrery_log::wire::{decode_response, encode_request};
use orrery_log::{Origin, Request, Response, Statement};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use tokio::sync::mpsc;

use crate::connection::connect;

/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// When a replica that agrees and votes is asked again.
const CONTENT: Duration = Duration::from_secs(10);

/// When any other one is asked again.
const EAGER: Duration = Duration::from_millis(500);

/// How many answers may wait.
const QUEUE: usize = 8;

/// What the replica that is reached at `to` says of itself, if one is.
pub(crate) async fn ask(runtime: &Runtime, origin: &Origin, to: &Address) -> Option<Statement> {
    runtime.timeout(ANSWER_TIME, ask_patiently(runtime, origin, to)).await.flatten()
}

async fn ask_patiently(runtime: &Runtime, origin: &Origin, to: &Address) -> Option<Statement> {
    let (mut client, closer) = connect(runtime, to).await.ok()?;
    let question = encode_request(origin, Request::Inquire { nonce: 0 });
    // The exchange ends once it is answered, so the stream of questions must not end before.
    let questions = stream::iter([question]).chain(stream::pending());
    let answer = async {
        let mut answers = client.exchange(questions).await.ok()?.into_inner();
        match decode_response(answers.message().await.ok()??).ok()? {
            Response::State { voter, state, .. } => {
                Some(Statement { id: voter.id, cluster: origin.cluster.clone(), state })
            }
            Response::Refused { voter, cluster, state } => {
                Some(Statement { id: voter.id, cluster, state })
            }
            _ => None,
        }
    };
    let statement = answer.await;
    closer.close_within(Duration::ZERO);
    statement
}

/// Asks replicas again and again what they say of themselves.
#[derive(Debug)]
pub struct Statements {
    runtime: Runtime,
    origin: Origin,
    asking: BTreeMap<Address, AbortOnDrop>,
    sender: mpsc::Sender<(Address, Statement)>,
    receiver: mpsc::Receiver<(Address, Statement)>,
}

impl Statements {
    /// Of nobody as yet, for the replica `origin`.
    pub fn new(runtime: Runtime, origin: Origin) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self { runtime, origin, asking: BTreeMap::new(), sender, receiver }
    }

    /// From now on these are asked. A statement of another one may still be under way.
    pub fn ask(&mut self, replicas: &BTreeSet<Address>) {
        self.asking.retain(|address, _| replicas.contains(address));
        for address in replicas {
            if !self.asking.contains_key(address) {
                let asking = keep_asking(
                    self.runtime.clone(),
                    self.origin.clone(),
                    address.clone(),
                    self.sender.clone(),
                );
                let task = self.runtime.spawn("replicated log statements", asking);
                self.asking.insert(address.clone(), task.abort_on_drop());
            }
        }
    }

    /// What somebody says; pending while nobody answers. Nothing is lost when it is dropped.
    pub async fn next(&mut self) -> (Address, Statement) {
        match self.receiver.recv().await {
            Some(heard) => heard,
            // The own sender is there for as long as this is.
            None => std::future::pending().await,
        }
    }
}

async fn keep_asking(
    runtime: Runtime,
    origin: Origin,
    to: Address,
    sender: mpsc::Sender<(Address, Statement)>,
) {
    loop {
        let statement = ask(&runtime, &origin, &to).await;
        let content = statement.as_ref().is_some_and(|said| {
            said.cluster == origin.cluster && said.state == orrery_log::ReplicaState::Voting
        });
        if let Some(statement) = statement
            && sender.send((to.clone(), statement)).await.is_err()
        {
            return;
        }
        runtime.sleep(if content { CONTENT } else { EAGER }).await;
    }
}
