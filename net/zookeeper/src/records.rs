//! The records of ZooKeeper's protocol, in both directions: the client writes what the simulated
//! server reads.

use bytes::Bytes;
use orrery_runtime::coordination::{
    Access, Answer, Change, CreateMode, Request, RequestError, Stat,
};

use crate::jute::{JuteError, Reader, Writer};

/// Numbers that stand for kinds of requests.
pub mod operation {
    /// Makes a node.
    pub const CREATE: i32 = 1;
    /// Removes a node.
    pub const DELETE: i32 = 2;
    /// Asks for a node.
    pub const EXISTS: i32 = 3;
    /// Reads a node.
    pub const GET: i32 = 4;
    /// Replaces a node's data.
    pub const SET: i32 = 5;
    /// Lists a node's children.
    pub const CHILDREN: i32 = 8;
    /// Catches up.
    pub const SYNC: i32 = 9;
    /// Says that the client lives.
    pub const PING: i32 = 11;
    /// Says who the client is.
    pub const AUTHENTICATE: i32 = 100;
    /// Renews watches after a reconnect.
    pub const SET_WATCHES: i32 = 101;
    /// Ends the session.
    pub const CLOSE: i32 = -11;
}

/// Numbers of answers that belong to no request of a caller.
pub mod xid {
    /// A watch.
    pub const WATCH: i32 = -1;
    /// The answer to a ping.
    pub const PING: i32 = -2;
    /// The answer to credentials.
    pub const AUTHENTICATE: i32 = -4;
    /// The answer to renewed watches.
    pub const SET_WATCHES: i32 = -8;
}

/// Codes of errors.
pub mod code {
    /// No error.
    pub const OK: i32 = 0;
    /// A request that makes no sense.
    pub const BAD_ARGUMENTS: i32 = -8;
    /// No such node.
    pub const NO_NODE: i32 = -101;
    /// Not allowed.
    pub const NO_AUTH: i32 = -102;
    /// Another version.
    pub const BAD_VERSION: i32 = -103;
    /// The parent is ephemeral.
    pub const NO_CHILDREN_FOR_EPHEMERALS: i32 = -108;
    /// There already.
    pub const NODE_EXISTS: i32 = -110;
    /// Has children.
    pub const NOT_EMPTY: i32 = -111;
    /// The session is over.
    pub const SESSION_EXPIRED: i32 = -112;
    /// An access that means nobody.
    pub const INVALID_ACL: i32 = -114;
    /// Credentials that are none.
    pub const AUTH_FAILED: i32 = -115;
    /// Another server has taken the session over.
    pub const SESSION_MOVED: i32 = -118;
}

/// The error that a code stands for; `None` for success.
pub const fn error_of(number: i32) -> Option<RequestError> {
    Some(match number {
        code::OK => return None,
        code::BAD_ARGUMENTS => RequestError::BadArguments,
        code::NO_NODE => RequestError::NoNode,
        code::NO_AUTH => RequestError::NotAllowed,
        code::BAD_VERSION => RequestError::BadVersion,
        code::NO_CHILDREN_FOR_EPHEMERALS => RequestError::EphemeralParent,
        code::NODE_EXISTS => RequestError::NodeExists,
        code::NOT_EMPTY => RequestError::NotEmpty,
        code::SESSION_EXPIRED => RequestError::SessionOver,
        code::INVALID_ACL => RequestError::InvalidAccess,
        other => RequestError::Other(other),
    })
}

/// The client's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The newest transaction that the client knows of: an older server must refuse it.
    pub last_zxid: i64,
    /// The wanted time-out, in milliseconds.
    pub timeout: i32,
    /// The session to go on with; 0 for a new one.
    pub session: i64,
    /// Its password.
    pub password: Bytes,
}

impl ConnectRequest {
    /// Writes it.
    pub fn frame(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.int(0);
        writer.long(self.last_zxid);
        writer.int(self.timeout);
        writer.long(self.session);
        writer.buffer(&self.password);
        writer.boolean(false);
        writer.frame()
    }

