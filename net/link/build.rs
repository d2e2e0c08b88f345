//! Generates the gRPC service of the agent link. The messages themselves stand in `orrery-api`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../core/api/proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(["orrery/link/v1/link.proto"], [root])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::LinkCodec")
        .extern_path(".orrery.link.v1", "::orrery_api::link")
        .extern_path(".mesos.v1", "::orrery_api::v1")
        .compile_fds(descriptors)?;
    Ok(())
}
