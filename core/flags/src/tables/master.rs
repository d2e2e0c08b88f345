//! The master's flags.

use super::common::{ALL, DAEMON, LOGGING, NO_AUTHENTICATION, NO_AUTHORIZATION, NO_MODULES};
use crate::spec::{FlagSpec, Kind, flag};

/// The flags of `orrery master`.
pub fn master() -> Vec<FlagSpec> {
    [ALL, LOGGING, DAEMON, BASIC, AGENTS, OFFERS, HISTORY, REGISTRY, SECURITY].concat()
}

const BASIC: &[FlagSpec] = &[
    flag("port", Kind::Port, "The port to listen on.").default("5050"),
    flag("advertise_ip", Kind::Ip, "The address to tell others; not listened on."),
    flag("advertise_port", Kind::Port, "The port to tell others; not listened on."),
    flag("work_dir", Kind::Text, "Folder for the registry; needed unless it is in memory."),
    flag("cluster", Kind::Text, "The cluster's name, shown in pages and answers."),
    flag("zk", Kind::Masters, "ZooKeeper's servers and path, for electing a leader: zk://…."),
    flag("peers", Kind::Masters, "All masters, which elect a leader themselves: HOST:PORT,…."),
    flag("master_contender", Kind::Text, "Module that contends for leading.")
        .default_only(NO_MODULES),
    flag("master_detector", Kind::Text, "Module that finds the leader.").default_only(NO_MODULES),
    flag("webui_dir", Kind::Text, "Folder of the pages; ours are built in.")
        .default("/usr/share/mesos/webui")
        .no_effect(),
];

const AGENTS: &[FlagSpec] = &[
    flag("agent_ping_timeout", Kind::Duration, "How long to wait for the answer to a ping.")
        .default("15secs")
        .aliases(&["slave_ping_timeout"])
        .at_least("1secs")
        .at_most("15mins"),
    flag("max_agent_ping_timeouts", Kind::Count, "Unanswered pings that make it unreachable.")
        .default("5")
        .aliases(&["max_slave_ping_timeouts"])
        .at_least("1"),
    flag("agent_reregister_timeout", Kind::Duration, "How long an agent may stay away.")
        .default("10mins")
        .aliases(&["slave_reregister_timeout"])
        .at_least("10mins"),
    flag("agent_removal_rate_limit", Kind::Rate, "How fast agents may become unreachable.")
        .aliases(&["slave_removal_rate_limit"]),
    flag("recovery_agent_removal_limit", Kind::Percent, "Share of agents a new leader may lose.")
        .default("100%")
        .aliases(&["recovery_slave_removal_limit"]),
    flag("require_agent_domain", Kind::Boolean, "Refuse agents without a fault domain.")
        .default("false")
        .default_only("fault domains come later: run without them"),
    flag("whitelist", Kind::Path, "File of agents whose resources are offered.")
        .default_only("it comes later: start only the agents that shall be used"),
];

const OFFERS: &[FlagSpec] = &[
    flag("allocation_interval", Kind::Duration, "Time between two allocations to all.")
        .default("1secs"),
    flag("offer_timeout", Kind::Duration, "Offers unanswered for so long are rescinded."),
    flag("min_allocatable_resources", Kind::Text, "The least that is offered; ; is and, | is or.")
        .default("cpus:0.01|mem:32"),
    flag("allocator", Kind::Text, "Which allocator to use.")
        .default("hierarchical")
        .default_only(NO_MODULES),
    flag("role_sorter", Kind::Text, "How roles are ordered.")
        .default("drf")
        .aliases(&["user_sorter"])
        .one_of(&["drf", "random"])
        .default_only("roles are ordered by dominant share"),
    flag("framework_sorter", Kind::Text, "How frameworks of a role are ordered.")
        .default("drf")
        .one_of(&["drf", "random"])
        .default_only("frameworks are ordered by dominant share"),
    flag("fair_sharing_excluded_resource_names", Kind::Text, "Resources left out of shares.")
        .no_effect(),
    flag("filter_gpu_resources", Kind::Boolean, "GPU hosts only to frameworks that ask for GPUs.")
        .default("true")
        .no_effect(),
    flag("roles", Kind::Text, "The only roles allowed.")
        .default_only("any role may be used: run without it"),
    flag("weights", Kind::Text, "Weights of roles, as role=weight,role=weight.")
        .default_only("weights come later: run without them"),
    flag("allocator_recovery_timeout", Kind::Duration, "How long a new leader holds offers back.")
        .default("10mins")
        .no_effect(),
    flag("allocator_agent_recovery_factor", Kind::Double, "Share of agents that ends that wait.")
        .default("0.8")
        .at_least("0")
        .at_most("1")
        .no_effect(),
    flag("offer_constraints_re2_max_mem", Kind::Bytes, "Memory of a constraint's expression.")
        .default("4KB")
        .no_effect(),
    flag("offer_constraints_re2_max_program_size", Kind::Count, "Size of such an expression.")
        .default("100")
        .no_effect(),
];

