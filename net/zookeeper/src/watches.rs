//! The watches of one session, so that another server can be told of them.

use std::collections::BTreeSet;

use orrery_runtime::coordination::{Answer, Change, Request, RequestError};

use crate::records::SetWatches;

/// What a session waits to be told of.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    data: BTreeSet<String>,
    exists: BTreeSet<String>,
    children: BTreeSet<String>,
}

impl Watches {
    /// Remembers what `request` asked to watch, now that it was answered. Before the answer nobody
    /// knows whether the server has heard of it.
    pub(crate) fn answered(&mut self, request: &Request, answer: &Result<Answer, RequestError>) {
        let (paths, path) = match (request, answer) {
            (Request::Exists { path, watch: true }, Ok(Answer::Exists(None))) => {
                (&mut self.exists, path)
            }
            (Request::Exists { path, watch: true } | Request::Get { path, watch: true }, Ok(_)) => {
                (&mut self.data, path)
            }
            (Request::Children { path, watch: true }, Ok(_)) => (&mut self.children, path),
            _ => return,
        };
        paths.insert(path.clone());
    }

    /// Forgets what is told by a change. False when nobody waits for it, as when two servers tell
    /// of the same change.
    pub(crate) fn told(&mut self, path: &str, change: Change) -> bool {
        let data = matches!(change, Change::Created | Change::Data | Change::Deleted)
            && (self.data.remove(path) | self.exists.remove(path));
        let children =
            matches!(change, Change::Children | Change::Deleted) && self.children.remove(path);
        data || children
    }

    /// What to tell a server that does not know the session's watches; `None` without any.
    pub(crate) fn renewal(&self, since: i64) -> Option<SetWatches> {
        let paths = |paths: &BTreeSet<String>| paths.iter().cloned().collect::<Vec<_>>();
        let renewal = SetWatches {
            since,
            data: paths(&self.data),
            exists: paths(&self.exists),
            children: paths(&self.children),
        };
        let none = self.data.is_empty() && self.exists.is_empty() && self.children.is_empty();
        (!none).then_some(renewal)
    }
}
