//! What this build says about itself.

use orrery_api::v1;

/// The version of Mesos that Orrery speaks. Clients compare it to decide what they may use.
pub const MESOS_VERSION: &str = "1.12.0";

/// What `/version` tells. `build_user` names Orrery and its own version.
pub fn version() -> v1::VersionInfo {
    v1::VersionInfo {
        version: MESOS_VERSION.to_owned(),
        build_date: Some(String::new()),
        build_time: Some(0.0),
        build_user: Some(concat!("orrery ", env!("CARGO_PKG_VERSION")).to_owned()),
        ..Default::default()
    }
}