    /// Reads it.
    ///
    /// # Errors
    /// The frame is something else.
    pub fn read(frame: Bytes) -> Result<Self, JuteError> {
        let mut reader = Reader::new(frame);
        reader.int("protocol version")?;
        Ok(Self {
            last_zxid: reader.long("last zxid")?,
            timeout: reader.int("time-out")?,
            session: reader.long("session")?,
            password: reader.buffer("password")?,
        })
    }
}

/// The server's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// The time-out that holds, in milliseconds; 0 when the session is over.
    pub timeout: i32,
    /// The session; 0 when it is over.
    pub session: i64,
    /// What the client must show to go on with it.
    pub password: Bytes,
}

impl ConnectResponse {
    /// Writes it.
    pub fn frame(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.int(0);
        writer.int(self.timeout);
        writer.long(self.session);
        writer.buffer(&self.password);
        writer.boolean(false);
        writer.frame()
    }

    /// Reads it.
    ///
    /// # Errors
    /// The frame is something else.
    pub fn read(frame: Bytes) -> Result<Self, JuteError> {
        let mut reader = Reader::new(frame);
        reader.int("protocol version")?;
        Ok(Self {
            timeout: reader.int("time-out")?,
            session: reader.long("session")?,
            password: reader.buffer("password")?,
        })
    }
}

/// A frame of the client after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRecord {
    /// What a caller asked for.
    Request(Request),
    /// A sign of life.
    Ping,
    /// `user:password`.
    Authenticate(Bytes),
    /// Watches that the server may not know.
    SetWatches(SetWatches),
    /// The end of the session.
    Close,
}

/// Watches to renew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetWatches {
    /// What changed later than this transaction is to be told at once.
    pub since: i64,
    /// Nodes that are watched for changed data and for their end.
    pub data: Vec<String>,
    /// Nodes that were not there.
    pub exists: Vec<String>,
    /// Nodes whose children are watched.
    pub children: Vec<String>,
}

const SCHEME: &str = "digest";
const PERMISSION_READ: i32 = 1;
const PERMISSION_ALL: i32 = 31;

impl ClientRecord {
    /// Writes it, as the request of this number.
    pub fn frame(&self, number: i32) -> Bytes {
        let mut writer = Writer::default();
        writer.int(number);
        match self {
            Self::Request(request) => write_request(&mut writer, request),
            Self::Ping => writer.int(operation::PING),
            Self::Authenticate(credentials) => {
                writer.int(operation::AUTHENTICATE);
                writer.int(0);
                writer.text(SCHEME);
                writer.buffer(credentials);
            }
            Self::SetWatches(watches) => {
                writer.int(operation::SET_WATCHES);
                writer.long(watches.since);
                for paths in [&watches.data, &watches.exists, &watches.children] {
                    writer.list(paths, |writer, path| writer.text(path));
                }
            }
            Self::Close => writer.int(operation::CLOSE),
        }
        writer.frame()
    }

    /// Reads it, and its number. `None` instead of a record when its kind is not known.
    ///
    /// # Errors
    /// The frame is something else.
    pub fn read(frame: Bytes) -> Result<(i32, Option<Self>), JuteError> {
        let mut reader = Reader::new(frame);
        let number = reader.int("xid")?;
        let kind = reader.int("type")?;
        let record = match kind {
            operation::PING => Self::Ping,
            operation::CLOSE => Self::Close,
            operation::AUTHENTICATE => {
                reader.int("auth type")?;
                reader.text("scheme")?;
                Self::Authenticate(reader.buffer("auth")?)
            }
            operation::SET_WATCHES => {
                let since = reader.long("relative zxid")?;
                let mut paths = |field| reader.list(field, |reader| reader.text(field));
                Self::SetWatches(SetWatches {
                    since,
                    data: paths("data watches")?,
                    exists: paths("exist watches")?,
                    children: paths("child watches")?,
                })
            }
            _ => match read_request(kind, &mut reader)? {
                Some(request) => Self::Request(request),
                None => return Ok((number, None)),
            },
        };
        Ok((number, Some(record)))
    }
}

