//! The tree of nodes as one server holds it, and the transactions that change it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use orrery_runtime::coordination::{Access, Answer, Change, CreateMode, Request, Stat};
use orrery_zookeeper::records::code;

use super::EnsembleNode;

/// A change that the leader has found possible. Every server applies it to its tree.
#[derive(Clone, Debug)]
pub(super) enum Transaction {
    OpenSession {
        session: i64,
        timeout: u64,
        password: Bytes,
    },
    CloseSession {
        session: i64,
    },
    Create {
        path: String,
        data: Bytes,
        ephemeral_owner: i64,
        user: Option<Bytes>,
    },
    Delete {
        path: String,
    },
    Set {
        path: String,
        data: Bytes,
    },
    SetSequence {
        path: String,
        next: i32,
    },
    /// A request that failed. It has a place in the order of all things nevertheless.
    Nothing,
}

/// A session, as all servers know it.
#[derive(Clone, Debug)]
pub(super) struct SessionRecord {
    pub(super) timeout: u64,
    pub(super) password: Bytes,
}

#[derive(Clone, Debug, Default)]
struct Node {
    data: Bytes,
    created: i64,
    modified: i64,
    version: i32,
    /// Children ever made. It numbers sequential nodes, and goes on below zero after 2^31 - 1.
    made: i32,
    ephemeral_owner: i64,
    children: BTreeSet<String>,
    /// The transaction in which a child last came or went.
    children_changed: i64,
    /// Who alone may change it.
    user: Option<Bytes>,
}

impl Node {
    fn stat(&self) -> Stat {
        let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
        Stat {
            created: self.created,
            modified: self.modified,
            version: self.version,
            children_version: self.made.wrapping_mul(2).wrapping_sub(count(self.children.len())),
            ephemeral_owner: self.ephemeral_owner,
            data_length: count(self.data.len()),
            children: count(self.children.len()),
        }
    }

    fn admits(&self, users: &BTreeSet<Bytes>) -> bool {
        self.user.as_ref().is_none_or(|user| users.contains(user))
    }
}

/// Who asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    pub(super) session: i64,
    /// What it has shown of itself: each a `user:password`.
    pub(super) users: BTreeSet<Bytes>,
}

/// A tree after some transaction.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    pub(super) sessions: BTreeMap<i64, SessionRecord>,
    pub(super) zxid: i64,
}

impl Tree {
    /// With the root alone.
    pub(super) fn new() -> Self {
        let nodes = BTreeMap::from([("/".to_owned(), Node::default())]);
        Self { nodes, sessions: BTreeMap::new(), zxid: 0 }
    }

    /// What a writing request comes to, in the state of all transactions so far.
    pub(super) fn prepare(&self, client: &Client, request: &Request) -> Result<Transaction, i32> {
        match request {
            Request::Create { path, data, mode, access } => {
                self.prepare_create(client, path, data, *mode, *access)
            }
            Request::Delete { path, version } => {
                let node = self.node(path)?;
                if path == "/" {
                    return Err(code::BAD_ARGUMENTS);
                }
                if !self.node(parent_of(path))?.admits(&client.users) {
                    return Err(code::NO_AUTH);
                }
                if version.is_some_and(|version| version != node.version) {
                    return Err(code::BAD_VERSION);
                }
                if !node.children.is_empty() {
                    return Err(code::NOT_EMPTY);
                }
                Ok(Transaction::Delete { path: path.clone() })
            }
            Request::Set { path, data, version } => {
                let node = self.node(path)?;
                if !node.admits(&client.users) {
                    return Err(code::NO_AUTH);
                }
                if version.is_some_and(|version| version != node.version) {
                    return Err(code::BAD_VERSION);
                }
                Ok(Transaction::Set { path: path.clone(), data: data.clone() })
            }
            _ => Ok(Transaction::Nothing),
        }
    }

