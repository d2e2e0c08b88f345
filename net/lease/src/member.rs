//! A member: its machine, running.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use orrery_api::lease as message;
use orrery_http::{Body, Client, Response as HttpResponse, respond};
use orrery_lease::{Elector, Input, Timing};
use orrery_runtime::machine::Driver;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, BoxFuture, Runtime};
use prost::Message;
use tokio::sync::mpsc;

use crate::carrier::{PATH, Shared};
use crate::message::{decode_request, encode_response};
use crate::vote_file::{VoteFile, VoteFileError};

/// How many inputs may wait for the machine.
const INPUT_QUEUE: usize = 256;

/// Longest question that is read, in bytes.
const QUESTION_BYTES: usize = 64 << 10;

/// Pause before a vote that could not be stored is stored again.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// Pause between two looks at what is under way.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Settings of a member.
#[derive(Clone, Debug)]
pub struct Options {
    /// All members in an order that is the same everywhere, this one among them.
    pub peers: Vec<Address>,
    /// Which of them this one is.
    pub me: usize,
    /// Folder for the vote.
    pub folder: PathBuf,
    /// The times of the election; the same everywhere.
    pub timing: Timing,
}

/// What a member tells its owner, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It leads.
    Elected {
        /// In this term.
        term: u64,
    },
    /// It leads no more.
    Deposed,
    /// Who leads, as far as it knows.
    Leader(Option<Address>),
}

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
#[error("the vote of this master cannot be read: {0}")]
pub struct StartError(String);

impl From<VoteFileError> for StartError {
    fn from(error: VoteFileError) -> Self {
        Self(error.to_string())
    }
}

/// A running member. Dropping the last clone stops it without a word to the others.
#[derive(Clone)]
pub struct Member {
    shared: Arc<Shared>,
    _tasks: Arc<Vec<AbortOnDrop>>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Member({} of {})", self.shared.me, self.shared.members)
    }
}

impl Member {
    /// Takes part in the election from now on. Its owner passes the requests on for which
    /// [`Member::handles`] is true.
    ///
    /// # Errors
    /// The vote that it gave last cannot be read.
    pub async fn start(
        runtime: Runtime,
        options: Options,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Event>), StartError> {
        let (file, durable) = VoteFile::open(&runtime, &options.folder).await?;
        let machine_options = orrery_lease::Options {
            timing: options.timing,
            ..orrery_lease::Options::new(options.me, options.peers.len())
        };
        let generator = runtime.random.generator();
        let elector = Elector::new(machine_options, durable, generator, runtime.now());
        let (driver, feeder) = Driver::new(elector, INPUT_QUEUE);
        let (events, receiver) = mpsc::unbounded_channel();
        let (vote_is_there, votes) = mpsc::channel(1);
        let members: Vec<String> = options.peers.iter().map(Address::to_string).collect();
        let answer_time = options.timing.lease;
        let shared = Arc::new(Shared {
            runtime: runtime.clone(),
            me: options.me,
            peers: options.peers,
            members: members.join(","),
            feeder: feeder.clone(),
            client: Client::new(runtime.clone()).with_connect_time(answer_time),
            answer_time,
            questions: Mutex::default(),
            under_way: AtomicUsize::new(0),
            silent: Mutex::default(),
            refusals: Mutex::default(),
            events,
            vote: Mutex::default(),
            vote_is_there,
        });
        let carrier = Arc::clone(&shared);
        let driving = driver.run(runtime.clone(), move |output| {
            carrier.carry(output);
            std::ops::ControlFlow::Continue(())
        });
        let elector = runtime.spawn("elector", async move { drop(driving.await) });
        let storing = store_votes(Arc::clone(&shared), file, votes);
        let store = runtime.spawn("votes", storing);
        let tasks = vec![elector.abort_on_drop(), store.abort_on_drop()];
        Ok((Self { shared, _tasks: Arc::new(tasks) }, receiver))
    }

    /// Stops leading, if it leads, and lets another one lead at once. Returns when the others have
    /// been told, as far as they can be reached.
    pub async fn resign(&self) {
        let shared = &self.shared;
        // A stopping member leads no more.
        let _ = shared.feeder.feed(Input::Resign).await;
        let told = async {
            // What the machine wanted said is under way once it can be looked at.
            let _ = shared.feeder.inspect(|_| ()).await;
            while shared.under_way.load(Ordering::Relaxed) > 0 {
                shared.runtime.sleep(LOOK_AGAIN).await;
            }
        };
        let _ = shared.runtime.timeout(shared.answer_time, told).await;
    }

    /// Whether a request to `path` is the election's.
    pub fn handles(path: &str) -> bool {
        path == PATH
    }

    /// Answers another member.
    pub fn call(&self, request: orrery_http::Request) -> BoxFuture<'static, HttpResponse> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { answer(&shared, request).await })
    }
}

async fn answer(shared: &Shared, request: orrery_http::Request) -> HttpResponse {
    if request.method() != Method::POST {
        return respond::method_not_allowed(&[Method::POST], request.method());
    }
    let refuse = |error: String| respond::text(StatusCode::BAD_REQUEST, error);
    let body = match request.into_body().collect(QUESTION_BYTES).await {
        Ok(body) => body,
        Err(error) => return refuse(error.to_string()),
    };
    let question = match message::Request::decode(body) {
        Ok(question) => question,
        Err(error) => return refuse(format!("the body is no orrery.lease.v1.Request: {error}")),
    };
    let count = shared.peers.len();
    match decode_request(question, &shared.members, shared.me, count) {
        Ok((from, asked)) => match shared.ask_machine(from, asked).await {
            Some(response) => {
                let body = encode_response(response).encode_to_vec();
                HttpResponse::new(orrery_http::body::full(body) as Body)
            }
            None => respond::text(StatusCode::SERVICE_UNAVAILABLE, "the master is stopping"),
        },
        Err(refused) => {
            let refused = refused.to_string();
            shared.note_refusal(&refused);
            refuse(refused)
        }
    }
}

/// Stores votes. One that cannot be stored is not given: it is tried again until it can, or another
/// one has taken its place.
async fn store_votes(shared: Arc<Shared>, file: VoteFile, mut votes: mpsc::Receiver<()>) {
    while votes.recv().await.is_some() {
        while let Some(durable) = shared.take_vote() {
            if let Err(error) = file.store(durable).await {
                tracing::error!(%error, "a vote cannot be stored");
                shared.runtime.sleep(STORE_AGAIN).await;
                shared.put_back(durable);
            } else if shared.feeder.feed(Input::Stored(durable)).await.is_err() {
                return;
            }
        }
    }
}
