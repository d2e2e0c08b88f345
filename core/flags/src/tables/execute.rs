//! The flags of the tool that runs one task.

use super::common::{ALL, LOGGING, NO_AUTHENTICATION};
use crate::spec::{FlagSpec, Kind, flag};

/// The flags of `orrery execute`.
pub fn execute() -> Vec<FlagSpec> {
    [ALL, LOGGING, EXECUTE].concat()
}

const NO_HADOOP: &str = "fetching from HDFS comes later: put the file where the task finds it";

const EXECUTE: &[FlagSpec] = &[
    flag("master", Kind::Masters, "Where the masters are: HOST:PORT,… or zk://….").required(),
    flag("name", Kind::Text, "The task's name and id; needed unless --task is given."),
    flag("task", Kind::Json, "The whole task as JSON, instead of name, command and the like."),
    flag("task_group", Kind::Json, "A group of tasks as JSON.")
        .default_only("task groups come later: run the tasks one by one"),
    flag("command", Kind::Text, "The command to run."),
    flag("shell", Kind::Boolean, "The command is a line for /bin/sh; otherwise a program.")
        .default("true"),
    flag("env", Kind::Json, "The command's environment as a JSON object."),
    flag("resources", Kind::Text, "The task's resources.").default("cpus:1;mem:128"),
    flag("role", Kind::Text, "The role to run in.").default("*"),
    flag("checkpoint", Kind::Boolean, "The task outlives a restart of the agent.").default("false"),
    flag("kill_after", Kind::Duration, "Kill the task after this time."),
    flag("containerizer", Kind::Text, "How the task is contained.")
        .default("mesos")
        .one_of(&["mesos", "docker"]),
    flag("content_type", Kind::Text, "The form of messages to and from the master.")
        .default("protobuf")
        .one_of(&["protobuf", "json"]),
    flag("framework_capabilities", Kind::Text, "Capabilities of the framework, with commas."),
    flag("partition_aware", Kind::Boolean, "Tell lost agents from lost tasks.").default("true"),
    flag("principal", Kind::Text, "Whom to authenticate as."),
    flag("secret", Kind::Text, "The principal's secret.").default_only(NO_AUTHENTICATION),
    flag("docker_image", Kind::Text, "A Docker image."),
    flag("appc_image", Kind::Text, "An AppC image."),
    flag("networks", Kind::Text, "Networks to join."),
    flag("volumes", Kind::Json, "Volumes to mount."),
    flag("rlimits", Kind::Json, "Limits of the process."),
    flag("effective_capabilities", Kind::Json, "Linux capabilities."),
    flag("bounding_capabilities", Kind::Json, "Linux capabilities."),
    flag("tty", Kind::Boolean, "Attach a terminal.").default("false"),
    flag("hadoop", Kind::Text, "Hadoop's command.").default("hadoop").no_effect(),
    flag("hdfs", Kind::Text, "HDFS' name node.").default("localhost:9000").no_effect(),
    flag("package", Kind::Path, "A file to upload to HDFS and fetch.").default_only(NO_HADOOP),
    flag("overwrite", Kind::Boolean, "Replace that file in HDFS.").default("false").no_effect(),
];
