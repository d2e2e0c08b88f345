//! Flags that several programs share.

use crate::spec::{FlagSpec, Kind, flag};

/// What every program has.
pub(super) const ALL: &[FlagSpec] = &[
    flag("help", Kind::Boolean, "Print this text and exit.").default("false"),
    flag("version", Kind::Boolean, "Print the version and exit.").default("false"),
];

/// Where and how much is logged.
pub(super) const LOGGING: &[FlagSpec] = &[
    flag("quiet", Kind::Boolean, "Log nothing to the standard error.").default("false"),
    flag("logging_level", Kind::Text, "Log nothing below this level.")
        .default("INFO")
        .one_of(&["INFO", "WARNING", "ERROR"]),
    flag("log_dir", Kind::Text, "Folder for log files.").no_effect(),
    flag("external_log_file", Kind::Text, "A log file to show in the pages.").no_effect(),
    flag("logbufsecs", Kind::Integer, "Seconds that log lines may be held back.")
        .default("0")
        .no_effect(),
    flag("initialize_driver_logging", Kind::Boolean, "Set up logging of old drivers.")
        .default("true")
        .no_effect(),
];

const AUTHENTICATION: &str = "authentication comes later: run without it on a trusted network";
const AUTHORIZATION: &str = "authorization comes later: run without it on a trusted network";
const MODULES: &str = "modules are not loaded: what they do is built in, or comes later";

/// What master and agent have in common.
pub(super) const DAEMON: &[FlagSpec] = &[
    flag("ip", Kind::Ip, "The address to listen on; all of the host's addresses by default."),
    flag("hostname", Kind::Text, "The host's name to tell others; looked up by default."),
    flag("hostname_lookup", Kind::Boolean, "Look the host's name up; otherwise tell the address.")
        .default("true"),
    flag("authenticate_http_readonly", Kind::Boolean, "Read endpoints need authentication.")
        .default("false")
        .default_only(AUTHENTICATION),
    flag("authenticate_http_readwrite", Kind::Boolean, "Other endpoints need authentication.")
        .default("false")
        .aliases(&["authenticate_http"])
        .default_only(AUTHENTICATION),
    flag("acls", Kind::Json, "Rules of who may do what.").default_only(AUTHORIZATION),
    flag("firewall_rules", Kind::Json, "Endpoints to answer with 403.")
        .default_only("disabling endpoints comes later: put a proxy before the daemon"),
    flag("domain", Kind::Json, "The fault domain that this host is in.")
        .default_only("fault domains come later: run without them"),
    flag("hooks", Kind::Text, "Hook modules to install.").default_only(MODULES),
    flag("modules", Kind::Json, "Module libraries to load.").default_only(MODULES),
    flag("modules_dir", Kind::Text, "Folder of module manifests.").default_only(MODULES),
    flag("ip_discovery_command", Kind::Text, "A command that prints the address to listen on.")
        .default_only("give the address with --ip"),
    flag("memory_profiling", Kind::Boolean, "Serve a memory profile.").default("false").no_effect(),
    flag("zk_session_timeout", Kind::Duration, "How long a ZooKeeper session lives unseen.")
        .default("10secs")
        .at_least("1secs"),
];

pub(super) const NO_AUTHENTICATION: &str = AUTHENTICATION;
pub(super) const NO_AUTHORIZATION: &str = AUTHORIZATION;
pub(super) const NO_MODULES: &str = MODULES;
