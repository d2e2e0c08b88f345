//! What the service must answer and tell, in the order in which it was asked: a tree as small as
//! the promise itself.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::coordination::{Answer, Change, CreateMode, Request, RequestError, Stat};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    data: Bytes,
    version: i32,
    owner: i64,
    made: i32,
}

/// The nodes below one root, by their paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference(BTreeMap<String, Node>);

type Outcome = Result<Answer, RequestError>;

impl Reference {
    /// With `root` alone.
    pub(super) fn new(root: &str) -> Self {
        let node = Node { data: Bytes::new(), version: 0, owner: 0, made: 0 };
        Self(BTreeMap::from([(root.to_owned(), node)]))
    }

    /// Whether there is such a node.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn node(&self, path: &str) -> Result<&Node, RequestError> {
        self.0.get(path).ok_or(RequestError::NoNode)
    }

    fn children(&self, path: &str) -> Vec<String> {
        let child = |other: &String| {
            let name = other.strip_prefix(path)?.strip_prefix('/')?;
            (!name.contains('/')).then(|| name.to_owned())
        };
        self.0.keys().filter_map(child).collect()
    }

    fn stat(&self, path: &str) -> Result<Stat, RequestError> {
        let node = self.node(path)?;
        let children = self.children(path).len() as i32;
        Ok(Stat {
            version: node.version,
            children_version: node.made * 2 - children,
            ephemeral_owner: node.owner,
            data_length: node.data.len() as i32,
            children,
            ..Stat::default()
        })
    }

    /// The answer to a request of a session, without the numbers of transactions, and what it
    /// changes, in the order in which watches are told.
    pub(super) fn ask(
        &mut self,
        session: i64,
        request: &Request,
    ) -> (Outcome, Vec<(String, Change)>) {
        let mut changes = Vec::new();
        let answer = self.answer(session, request, &mut changes);
        (answer, changes)
    }

    fn answer(
        &mut self,
        session: i64,
        request: &Request,
        changes: &mut Vec<(String, Change)>,
    ) -> Outcome {
        match request {
            Request::Create { path, data, mode, .. } => {
                let path = self.create(session, path, data, *mode)?;
                changes.push((path.clone(), Change::Created));
                changes.push((parent(&path).to_owned(), Change::Children));
                Ok(Answer::Created(path))
            }
            Request::Delete { path, version } => {
                let node = self.node(path)?;
                if version.is_some_and(|version| version != node.version) {
                    return Err(RequestError::BadVersion);
                }
                if !self.children(path).is_empty() {
                    return Err(RequestError::NotEmpty);
                }
                self.remove(path, changes);
                Ok(Answer::Deleted)
            }
            Request::Set { path, data, version } => {
                let node = self.0.get_mut(path).ok_or(RequestError::NoNode)?;
                if version.is_some_and(|version| version != node.version) {
                    return Err(RequestError::BadVersion);
                }
                node.data = data.clone();
                node.version += 1;
                changes.push((path.clone(), Change::Data));
                self.stat(path).map(Answer::Set)
            }
            Request::Exists { path, .. } => Ok(Answer::Exists(self.stat(path).ok())),
            Request::Get { path, .. } => {
                Ok(Answer::Data(self.node(path)?.data.clone(), self.stat(path)?))
            }
            Request::Children { path, .. } => {
                self.node(path)?;
                Ok(Answer::Children(self.children(path)))
            }
            Request::Sync { .. } => Ok(Answer::Synced),
        }
    }

    fn create(
        &mut self,
        session: i64,
        path: &str,
        data: &Bytes,
        mode: CreateMode,
    ) -> Result<String, RequestError> {
        let above = self.0.get(parent(path)).ok_or(RequestError::NoNode)?;
        let sequential =
            matches!(mode, CreateMode::PersistentSequential | CreateMode::EphemeralSequential);
        let number = if sequential { format!("{:010}", above.made) } else { String::new() };
        let path = format!("{path}{number}");
        if self.0.contains_key(&path) {
            return Err(RequestError::NodeExists);
        }
        if above.owner != 0 {
            return Err(RequestError::EphemeralParent);
        }
        let ephemeral = matches!(mode, CreateMode::Ephemeral | CreateMode::EphemeralSequential);
        let owner = if ephemeral { session } else { 0 };
        self.0.insert(path.clone(), Node { data: data.clone(), version: 0, owner, made: 0 });
        if let Some(above) = self.0.get_mut(parent(&path)) {
            above.made += 1;
        }
        Ok(path)
    }

    fn remove(&mut self, path: &str, changes: &mut Vec<(String, Change)>) {
        self.0.remove(path);
        changes.push((path.to_owned(), Change::Deleted));
        changes.push((parent(path).to_owned(), Change::Children));
    }

    /// The session is over: its nodes are gone.
    pub(super) fn end(&mut self, session: i64) -> Vec<(String, Change)> {
        let ours = self.0.iter().filter(|(_, node)| node.owner == session);
        let ours: Vec<String> = ours.map(|(path, _)| path.clone()).collect();
        let mut changes = Vec::new();
        for path in ours {
            self.remove(&path, &mut changes);
        }
        changes
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// An answer without what the reference does not know.
pub(super) fn essence(answer: Outcome) -> Outcome {
    let bare = |stat: Stat| Stat { created: 0, modified: 0, ..stat };
    answer.map(|answer| match answer {
        Answer::Exists(stat) => Answer::Exists(stat.map(bare)),
        Answer::Data(data, stat) => Answer::Data(data, bare(stat)),
        Answer::Set(stat) => Answer::Set(bare(stat)),
        other => other,
    })
}
