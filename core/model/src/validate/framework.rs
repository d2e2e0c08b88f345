//! Rules for a framework's description of itself.

#![allow(deprecated)] // `role` is the deprecated way to name the only role of a framework.

use std::collections::BTreeSet;

use orrery_api::v1::framework_info::capability::Type;
use orrery_api::v1::{FrameworkInfo, OfferFilters};

use crate::framework::{has_capability, roles};
use crate::validate::{Invalid, expect, id, role};

/// The longest failover timeout in seconds: nanoseconds are counted in 64 bits.
const FAILOVER_TIMEOUT_MAX: f64 = i64::MAX as f64 / 1e9;

/// Checks roles, id, offer filters and failover timeout. `role` and `roles` exclude each other: the
/// first is for frameworks without the capability MULTI_ROLE, the second for those with it.
pub fn framework_info(info: &FrameworkInfo) -> Result<(), Invalid> {
    check_roles(info)?;
    if let Some(framework_id) = info.id.as_ref().filter(|id| !id.value.is_empty()) {
        id(&framework_id.value).map_err(|error| error.within("'FrameworkInfo.id' is invalid"))?;
    }
    check_offer_filters(info)?;
    // Mesos takes negative timeouts, which count as none.
    let timeout = info.failover_timeout();
    expect(
        timeout.abs() <= FAILOVER_TIMEOUT_MAX,
        format_args!(
            "'FrameworkInfo.failover_timeout' is {timeout}; expected at most 9.2e9 seconds"
        ),
    )
}

fn check_roles(info: &FrameworkInfo) -> Result<(), Invalid> {
    if !has_capability(info, Type::MultiRole) {
        expect(
            info.roles.is_empty(),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        )?;
        return role(info.role())
            .map_err(|error| error.within("'FrameworkInfo.role' is not a valid role"));
    }
    expect(
        info.role.is_none(),
        "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
    )?;
    let mut seen = BTreeSet::new();
    for name in &info.roles {
        let duplicate = format!("'FrameworkInfo.roles' contains the duplicate item '{name}'");
        expect(seen.insert(name), &duplicate)?;
        role(name).map_err(|error| {
            error.within(&format!("'FrameworkInfo.roles' contains invalid role '{name}'"))
        })?;
    }
    Ok(())
}

fn check_offer_filters(info: &FrameworkInfo) -> Result<(), Invalid> {
    let own = roles(info);
    for (name, filters) in &info.offer_filters {
        let foreign = format!("'FrameworkInfo.offer_filters' has '{name}', which is no role of it");
        expect(own.contains(name), &foreign)?;
        check_filter(filters).map_err(|error| {
            error.within(&format!("'FrameworkInfo.offer_filters' is invalid for role '{name}'"))
        })?;
    }
    Ok(())
}

fn check_filter(filters: &OfferFilters) -> Result<(), Invalid> {
    let Some(minimum) = &filters.min_allocatable_resources else {
        return Ok(());
    };
    for quantities in &minimum.quantities {
        expect(
            !quantities.quantities.is_empty(),
            "Resource quantities must contain at least one \
               quantity",
        )?;
        for (name, amount) in &quantities.quantities {
            let value = amount.value;
            let wrong = format!("quantity '{name}' is {value}; expected a number of at least 0");
            expect(value.is_finite() && value >= 0.0, &wrong)?;
        }
    }
    Ok(())
}

/// Checks that every suppressed role is one of the framework's roles.
pub fn suppressed_roles(info: &FrameworkInfo, suppressed: &[String]) -> Result<(), Invalid> {
    let own = roles(info);
    match suppressed.iter().find(|name| !own.contains(name)) {
        Some(name) => Err(Invalid::new(format!(
            "Suppressed role '{name}' is not one of the roles of the framework: {}",
            own.join(", ")
        ))),
        None => Ok(()),
    }
}
