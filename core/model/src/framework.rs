//! What a `FrameworkInfo` says, with both of its ways to name roles.

// `role` is the deprecated way to name the only role of a framework.
#![allow(deprecated)]

use orrery_api::v1::FrameworkInfo;
use orrery_api::v1::framework_info::capability::Type;

use crate::roles;

/// Whether the framework has declared `capability`.
pub fn has_capability(info: &FrameworkInfo, capability: Type) -> bool {
    info.capabilities.iter().any(|declared| declared.r#type() == capability)
}

/// The roles that the framework subscribes to: `roles` with the capability MULTI_ROLE (perhaps
/// none), else the one in `role`, which is `*` when unset. Sorted, without repetition.
pub fn roles(info: &FrameworkInfo) -> Vec<String> {
    if !has_capability(info, Type::MultiRole) {
        return vec![info.role.clone().unwrap_or_else(|| roles::DEFAULT.to_owned())];
    }
    let mut roles = info.roles.clone();
    roles.sort();
    roles.dedup();
    roles
}
