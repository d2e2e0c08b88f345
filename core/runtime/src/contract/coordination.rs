//! Promises of [`crate::Coordination`], to be kept by an ensemble of three servers that are killed,
//! stopped and cut off, real or simulated.

mod player;
mod random;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::finish;
use crate::coordination::{
    Access, Answer, Change, Coordination, CreateMode, Credentials, Happening, Request,
    RequestError, Session, SessionOptions,
};
use crate::{Address, BoxFuture, Generator, Runtime};
use player::Player;
use reference::{Reference, essence};

pub use random::check as check_random;

/// What goes wrong with a server, or is set right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// Its process is gone.
    Kill(usize),
    /// Its process stops.
    Stop(usize),
    /// Nothing travels between it and the clients of [`Servers::addresses`].
    Cut(usize),
}

/// An ensemble in the hands of a test.
pub trait Servers: Send {
    /// Where clients that can be cut off connect to.
    fn addresses(&self) -> Vec<Address>;

    /// A client that is never cut off, and where it connects to.
    fn outside(&self) -> (Runtime, Arc<dyn Coordination>, Vec<Address>);

    /// The time-out of sessions.
    fn timeout(&self) -> Duration;

    /// Has something go wrong.
    fn inject(&mut self, fault: ServerFault) -> BoxFuture<'_, ()>;

    /// Sets everything right and waits until all servers answer.
    fn mend(&mut self) -> BoxFuture<'_, ()>;
}

/// Checks what needs no luck: nodes, watches, the end of sessions.
///
/// # Panics
/// Where a promise is broken.
pub async fn check(
    runtime: &Runtime,
    coordination: &Arc<dyn Coordination>,
    servers: &mut dyn Servers,
) {
    sessions_move_between_servers(runtime, coordination, servers).await;
    closing_takes_nodes_along(runtime, coordination, servers).await;
    who_is_cut_off_knows_first(runtime, coordination, servers).await;
}

fn create(path: &str, mode: CreateMode) -> Request {
    let access = Access::Open;
    Request::Create { path: path.to_owned(), data: Bytes::from_static(b"data"), mode, access }
}

fn exists(path: &str) -> Request {
    Request::Exists { path: path.to_owned(), watch: true }
}

/// Whatever server dies, the session, its nodes and its watches live on.
async fn sessions_move_between_servers(
    runtime: &Runtime,
    coordination: &Arc<dyn Coordination>,
    servers: &mut dyn Servers,
) {
    let timeout = servers.timeout();
    let mut player = Player::open(runtime, coordination, &servers.addresses(), timeout).await;
    let node = "/contract-moving";
    let made = player.ask(&create(node, CreateMode::Ephemeral)).await;
    assert_eq!(made, Ok(Answer::Created(node.to_owned())));
    player.ask(&exists(node)).await.expect("is there");
    for server in 0..3 {
        servers.inject(ServerFault::Kill(server)).await;
        let seen = loop {
            player.settle().await;
            assert!(!player.expired, "the session ended with server {server}");
            match player.ask(&Request::Exists { path: node.to_owned(), watch: false }).await {
                Ok(seen) => break seen,
                Err(error) => assert!(error.is_passing(), "{error}"),
            }
        };
        assert!(matches!(seen, Answer::Exists(Some(_))), "{seen:?}");
        servers.mend().await;
    }
    let remove = Request::Delete { path: node.to_owned(), version: None };
    player.settle().await;
    assert_eq!(player.ask(&remove).await, Ok(Answer::Deleted));
    assert_eq!(player.told(1).await, [(node.to_owned(), Change::Deleted)]);
    player.close().await;
}

async fn closing_takes_nodes_along(
    runtime: &Runtime,
    coordination: &Arc<dyn Coordination>,
    servers: &mut dyn Servers,
) {
    let timeout = servers.timeout();
    let addresses = servers.addresses();
    let mut first = Player::open(runtime, coordination, &addresses, timeout).await;
    let mut second = Player::open(runtime, coordination, &addresses, timeout).await;
    let node = "/contract-closing";
    first.ask(&create(node, CreateMode::Ephemeral)).await.expect("makes it");
    assert!(matches!(second.ask(&exists(node)).await, Ok(Answer::Exists(Some(_)))));
    first.close().await;
    assert_eq!(second.told(1).await, [(node.to_owned(), Change::Deleted)]);
    second.close().await;
}

/// The end of a session is known to who is cut off before its node goes.
async fn who_is_cut_off_knows_first(
    runtime: &Runtime,
    coordination: &Arc<dyn Coordination>,
    servers: &mut dyn Servers,
) {
    let (outer, observer, addresses) = servers.outside();
    let timeout = servers.timeout();
    let mut player = Player::open(runtime, coordination, &servers.addresses(), timeout).await;
    let mut observer = Player::open(&outer, &observer, &addresses, timeout).await;
    let node = "/contract-cut-off";
    player.ask(&create(node, CreateMode::Ephemeral)).await.expect("makes it");
    assert!(matches!(observer.ask(&exists(node)).await, Ok(Answer::Exists(Some(_)))));
    for server in 0..3 {
        servers.inject(ServerFault::Cut(server)).await;
    }
    tokio::select! {
        biased;
        () = player.expire() => {}
        told = observer.told(1) => panic!("{told:?} before the session was known to be over"),
    }
    assert_eq!(observer.told(1).await, [(node.to_owned(), Change::Deleted)]);
    servers.mend().await;
    observer.close().await;
}

/// Checks that a node of a user can be changed by nobody else.
///
/// # Panics
/// Where a promise is broken.
pub async fn check_access(
    runtime: &Runtime,
    coordination: &Arc<dyn Coordination>,
    servers: &[Address],
) {
    let open = async |credentials: &str| {
        let mut session = coordination.open(SessionOptions {
            servers: servers.to_vec(),
            timeout: Duration::from_secs(4),
            credentials: Some(Credentials::new(credentials)),
        });
        let first = finish(runtime, "connecting", session.next()).await;
        assert!(matches!(first, Some(Happening::Connected { .. })), "{first:?}");
        session
    };
    let (mut owner, mut other) = (open("mesos:secret").await, open("mesos:wrong").await);
    let (group, node) = ("/contract-access", "/contract-access/node");
    let access = Access::ReadAllCreatorAll;
    let mode = CreateMode::Persistent;
    let make = Request::Create { path: group.to_owned(), data: Bytes::new(), mode, access };
    let made = answer(runtime, &mut owner, make).await;
    assert_eq!(made, Ok(Answer::Created(group.to_owned())));
    let synced = answer(runtime, &mut other, Request::Sync { path: group.to_owned() }).await;
    assert_eq!(synced, Ok(Answer::Synced));
    let list = Request::Children { path: group.to_owned(), watch: false };
    assert_eq!(answer(runtime, &mut other, list).await, Ok(Answer::Children(Vec::new())));
    let make = create(node, CreateMode::Ephemeral);
    assert_eq!(answer(runtime, &mut other, make.clone()).await, Err(RequestError::NotAllowed));
    assert_eq!(answer(runtime, &mut owner, make).await, Ok(Answer::Created(node.to_owned())));
    finish(runtime, "closing", owner.close()).await;
    finish(runtime, "closing", other.close()).await;
}

/// Asks while there is a connection.
async fn answer(
    runtime: &Runtime,
    session: &mut Session,
    request: Request,
) -> Result<Answer, RequestError> {
    session.request(0, request).await.expect("the session lives");
    match finish(runtime, "an answer", session.next()).await {
        Some(Happening::Answered { answer, .. }) => answer,
        other => panic!("{other:?} instead of an answer"),
    }
}
