//! The agent's flags.

use super::common::{ALL, DAEMON, LOGGING, NO_AUTHENTICATION, NO_AUTHORIZATION, NO_MODULES};
use crate::spec::{FlagSpec, Kind, flag};

/// The flags of `orrery agent`.
pub fn agent() -> Vec<FlagSpec> {
    [ALL, LOGGING, DAEMON, BASIC, RECOVERY, EXECUTORS, HOUSEKEEPING, ISOLATION, DOCKER, SECURITY]
        .concat()
}

const NO_DOCKER: &str = "Docker images come later: only the mesos containerizer is built in";

const BASIC: &[FlagSpec] = &[
    flag("port", Kind::Port, "The port to listen on.").default("5051"),
    flag("advertise_ip", Kind::Ip, "The address to tell others; not listened on."),
    flag("advertise_port", Kind::Port, "The port to tell others; not listened on."),
    flag("master", Kind::Masters, "Where the masters are: HOST:PORT,… or zk://….").required(),
    flag("work_dir", Kind::Text, "Folder of sandboxes and of what a restart needs.").required(),
    flag("runtime_dir", Kind::Text, "Folder of what a restart needs but not a reboot.")
        .default("/var/run/mesos")
        .no_effect(),
    flag("resources", Kind::Text, "What the host offers; found out by default."),
    flag("attributes", Kind::Text, "What the host is like, as key:value;key:value."),
    flag("default_role", Kind::Text, "Role of resources given without one.").default("*"),
    flag("master_detector", Kind::Text, "Module that finds the leader.").default_only(NO_MODULES),
    flag("registration_backoff_factor", Kind::Duration, "First pause before registering again.")
        .default("1secs"),
];

const RECOVERY: &[FlagSpec] = &[
    flag("recover", Kind::Text, "What a restarted agent does with its executors.")
        .default("reconnect")
        .one_of(&["reconnect", "cleanup"]),
    flag("recovery_timeout", Kind::Duration, "Executors end themselves without us after this.")
        .default("15mins"),
    flag("reconfiguration_policy", Kind::Text, "Which changes a restart may make.")
        .default("equal")
        .one_of(&["equal", "additive"]),
    flag("strict", Kind::Boolean, "What cannot be recovered stops the start.").default("true"),
];

const EXECUTORS: &[FlagSpec] = &[
    flag("executor_registration_timeout", Kind::Duration, "Executors must subscribe within this.")
        .default("1mins"),
    flag("executor_reregistration_timeout", Kind::Duration, "The same after our restart.")
        .default("2secs")
        .at_most("15secs"),
    flag("executor_shutdown_grace_period", Kind::Duration, "Time to end before being killed.")
        .default("5secs"),
    flag("executor_environment_variables", Kind::Json, "Environment of all executors."),
    flag("http_command_executor", Kind::Boolean, "The command executor speaks HTTP; ours does.")
        .default("false")
        .no_effect(),
    flag("http_executor_domain_sockets", Kind::Boolean, "Executors come by a Unix socket.")
        .default("false")
        .default_only("executors come by TCP: run without it"),
    flag("http_heartbeat_interval", Kind::Duration, "Heartbeats of attached streams.")
        .default("30secs")
        .no_effect(),
    flag("switch_user", Kind::Boolean, "Run tasks as the user that they name.").default("true"),
    flag("frameworks_home", Kind::Text, "Folder before relative executor paths.")
        .default("")
        .no_effect(),
    flag("hadoop_home", Kind::Text, "Hadoop's folder.").no_effect(),
    flag("launcher_dir", Kind::Text, "Folder of helper programs; ours are built in.")
        .default("/usr/libexec/mesos")
        .no_effect(),
    flag("sandbox_directory", Kind::Text, "Where an image sees the sandbox.")
        .default("/mnt/mesos/sandbox")
        .no_effect(),
];

const HOUSEKEEPING: &[FlagSpec] = &[
    flag("gc_delay", Kind::Duration, "How long sandboxes are kept.").default("1weeks").no_effect(),
    flag("gc_disk_headroom", Kind::Double, "Share of the disk that stays free.")
        .default("0.1")
        .at_least("0")
        .at_most("1")
        .no_effect(),
    flag("gc_non_executor_container_sandboxes", Kind::Boolean, "Remove nested sandboxes too.")
        .default("false")
        .no_effect(),
    flag("disk_watch_interval", Kind::Duration, "Time between two looks at the disk.")
        .default("1mins")
        .no_effect(),
    flag("max_completed_executors_per_framework", Kind::Count, "Ended executors remembered.")
        .default("150"),
    flag("fetcher_cache_dir", Kind::Text, "Folder of the fetcher's cache.")
        .default("/tmp/mesos/fetch")
        .no_effect(),
    flag("fetcher_cache_size", Kind::Bytes, "Size of the fetcher's cache.")
        .default("2GB")
        .no_effect(),
    flag("fetcher_stall_timeout", Kind::Duration, "Downloads without progress end after this.")
        .default("1mins")
        .no_effect(),
    flag("oversubscribed_resources_interval", Kind::Duration, "Time between two estimates.")
        .default("15secs")
        .no_effect(),
    flag("qos_correction_interval_min", Kind::Duration, "Time between two corrections.")
        .default("0ns")
        .no_effect(),
    flag("resource_estimator", Kind::Text, "Module that estimates spare resources.")
        .default_only(NO_MODULES),
    flag("qos_controller", Kind::Text, "Module that guards against overload.")
        .default_only(NO_MODULES),
];

