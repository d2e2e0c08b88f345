//! A session under test: what it was told, and whether it was told that in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::finish;
use crate::coordination::{
    Answer, Change, Coordination, Happening, Request, RequestError, Session, SessionOptions,
};
use crate::{Address, Runtime};

/// What kind of change a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Node,
    Children,
}

/// One session and all that is expected of it.
pub(super) struct Player {
    runtime: Runtime,
    session: Session,
    /// Its number; known once it was connected.
    pub(super) number: i64,
    pub(super) connected: bool,
    pub(super) expired: bool,
    token: u64,
    watches: BTreeSet<(String, Kind)>,
    /// What it was told of and nobody has looked at yet.
    told: Vec<(String, Change)>,
}

impl Player {
    /// Begins a session and waits until it stands.
    pub(super) async fn open(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        servers: &[Address],
        timeout: Duration,
    ) -> Self {
        let options = SessionOptions { servers: servers.to_vec(), timeout, credentials: None };
        let mut player = Self {
            runtime: runtime.clone(),
            session: coordination.open(options),
            number: 0,
            connected: false,
            expired: false,
            token: 0,
            watches: BTreeSet::new(),
            told: Vec::new(),
        };
        while !player.connected {
            player.hear("connecting").await;
        }
        player
    }

    /// Hears the next thing; gives back the answer if it is one.
    async fn hear(&mut self, what: &str) -> Option<Result<Answer, RequestError>> {
        let happening = finish(&self.runtime, what, self.session.next()).await;
        assert!(!self.expired || happening.is_none(), "after the end: {happening:?}");
        match happening {
            Some(Happening::Connected { session, timeout }) => {
                assert!(!self.connected, "connected twice");
                assert!(self.number == 0 || self.number == session, "another session");
                assert!(!timeout.is_zero());
                (self.connected, self.number) = (true, session);
            }
            Some(Happening::Disconnected) => {
                assert!(std::mem::take(&mut self.connected), "disconnected twice");
            }
            Some(Happening::Expired) => (self.connected, self.expired) = (false, true),
            Some(Happening::Refused) => panic!("refused without credentials"),
            Some(Happening::Watched { path, change }) => self.watched(path, change),
            Some(Happening::Answered { token, answer }) => {
                assert_eq!(token, self.token, "an answer out of turn");
                return Some(answer);
            }
            None => self.expired = true,
        }
        None
    }

    fn watched(&mut self, path: String, change: Change) {
        let node = change != Change::Children && self.watches.remove(&(path.clone(), Kind::Node));
        let children = matches!(change, Change::Children | Change::Deleted)
            && self.watches.remove(&(path.clone(), Kind::Children));
        assert!(node || children, "told of {change:?} of '{path}' without a watch");
        self.told.push((path, change));
    }

    /// Asks and waits for the answer, which counts all that was written before.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Answer, RequestError> {
        if matches!(
            request,
            Request::Exists { .. } | Request::Get { .. } | Request::Children { .. }
        ) {
            self.put(&Request::Sync { path: "/".to_owned() }).await?;
        }
        let answer = self.put(request).await;
        match (request, &answer) {
            (Request::Exists { path, watch: true }, Ok(_))
            | (Request::Get { path, watch: true }, Ok(_)) => {
                self.watches.insert((path.clone(), Kind::Node));
            }
            (Request::Children { path, watch: true }, Ok(_)) => {
                self.watches.insert((path.clone(), Kind::Children));
            }
            _ => {}
        }
        answer
    }

    async fn put(&mut self, request: &Request) -> Result<Answer, RequestError> {
        self.token += 1;
        if self.session.request(self.token, request.clone()).await.is_err() {
            self.expire().await;
            return Err(RequestError::SessionOver);
        }
        loop {
            if let Some(answer) = self.hear("an answer").await {
                return answer;
            }
            if self.expired {
                return Err(RequestError::SessionOver);
            }
        }
    }

    /// What the changes must make it be told, by the watches that it has: each watch once.
    pub(super) fn expected(&self, changes: &[(String, Change)]) -> Vec<(String, Change)> {
        let mut watches = self.watches.clone();
        let mut expected = Vec::new();
        for (path, change) in changes {
            let node = *change != Change::Children && watches.remove(&(path.clone(), Kind::Node));
            let children = matches!(change, Change::Children | Change::Deleted)
                && watches.remove(&(path.clone(), Kind::Children));
            if node || children {
                expected.push((path.clone(), *change));
            }
        }
        expected
    }

    /// Waits until it was told of so many changes, and takes them.
    pub(super) async fn told(&mut self, count: usize) -> Vec<(String, Change)> {
        while self.told.len() < count {
            assert!(self.hear("a watch").await.is_none(), "an answer to nothing");
            assert!(!self.expired, "expired instead of being told of a change");
        }
        std::mem::take(&mut self.told)
    }

    /// What it was told of without being waited for.
    pub(super) fn take_told(&mut self) -> Vec<(String, Change)> {
        std::mem::take(&mut self.told)
    }

    /// Waits until a server has told it all that happened so far, or until it is over.
    pub(super) async fn settle(&mut self) {
        while !self.expired {
            if !self.connected {
                self.hear("a connection").await;
            } else if self.put(&Request::Sync { path: "/".to_owned() }).await.is_ok() {
                return;
            }
        }
    }

    /// Waits until it is over.
    pub(super) async fn expire(&mut self) {
        while !self.expired {
            self.hear("the end of a session").await;
        }
    }

    /// Ends it.
    pub(super) async fn close(self) {
        finish(&self.runtime, "closing", self.session.close()).await;
    }
}
