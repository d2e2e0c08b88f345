//! The flags of a whole cluster in one process.

use super::common::{ALL, LOGGING};
use crate::spec::{FlagSpec, Kind, flag};

/// The flags of `orrery local`. Flags of master and agent come from the environment.
pub fn local() -> Vec<FlagSpec> {
    [ALL, LOGGING, LOCAL].concat()
}

const LOCAL: &[FlagSpec] = &[
    flag("ip", Kind::Ip, "The address to listen on.").default("127.0.0.1"),
    flag("port", Kind::Port, "The master's port; agents take the ports after it.").default("5050"),
    flag("work_dir", Kind::Text, "Folder for everything; a temporary one by default."),
    flag("agents", Kind::Count, "How many agents to run.")
        .default("1")
        .aliases(&["num_slaves"])
        .at_most("1000"),
    flag("cluster", Kind::Text, "The cluster's name, shown in pages and answers."),
    flag("resources", Kind::Text, "What each agent offers; found out by default."),
    flag("attributes", Kind::Text, "What each agent is like, as key:value;key:value."),
];