    fn prepare_create(
        &self,
        client: &Client,
        path: &str,
        data: &Bytes,
        mode: CreateMode,
        access: Access,
    ) -> Result<Transaction, i32> {
        let sequential =
            matches!(mode, CreateMode::PersistentSequential | CreateMode::EphemeralSequential);
        // A sequential node may be called by its number alone.
        let probe = if sequential { format!("{path}0") } else { path.to_owned() };
        if !is_valid(&probe) {
            return Err(code::BAD_ARGUMENTS);
        }
        let user = match access {
            Access::Open => None,
            Access::ReadAllCreatorAll => {
                Some(client.users.first().cloned().ok_or(code::INVALID_ACL)?)
            }
        };
        let parent = self.node(parent_of(&probe))?;
        if !parent.admits(&client.users) {
            return Err(code::NO_AUTH);
        }
        let number = if sequential { format!("{:010}", parent.made) } else { String::new() };
        let path = format!("{path}{number}");
        if self.nodes.contains_key(&path) {
            return Err(code::NODE_EXISTS);
        }
        if parent.ephemeral_owner != 0 {
            return Err(code::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let ephemeral = matches!(mode, CreateMode::Ephemeral | CreateMode::EphemeralSequential);
        let ephemeral_owner = if ephemeral { client.session } else { 0 };
        Ok(Transaction::Create { path, data: data.clone(), ephemeral_owner, user })
    }

    /// Applies the next transaction, and says what watches on which nodes are to be told, in order.
    pub(super) fn apply(&mut self, transaction: &Transaction, zxid: i64) -> Vec<(String, Change)> {
        self.zxid = zxid;
        match transaction {
            Transaction::OpenSession { session, timeout, password } => {
                let record = SessionRecord { timeout: *timeout, password: password.clone() };
                self.sessions.insert(*session, record);
                Vec::new()
            }
            Transaction::CloseSession { session } => {
                self.sessions.remove(session);
                self.ephemerals(*session).iter().flat_map(|path| self.delete(path)).collect()
            }
            Transaction::Create { path, data, ephemeral_owner, user } => {
                let node = Node {
                    data: data.clone(),
                    created: zxid,
                    modified: zxid,
                    children_changed: zxid,
                    ephemeral_owner: *ephemeral_owner,
                    user: user.clone(),
                    ..Node::default()
                };
                self.nodes.insert(path.clone(), node);
                let parent = parent_of(path).to_owned();
                if let Some(node) = self.nodes.get_mut(&parent) {
                    node.made = node.made.wrapping_add(1);
                    node.children.insert(name_of(path).to_owned());
                    node.children_changed = zxid;
                }
                vec![(path.clone(), Change::Created), (parent, Change::Children)]
            }
            Transaction::Delete { path } => self.delete(path),
            Transaction::Set { path, data } => {
                let Some(node) = self.nodes.get_mut(path) else { return Vec::new() };
                node.data = data.clone();
                node.modified = zxid;
                node.version = node.version.wrapping_add(1);
                vec![(path.clone(), Change::Data)]
            }
            Transaction::SetSequence { path, next } => {
                if let Some(node) = self.nodes.get_mut(path) {
                    node.made = *next;
                }
                Vec::new()
            }
            Transaction::Nothing => Vec::new(),
        }
    }

    fn delete(&mut self, path: &str) -> Vec<(String, Change)> {
        let parent = parent_of(path).to_owned();
        self.nodes.remove(path);
        if let Some(node) = self.nodes.get_mut(&parent) {
            node.children.remove(name_of(path));
            node.children_changed = self.zxid;
        }
        vec![(path.to_owned(), Change::Deleted), (parent, Change::Children)]
    }

    /// The answer to a reading request, or to a writing one that was just applied.
    pub(super) fn answer(&self, request: &Request, applied: &Transaction) -> Result<Answer, i32> {
        Ok(match (request, applied) {
            (_, Transaction::Create { path, .. }) => Answer::Created(path.clone()),
            (Request::Exists { path, .. }, _) => Answer::Exists(Some(self.node(path)?.stat())),
            (Request::Get { path, .. }, _) => {
                let node = self.node(path)?;
                Answer::Data(node.data.clone(), node.stat())
            }
            (Request::Children { path, .. }, _) => {
                Answer::Children(self.node(path)?.children.iter().cloned().collect())
            }
            (Request::Set { path, .. }, _) => Answer::Set(self.node(path)?.stat()),
            (Request::Sync { .. }, _) => Answer::Synced,
            _ => Answer::Deleted,
        })
    }

    fn node(&self, path: &str) -> Result<&Node, i32> {
        self.nodes.get(path).ok_or(code::NO_NODE)
    }

    /// What changed of a watched node since `since`, for a client that comes from another server.
    pub(super) fn missed(&self, path: &str, watch: Renewed, since: i64) -> Option<Change> {
        match (self.nodes.get(path), watch) {
            (None, Renewed::Data | Renewed::Children) => Some(Change::Deleted),
            (None, Renewed::Exists) => None,
            (Some(_), Renewed::Exists) => Some(Change::Created),
            (Some(node), Renewed::Data) => (node.modified > since).then_some(Change::Data),
            (Some(node), Renewed::Children) => {
                (node.children_changed > since).then_some(Change::Children)
            }
        }
    }

    /// The nodes that live as long as a session.
    pub(super) fn ephemerals(&self, session: i64) -> Vec<String> {
        let ours = self.nodes.iter().filter(|(_, node)| node.ephemeral_owner == session);
        ours.map(|(path, _)| path.clone()).collect()
    }

    /// The children of a node.
    pub(super) fn children(&self, path: &str) -> Vec<EnsembleNode> {
        let Some(node) = self.nodes.get(path) else { return Vec::new() };
        let child = |name: &String| {
            let child = self.nodes.get(&join(path, name))?;
            Some(EnsembleNode {
                name: name.clone(),
                data: child.data.clone(),
                session: child.ephemeral_owner,
                created: child.created,
            })
        };
        node.children.iter().filter_map(child).collect()
    }
}

/// What a watch that a client renews was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewed {
    Data,
    Exists,
    Children,
}

fn parent_of(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn join(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

fn is_valid(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let good = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    rest.split('/').all(good)
}