const fn flags(mode: CreateMode) -> i32 {
    match mode {
        CreateMode::Persistent => 0,
        CreateMode::Ephemeral => 1,
        CreateMode::PersistentSequential => 2,
        CreateMode::EphemeralSequential => 3,
    }
}

fn write_request(writer: &mut Writer, request: &Request) {
    let version = |version: &Option<i32>| version.unwrap_or(-1);
    match request {
        Request::Create { path, data, mode, access } => {
            writer.int(operation::CREATE);
            writer.text(path);
            writer.buffer(data);
            write_access(writer, *access);
            writer.int(flags(*mode));
        }
        Request::Delete { path, version: wanted } => {
            writer.int(operation::DELETE);
            writer.text(path);
            writer.int(version(wanted));
        }
        Request::Exists { path, watch } => {
            write_watching(writer, operation::EXISTS, path, *watch);
        }
        Request::Get { path, watch } => write_watching(writer, operation::GET, path, *watch),
        Request::Children { path, watch } => {
            write_watching(writer, operation::CHILDREN, path, *watch);
        }
        Request::Set { path, data, version: wanted } => {
            writer.int(operation::SET);
            writer.text(path);
            writer.buffer(data);
            writer.int(version(wanted));
        }
        Request::Sync { path } => {
            writer.int(operation::SYNC);
            writer.text(path);
        }
    }
}

fn write_watching(writer: &mut Writer, kind: i32, path: &str, watch: bool) {
    writer.int(kind);
    writer.text(path);
    writer.boolean(watch);
}

fn write_access(writer: &mut Writer, access: Access) {
    let entries: &[(i32, &str, &str)] = match access {
        Access::Open => &[(PERMISSION_ALL, "world", "anyone")],
        Access::ReadAllCreatorAll => {
            &[(PERMISSION_READ, "world", "anyone"), (PERMISSION_ALL, "auth", "")]
        }
    };
    writer.list(entries, |writer, (permissions, scheme, id)| {
        writer.int(*permissions);
        writer.text(scheme);
        writer.text(id);
    });
}

fn read_request(kind: i32, reader: &mut Reader) -> Result<Option<Request>, JuteError> {
    let version = |number: i32| (number != -1).then_some(number);
    Ok(Some(match kind {
        operation::CREATE => {
            let path = reader.text("path")?;
            let data = reader.buffer("data")?;
            let access = read_access(reader)?;
            let mode = match reader.int("flags")? {
                0 => CreateMode::Persistent,
                1 => CreateMode::Ephemeral,
                2 => CreateMode::PersistentSequential,
                3 => CreateMode::EphemeralSequential,
                _ => return Ok(None),
            };
            Request::Create { path, data, mode, access }
        }
        operation::DELETE => {
            Request::Delete { path: reader.text("path")?, version: version(reader.int("version")?) }
        }
        operation::EXISTS => {
            Request::Exists { path: reader.text("path")?, watch: reader.boolean("watch")? }
        }
        operation::GET => {
            Request::Get { path: reader.text("path")?, watch: reader.boolean("watch")? }
        }
        operation::CHILDREN => {
            Request::Children { path: reader.text("path")?, watch: reader.boolean("watch")? }
        }
        operation::SET => Request::Set {
            path: reader.text("path")?,
            data: reader.buffer("data")?,
            version: version(reader.int("version")?),
        },
        operation::SYNC => Request::Sync { path: reader.text("path")? },
        _ => return Ok(None),
    }))
}

fn read_access(reader: &mut Reader) -> Result<Access, JuteError> {
    let mut owned = false;
    reader.list("acl", |reader| {
        reader.int("permissions")?;
        owned |= reader.text("scheme")? == "auth";
        reader.text("id")
    })?;
    Ok(if owned { Access::ReadAllCreatorAll } else { Access::Open })
}

/// What stands before every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// Number of the request, or one of [`xid`].
    pub number: i32,
    /// The newest transaction that the server knew of; -1 with a watch.
    pub zxid: i64,
    /// One of [`code`].
    pub error: i32,
}

