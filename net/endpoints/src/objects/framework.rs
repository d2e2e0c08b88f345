//! Frameworks and their offers.

use orrery_api::v1;
use orrery_api::v1::framework_info::capability;
use serde_json::{Value, json};

use super::{Object, insert_some, number, resources_of};

/// What both daemons show of a framework: `id`, `name`, `user`, `failover_timeout`, `checkpoint`,
/// `hostname`, `principal` if it has one, and `roles` or, without the capability for several,
/// `role`.
pub fn framework_identity(info: &v1::FrameworkInfo) -> Object {
    let id = info.id.as_ref().map_or("", |id| id.value.as_str());
    let mut object = Object::new();
    object.insert("id".into(), id.into());
    object.insert("name".into(), info.name.as_str().into());
    object.insert("user".into(), info.user.as_str().into());
    object.insert("failover_timeout".into(), number(info.failover_timeout()));
    object.insert("checkpoint".into(), info.checkpoint().into());
    object.insert("hostname".into(), info.hostname().into());
    insert_some(&mut object, "principal", info.principal.as_deref().map(Value::from));
    if has_capability(info, capability::Type::MultiRole) {
        object.insert("roles".into(), info.roles.iter().map(String::as_str).collect());
    } else {
        object.insert("role".into(), info.role().into());
    }
    object
}

/// What the master shows of a framework beside its state: the parts of [`framework_identity`],
/// `webui_url`, `capabilities`, and `labels` if it has some.
pub fn framework_summary(info: &v1::FrameworkInfo) -> Object {
    let mut object = framework_identity(info);
    object.insert("webui_url".into(), info.webui_url().into());
    let capabilities = info.capabilities.iter().map(|it| it.r#type().as_str_name());
    object.insert("capabilities".into(), capabilities.collect());
    insert_some(&mut object, "labels", info.labels.as_ref().map(super::labels));
    object
}

/// An offer of a framework.
pub fn offer(offer: &v1::Offer) -> Object {
    let mut object = Object::new();
    object.insert("id".into(), offer.id.value.as_str().into());
    object.insert("framework_id".into(), offer.framework_id.value.as_str().into());
    let role = offer.allocation_info.as_ref().map_or("*", |info| info.role());
    object.insert("allocation_info".into(), json!({ "role": role }));
    object.insert("slave_id".into(), offer.agent_id.value.as_str().into());
    object.insert("resources".into(), resources_of(&offer.resources));
    object
}

fn has_capability(info: &v1::FrameworkInfo, wanted: capability::Type) -> bool {
    info.capabilities.iter().any(|capability| capability.r#type() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framework_of_several_roles_has_the_recorded_shape() {
        let info: v1::FrameworkInfo = orrery_api::json::from_value(&json!({
            "user": "root", "name": "group", "id": {"value": "f-0011"},
            "failover_timeout": 3600, "checkpoint": true, "roles": ["eng/web"],
            "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}],
            "labels": {"labels": [{"key": "k", "value": "v"}]}
        }))
        .expect("a framework");
        assert_eq!(
            Value::Object(framework_identity(&info)),
            json!({"id": "f-0011", "name": "group", "user": "root", "failover_timeout": 3600.0,
                   "checkpoint": true, "hostname": "", "roles": ["eng/web"]})
        );
        assert_eq!(
            Value::Object(framework_summary(&info)),
            json!({"id": "f-0011", "name": "group", "user": "root", "failover_timeout": 3600.0,
                   "checkpoint": true, "hostname": "", "roles": ["eng/web"], "webui_url": "",
                   "capabilities": ["MULTI_ROLE", "PARTITION_AWARE"],
                   "labels": [{"key": "k", "value": "v"}]})
        );
    }

    #[test]
    fn another_framework_has_one_role() {
        let info = v1::FrameworkInfo { principal: Some("p".into()), ..Default::default() };
        let object = framework_identity(&info);
        assert_eq!(object.get("role"), Some(&json!("*")));
        assert_eq!(object.get("principal"), Some(&json!("p")));
        assert!(!object.contains_key("roles"));
    }

    #[test]
    fn an_offer_has_the_recorded_keys() {
        let role = Some("eng/web".to_owned());
        let message = v1::Offer {
            id: v1::OfferId { value: "o".into() },
            framework_id: v1::FrameworkId { value: "f".into() },
            agent_id: v1::AgentId { value: "s".into() },
            allocation_info: Some(v1::resource::AllocationInfo { role }),
            ..Default::default()
        };
        assert_eq!(
            Value::Object(offer(&message)),
            json!({"id": "o", "framework_id": "f", "allocation_info": {"role": "eng/web"},
                   "slave_id": "s",
                   "resources": {"disk": 0.0, "mem": 0.0, "gpus": 0.0, "cpus": 0.0}})
        );
    }
}
