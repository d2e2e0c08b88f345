//! Whether a scheduler call has what its type needs.

use orrery_api::v1::scheduler::{Call, call::Type};

/// What is missing from a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCall {
    /// A field that must be there is not.
    #[error("Expecting '{0}' to be present")]
    Missing(&'static str),
    /// The two places that name a framework disagree.
    #[error("'framework_id' differs from '{0}.framework_info.id'")]
    FrameworkIdDiffers(&'static str),
    /// An acknowledgement without a proper uuid.
    #[error("'acknowledge.uuid' must be 16 bytes, not all zero; got {0} bytes")]
    BadUuid(usize),
}

/// Checks a call as far as that needs no knowledge of the cluster.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate_call(call: &Call) -> Result<Type, InvalidCall> {
    let kind = call.r#type.ok_or(InvalidCall::Missing("type"))?;
    let kind = Type::try_from(kind).unwrap_or(Type::Unknown);
    if kind == Type::Subscribe {
        return validate_subscribe(call);
    }
    // An unknown call is refused as such before anything else is asked of it.
    if kind != Type::Unknown && call.framework_id.is_none() {
        return Err(InvalidCall::Missing("framework_id"));
    }
    let (name, present) = match kind {
        Type::Accept => ("accept", call.accept.is_some()),
        Type::Decline => ("decline", call.decline.is_some()),
        Type::AcceptInverseOffers => {
            ("accept_inverse_offers", call.accept_inverse_offers.is_some())
        }
        Type::DeclineInverseOffers => {
            ("decline_inverse_offers", call.decline_inverse_offers.is_some())
        }
        Type::Kill => ("kill", call.kill.is_some()),
        Type::Shutdown => ("shutdown", call.shutdown.is_some()),
        Type::Acknowledge => ("acknowledge", call.acknowledge.is_some()),
        Type::AcknowledgeOperationStatus => {
            ("acknowledge_operation_status", call.acknowledge_operation_status.is_some())
        }
        Type::Reconcile => ("reconcile", call.reconcile.is_some()),
        Type::ReconcileOperations => ("reconcile_operations", call.reconcile_operations.is_some()),
        Type::Message => ("message", call.message.is_some()),
        Type::Request => ("request", call.request.is_some()),
        Type::UpdateFramework => ("update_framework", call.update_framework.is_some()),
        Type::Revive | Type::Suppress | Type::Teardown | Type::Subscribe | Type::Unknown => {
            ("type", true)
        }
    };
    if !present {
        return Err(InvalidCall::Missing(name));
    }
    if let (Type::UpdateFramework, Some(update)) = (kind, &call.update_framework)
        && call.framework_id != update.framework_info.id
    {
        return Err(InvalidCall::FrameworkIdDiffers(name));
    }
    if let Some(acknowledge) = &call.acknowledge {
        let uuid = &acknowledge.uuid;
        if uuid.len() != 16 || uuid.iter().all(|byte| *byte == 0) {
            return Err(InvalidCall::BadUuid(uuid.len()));
        }
    }
    Ok(kind)
}

fn validate_subscribe(call: &Call) -> Result<Type, InvalidCall> {
    let subscribe = call.subscribe.as_ref().ok_or(InvalidCall::Missing("subscribe"))?;
    let named = |id: Option<&orrery_api::v1::FrameworkId>| {
        id.map(|id| id.value.clone()).filter(|id| !id.is_empty())
    };
    if named(call.framework_id.as_ref()) != named(subscribe.framework_info.id.as_ref()) {
        return Err(InvalidCall::FrameworkIdDiffers("subscribe"));
    }
    Ok(Type::Subscribe)
}

#[cfg(test)]
mod tests {
    use orrery_api::v1;
    use orrery_api::v1::scheduler::call::UpdateFramework;

    use super::*;

    #[test]
    fn a_framework_can_describe_only_itself_anew() {
        let id = |value: &str| Some(v1::FrameworkId { value: value.to_owned() });
        let validate = |named: Option<v1::FrameworkId>| {
            let framework_info = v1::FrameworkInfo { id: named, ..Default::default() };
            validate_call(&Call {
                framework_id: id("F"),
                r#type: Some(Type::UpdateFramework as i32),
                update_framework: Some(UpdateFramework { framework_info, ..Default::default() }),
                ..Default::default()
            })
        };
        assert_eq!(validate(id("F")), Ok(Type::UpdateFramework));
        for other in [id("G"), None] {
            let error = validate(other).unwrap_err().to_string();
            let expected = "'framework_id' differs from 'update_framework.framework_info.id'";
            assert_eq!(error, expected);
        }
    }
}
