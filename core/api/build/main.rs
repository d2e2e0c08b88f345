//! Compiles the `.proto` texts (without a `protoc` on the machine) to Rust types, and writes two
//! things that prost does not: Mesos' JSON form of every `mesos.v1` message, and the tables by
//! which a decoded message is checked for its required fields.

#![allow(clippy::disallowed_methods, reason = "a build script writes files by itself")]

mod json;
mod names;
mod required;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_types::DescriptorProto;

const ROOTS: [&str; 13] = [
    "mesos/v1/mesos.proto",
    "mesos/v1/scheduler/scheduler.proto",
    "mesos/v1/executor/executor.proto",
    "mesos/v1/master/master.proto",
    "mesos/v1/agent/agent.proto",
    "mesos/v1/allocator/allocator.proto",
    "mesos/v1/maintenance/maintenance.proto",
    "mesos/v1/quota/quota.proto",
    "mesos/v1/resource_provider/resource_provider.proto",
    "orrery/lease/v1/lease.proto",
    "orrery/link/v1/link.proto",
    "orrery/log/v1/log.proto",
    "orrery/registry/v1/registry.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let mut descriptors = protox::compile(ROOTS, [Path::new("proto")])?;
    let schema = names::Schema::new(&descriptors)?;

    let folder = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(folder.join("descriptors.bin"), descriptors.encode_to_vec())?;
    fs::write(folder.join("json.rs"), json::generate(&schema)?)?;
    fs::write(folder.join("required.rs"), required::generate(&schema)?)?;

    // Serving the fields that Mesos calls deprecated is this crate's duty, so their use is no
    // reason for a warning.
    for file in &mut descriptors.file {
        file.message_type.iter_mut().for_each(allow_deprecated_fields);
    }
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.btree_map(["."]);
    // These are several times as large as all other messages to agents, which would otherwise be
    // moved and stored at their size.
    for large in ["run_task", "run_task_group"] {
        config.boxed(format!(".orrery.link.v1.FromMaster.body.{large}"));
    }
    // What hardly any resource or task has would be most of the size of all of them.
    let rare = ["Resource.disk", "Resource.reservation"];
    for rare in rare.into_iter().chain(["Task.container", "Task.health_check", "Task.discovery"]) {
        config.boxed(format!(".mesos.v1.{rare}"));
    }
    config.include_file("messages.rs");
    config.compile_fds(descriptors)?;
    Ok(())
}

fn allow_deprecated_fields(message: &mut DescriptorProto) {
    for field in &mut message.field {
        if let Some(options) = &mut field.options {
            options.deprecated = None;
        }
    }
    message.nested_type.iter_mut().for_each(allow_deprecated_fields);
}