const HISTORY: &[FlagSpec] = &[
    flag("max_completed_frameworks", Kind::Count, "Ended frameworks that are remembered.")
        .default("50"),
    flag("max_completed_tasks_per_framework", Kind::Count, "Ended tasks that are remembered.")
        .default("1000"),
    flag("max_unreachable_tasks_per_framework", Kind::Count, "Unreachable tasks remembered.")
        .default("1000"),
    flag("max_operator_event_stream_subscribers", Kind::Count, "Followers of the event stream.")
        .default("1000")
        .no_effect(),
    flag("publish_per_framework_metrics", Kind::Boolean, "Metrics for each framework.")
        .default("true")
        .no_effect(),
];

const REGISTRY: &[FlagSpec] = &[
    flag("registry", Kind::Text, "Where the registry is kept.")
        .default("replicated_log")
        .one_of(&["replicated_log", "in_memory", "log_storage"]),
    flag("quorum", Kind::Count, "Masters that must agree, more than half.")
        .default("1")
        .at_least("1"),
    flag("log_auto_initialize", Kind::Boolean, "An empty log starts by itself.").default("true"),
    flag("registry_fetch_timeout", Kind::Duration, "Limit for reading the registry.")
        .default("1mins")
        .at_least("1ms"),
    flag("registry_store_timeout", Kind::Duration, "Limit for writing the registry.")
        .default("20secs")
        .at_least("1ms"),
    flag("registry_gc_interval", Kind::Duration, "Time between prunings of old agents.")
        .default("15mins")
        .at_least("1ms"),
    flag("registry_max_agent_age", Kind::Duration, "How long old agents are remembered.")
        .default("2weeks"),
    flag("registry_max_agent_count", Kind::Count, "How many old agents are remembered.")
        .default("102400"),
    flag("registry_strict", Kind::Boolean, "Refuse agents that the registry does not know.")
        .default("false")
        .default_only("agents that the registry does not know are always let in"),
];

const SECURITY: &[FlagSpec] = &[
    flag("authenticate_frameworks", Kind::Boolean, "Frameworks must authenticate.")
        .default("false")
        .aliases(&["authenticate"])
        .default_only(NO_AUTHENTICATION),
    flag("authenticate_agents", Kind::Boolean, "Agents must authenticate.")
        .default("false")
        .aliases(&["authenticate_slaves"])
        .default_only(NO_AUTHENTICATION),
    flag("authenticate_http_frameworks", Kind::Boolean, "HTTP frameworks must authenticate.")
        .default("false")
        .default_only(NO_AUTHENTICATION),
    flag("authentication_v0_timeout", Kind::Duration, "Limit for an old authentication.")
        .default("15secs")
        .no_effect(),
    flag("authenticators", Kind::Text, "Authenticator of frameworks and agents.")
        .default("crammd5")
        .default_only(NO_AUTHENTICATION),
    flag("http_authenticators", Kind::Text, "Authenticator of HTTP requests.")
        .default("basic")
        .default_only(NO_AUTHENTICATION),
    flag("http_framework_authenticators", Kind::Text, "Authenticator of HTTP frameworks.")
        .default_only(NO_AUTHENTICATION),
    flag("authorizers", Kind::Text, "Which authorizer to use.")
        .default("local")
        .default_only(NO_AUTHORIZATION),
    flag("credentials", Kind::Path, "File of principals and secrets.")
        .default_only(NO_AUTHENTICATION),
    flag("rate_limits", Kind::Json, "Limits of messages for each principal.")
        .default_only("rate limits come later: run without them"),
    flag("root_submissions", Kind::Boolean, "Frameworks may run as root.")
        .default("true")
        .default_only("refusing root comes later: run without it"),
];
