//! The flags of the tools for the replicated log.

use super::common::{ALL, LOGGING};
use crate::spec::{FlagSpec, Kind, flag};

/// The flags of `orrery log initialize`.
pub fn log_initialize() -> Vec<FlagSpec> {
    [ALL, LOGGING, PATH, INITIALIZE].concat()
}

/// The flags of `orrery log read`.
pub fn log_read() -> Vec<FlagSpec> {
    [ALL, LOGGING, PATH, READ].concat()
}

/// The flags of `orrery log replica`.
pub fn log_replica() -> Vec<FlagSpec> {
    [ALL, LOGGING, PATH, REPLICA, MEETING].concat()
}

/// The flags of `orrery log benchmark`.
pub fn log_benchmark() -> Vec<FlagSpec> {
    [ALL, LOGGING, PATH, BENCHMARK, MEETING].concat()
}

const PATH: &[FlagSpec] = &[flag("path", Kind::Path, "The replica's folder.").required()];

const INITIALIZE: &[FlagSpec] = &[
    flag("accept_loss", Kind::Boolean, "Also where the replica has, or had, a log.")
        .default("false"),
    flag("timeout", Kind::Duration, "Give up after this time."),
];

const READ: &[FlagSpec] = &[
    flag("from", Kind::Count, "The first position to show."),
    flag("to", Kind::Count, "The last position to show."),
    flag("timeout", Kind::Duration, "Give up after this time."),
];

const REPLICA: &[FlagSpec] =
    &[flag("quorum", Kind::Count, "How many replicas must agree.").at_least("1").required()];

/// Where a replica meets the others.
const MEETING: &[FlagSpec] = &[
    flag(
        "address",
        Kind::Text,
        "HOST:PORT where the other replicas reach this one; with ZooKeeper \
                                 by default this host's address and any free port.",
    ),
    flag("peers", Kind::Text, "All replicas: HOST:PORT,…; or --zk, or --servers and --znode."),
    flag(
        "zk",
        Kind::Masters,
        "ZooKeeper's servers and the masters' path: zk://…. Their replicas \
                               meet in log_replicas below it.",
    ),
    flag("servers", Kind::Text, "ZooKeeper's servers: HOST:PORT,…, with --znode."),
    flag(
        "znode",
        Kind::Text,
        "The very node in which the replicas meet, such as \
                               /mesos/log_replicas.",
    ),
    flag("zk_session_timeout", Kind::Duration, "How long a ZooKeeper session lives unseen.")
        .default("10secs"),
    flag("initialize", Kind::Boolean, "Begin a log where no replica has one.").default("true"),
];

const BENCHMARK: &[FlagSpec] = &[
    flag("quorum", Kind::Count, "How many replicas must agree, where others take part.")
        .at_least("1"),
    flag("replicas", Kind::Count, "How many replicas run in this process, where no others do.")
        .default("1")
        .at_least("1")
        .at_most("9"),
    flag("appends", Kind::Count, "How many entries are appended.").default("100000"),
    flag("size", Kind::Bytes, "How large each one is.").default("1KB"),
    flag("writers", Kind::Count, "How many appends are under way at a time.")
        .default("512")
        .at_least("1"),
    flag("rate", Kind::Count, "Appends begun a second; by default as many as --writers allows.")
        .at_least("1"),
    flag("catch_up", Kind::Boolean, "Afterwards let a replica that lost its disk catch up.")
        .default("false"),
    flag("input", Kind::Path, "A file with the size of an append, such as 100B, in each line."),
    flag("output", Kind::Path, "A file for the time that each append took."),
    flag("type", Kind::Text, "What is written.")
        .default("random")
        .one_of(&["zero", "one", "random"]),
];