impl ReplyHeader {
    /// Reads it; the rest of the frame stays in `reader`.
    ///
    /// # Errors
    /// The frame is something else.
    pub fn read(reader: &mut Reader) -> Result<Self, JuteError> {
        Ok(Self {
            number: reader.int("xid")?,
            zxid: reader.long("zxid")?,
            error: reader.int("error")?,
        })
    }

    /// Writes it and, if there is one, the answer behind it.
    pub fn frame(self, answer: Option<&Answer>) -> Bytes {
        let mut writer = self.writer();
        match answer {
            Some(Answer::Created(path)) => writer.text(path),
            Some(Answer::Exists(Some(stat)) | Answer::Set(stat)) => write_stat(&mut writer, stat),
            Some(Answer::Data(data, stat)) => {
                writer.buffer(data);
                write_stat(&mut writer, stat);
            }
            Some(Answer::Children(names)) => {
                writer.list(names, |writer, name| writer.text(name));
            }
            Some(Answer::Synced) => writer.text("/"),
            Some(Answer::Deleted | Answer::Exists(None)) | None => {}
        }
        writer.frame()
    }

    /// Writes it and the watch behind it.
    pub fn watch_frame(path: &str, change: Change) -> Bytes {
        let mut writer = Self { number: xid::WATCH, zxid: -1, error: code::OK }.writer();
        writer.int(match change {
            Change::Created => 1,
            Change::Deleted => 2,
            Change::Data => 3,
            Change::Children => 4,
        });
        // The state of the session: connected.
        writer.int(3);
        writer.text(path);
        writer.frame()
    }

    fn writer(self) -> Writer {
        let mut writer = Writer::default();
        writer.int(self.number);
        writer.long(self.zxid);
        writer.int(self.error);
        writer
    }
}

/// Reads what stands behind the header of a watch. `None` when it is about no node.
///
/// # Errors
/// The frame is something else.
pub fn read_watch(reader: &mut Reader) -> Result<Option<(String, Change)>, JuteError> {
    let change = match reader.int("event type")? {
        1 => Change::Created,
        2 => Change::Deleted,
        3 => Change::Data,
        4 => Change::Children,
        _ => return Ok(None),
    };
    reader.int("state")?;
    Ok(Some((reader.text("path")?, change)))
}

/// Reads what stands behind the header of the answer to `request`, which succeeded.
///
/// # Errors
/// The frame is something else.
pub fn read_answer(request: &Request, reader: &mut Reader) -> Result<Answer, JuteError> {
    Ok(match request {
        Request::Create { .. } => Answer::Created(reader.text("path")?),
        Request::Delete { .. } => Answer::Deleted,
        Request::Exists { .. } => Answer::Exists(Some(read_stat(reader)?)),
        Request::Get { .. } => Answer::Data(reader.buffer("data")?, read_stat(reader)?),
        Request::Children { .. } => {
            let mut names = reader.list("children", |reader| reader.text("child"))?;
            names.sort_unstable();
            Answer::Children(names)
        }
        Request::Set { .. } => Answer::Set(read_stat(reader)?),
        Request::Sync { .. } => Answer::Synced,
    })
}

fn write_stat(writer: &mut Writer, stat: &Stat) {
    writer.long(stat.created);
    writer.long(stat.modified);
    // When it was made and written: nobody here asks.
    writer.long(0);
    writer.long(0);
    writer.int(stat.version);
    writer.int(stat.children_version);
    writer.int(0);
    writer.long(stat.ephemeral_owner);
    writer.int(stat.data_length);
    writer.int(stat.children);
    writer.long(stat.created);
}

fn read_stat(reader: &mut Reader) -> Result<Stat, JuteError> {
    let created = reader.long("czxid")?;
    let modified = reader.long("mzxid")?;
    reader.long("ctime")?;
    reader.long("mtime")?;
    let version = reader.int("version")?;
    let children_version = reader.int("cversion")?;
    reader.int("aversion")?;
    let ephemeral_owner = reader.long("ephemeralOwner")?;
    let data_length = reader.int("dataLength")?;
    let children = reader.int("numChildren")?;
    Ok(Stat {
        created,
        modified,
        version,
        children_version,
        ephemeral_owner,
        data_length,
        children,
    })
}
