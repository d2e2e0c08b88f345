//! Generates the gRPC service between replicas. The messages themselves stand in `orrery-api`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../core/api/proto");
    println!("cargo:rerun-if-changed={}", root.join("orrery/log/v1/log.proto").display());
    let descriptors = protox::compile(["orrery/log/v1/log.proto"], [root])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .extern_path(".orrery.log.v1", "::orrery_api::log")
        .compile_fds(descriptors)?;
    Ok(())
}