const ISOLATION: &[FlagSpec] = &[
    flag("containerizers", Kind::Text, "How tasks are contained.")
        .default("mesos")
        .default_only(NO_DOCKER),
    flag("isolation", Kind::Text, "Isolators of the mesos containerizer.")
        .default("posix/cpu,posix/mem")
        .no_effect(),
    flag("launcher", Kind::Text, "How containers are started.")
        .default("posix")
        .one_of(&["posix", "linux"])
        .no_effect(),
    flag("cgroups_hierarchy", Kind::Text, "Where cgroups are mounted.")
        .default("/sys/fs/cgroup")
        .no_effect(),
    flag("cgroups_root", Kind::Text, "Our cgroup's name.").default("mesos").no_effect(),
    flag("cgroups_enable_cfs", Kind::Boolean, "Limit CPU time hard.").default("false").no_effect(),
    flag("cgroups_limit_swap", Kind::Boolean, "Limit memory and swap.")
        .default("false")
        .no_effect(),
    flag("cgroups_cpu_enable_pids_and_tids_count", Kind::Boolean, "Count processes.")
        .default("false")
        .no_effect(),
    flag("cgroups_destroy_timeout", Kind::Duration, "Time to destroy a cgroup.")
        .default("1mins")
        .no_effect(),
    flag("container_disk_watch_interval", Kind::Duration, "Time between two quota checks.")
        .default("15secs")
        .no_effect(),
    flag("enforce_container_disk_quota", Kind::Boolean, "Kill what uses too much disk.")
        .default("false")
        .no_effect(),
    flag("revocable_cpu_low_priority", Kind::Boolean, "Revocable CPU has low priority.")
        .default("true")
        .no_effect(),
    flag("systemd_enable_support", Kind::Boolean, "Put executors into a systemd slice.")
        .default("true")
        .no_effect(),
    flag("systemd_runtime_directory", Kind::Text, "systemd's folder.")
        .default("/run/systemd/system")
        .no_effect(),
    flag("perf_duration", Kind::Duration, "Length of a perf sample.").default("10secs").no_effect(),
    flag("perf_interval", Kind::Duration, "Time between two perf samples.")
        .default("1mins")
        .no_effect(),
    flag("network_cni_root_dir_persist", Kind::Boolean, "Keep CNI's state over a reboot.")
        .default("false")
        .no_effect(),
    flag(
        "disallow_sharing_agent_ipc_namespace",
        Kind::Boolean,
        "Refuse tasks in the agent's IPC namespace.",
    )
    .default("false")
    .no_effect(),
    flag(
        "disallow_sharing_agent_pid_namespace",
        Kind::Boolean,
        "Refuse tasks in the agent's PID namespace.",
    )
    .default("false")
    .no_effect(),
    flag("network_cni_metrics", Kind::Boolean, "Metrics of CNI.").default("true").no_effect(),
];

const DOCKER: &[FlagSpec] = &[
    flag("docker", Kind::Text, "Docker's command.").default("docker").no_effect(),
    flag("docker_socket", Kind::Text, "Docker's socket.")
        .default("/var/run/docker.sock")
        .no_effect(),
    flag("docker_registry", Kind::Text, "Where images come from.")
        .default("https://registry-1.docker.io")
        .no_effect(),
    flag("docker_store_dir", Kind::Text, "Folder of image layers.")
        .default("/tmp/mesos/store/docker")
        .no_effect(),
    flag("docker_kill_orphans", Kind::Boolean, "Kill containers that we do not know.")
        .default("true")
        .no_effect(),
    flag("docker_remove_delay", Kind::Duration, "How long ended containers are kept.")
        .default("6hrs")
        .no_effect(),
    flag("docker_stop_timeout", Kind::Duration, "Grace of docker stop.").default("0ns").no_effect(),
    flag("docker_ignore_runtime", Kind::Boolean, "Ignore what an image says of its command.")
        .default("false")
        .no_effect(),
    flag("docker_volume_checkpoint_dir", Kind::Text, "Folder of what is known of Docker volumes.")
        .default("/var/run/mesos/isolators/docker/volume")
        .no_effect(),
    flag("docker_volume_chown", Kind::Boolean, "Give Docker volumes to the task's user.")
        .default("false")
        .no_effect(),
    flag("appc_store_dir", Kind::Text, "Folder of AppC images.")
        .default("/tmp/mesos/store/appc")
        .no_effect(),
    flag("appc_simple_discovery_uri_prefix", Kind::Text, "Where AppC images are looked for.")
        .default("http://")
        .no_effect(),
    flag("image_providers", Kind::Text, "Kinds of images.").default_only(NO_DOCKER),
];

const SECURITY: &[FlagSpec] = &[
    flag("credential", Kind::Path, "File of our principal and secret.")
        .default_only(NO_AUTHENTICATION),
    flag("http_credentials", Kind::Path, "File of principals for our endpoints.")
        .default_only(NO_AUTHENTICATION),
    flag("http_authenticators", Kind::Text, "Authenticator of HTTP requests.")
        .default_only(NO_AUTHENTICATION),
    flag("authenticatee", Kind::Text, "How to authenticate with the master.")
        .default("crammd5")
        .default_only(NO_AUTHENTICATION),
    flag("authentication_backoff_factor", Kind::Duration, "Growth of that limit.")
        .default("1secs")
        .no_effect(),
    flag("authentication_timeout_max", Kind::Duration, "Its upper bound.")
        .default("1mins")
        .no_effect(),
    flag("authentication_timeout_min", Kind::Duration, "Its lower bound.")
        .default("5secs")
        .no_effect(),
    flag("authorizer", Kind::Text, "Which authorizer to use.")
        .default("local")
        .default_only(NO_AUTHORIZATION),
];
