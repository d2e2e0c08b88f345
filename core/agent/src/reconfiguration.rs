//! Which changes of its settings an agent may come back with under the same id.

use orrery_api::v1;
use orrery_model::Resources;

/// What a restarted agent may have changed about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nothing.
    #[default]
    Equal,
    /// There may be more: resources, attributes, a domain where there was none.
    Additive,
}

/// A change that the policy does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} has changed from '{previous}' to '{current}': expected {expected}")]
pub struct Reconfiguration {
    /// What has changed.
    pub field: &'static str,
    /// Before, in words.
    pub previous: String,
    /// Now, in words.
    pub current: String,
    /// What the policy asks for.
    pub expected: &'static str,
}

impl Policy {
    /// Checks what an agent was against what it is now; ids are left aside.
    ///
    /// # Errors
    /// The first change that this policy does not allow.
    pub fn check(
        self,
        previous: &v1::AgentInfo,
        current: &v1::AgentInfo,
    ) -> Result<(), Reconfiguration> {
        let expected = match self {
            Self::Equal => "no change",
            Self::Additive => "no change, or something added",
        };
        let refuse = |field, previous: String, current: String| {
            Err(Reconfiguration { field, previous, current, expected })
        };
        let refuse_always = |field, previous: String, current: String| {
            Err(Reconfiguration { field, previous, current, expected: "no change" })
        };
        if previous.hostname != current.hostname {
            return refuse_always("hostname", previous.hostname.clone(), current.hostname.clone());
        }
        if previous.port() != current.port() {
            return refuse_always("port", previous.port().to_string(), current.port().to_string());
        }
        if !self.allows_domain(previous, current) {
            return refuse("domain", domain(previous), domain(current));
        }
        let resources = |info: &v1::AgentInfo| Resources::from_messages(&info.resources);
        let (before, now) =
            (resources(previous).unwrap_or_default(), resources(current).unwrap_or_default());
        if !self.allows(before == now, now.contains(&before)) {
            return refuse("resources", before.to_string(), now.to_string());
        }
        let (before, now) = (&previous.attributes, &current.attributes);
        let (kept, nothing_new) = (are_kept(before, now), are_kept(now, before));
        if !self.allows(kept && nothing_new, kept) {
            return refuse("attributes", text(before), text(now));
        }
        Ok(())
    }

    fn allows(self, equal: bool, more: bool) -> bool {
        match self {
            Self::Equal => equal,
            Self::Additive => more,
        }
    }

    fn allows_domain(self, previous: &v1::AgentInfo, current: &v1::AgentInfo) -> bool {
        self.allows(
            previous.domain == current.domain,
            previous.domain.is_none() || previous.domain == current.domain,
        )
    }
}

/// Whether each attribute is still there with its value; ranges may have grown.
fn are_kept(before: &[v1::Attribute], now: &[v1::Attribute]) -> bool {
    before.iter().all(|attribute| now.iter().any(|other| is_kept(attribute, other)))
}

fn is_kept(before: &v1::Attribute, now: &v1::Attribute) -> bool {
    let (Some(old), Some(new)) = (&before.ranges, &now.ranges) else {
        return before == now;
    };
    let inside = |range: &v1::value::Range| {
        new.range.iter().any(|it| it.begin <= range.begin && range.end <= it.end)
    };
    before.name == now.name && old.range.iter().all(inside)
}

fn text(attributes: &[v1::Attribute]) -> String {
    let pairs = attributes.iter().map(|it| format!("{}:{}", it.name, value(it)));
    pairs.collect::<Vec<_>>().join(";")
}

fn value(attribute: &v1::Attribute) -> String {
    let text = attribute.text.as_ref().map(|text| text.value.clone());
    let scalar = attribute.scalar.as_ref().map(|scalar| scalar.value.to_string());
    let ranges = attribute.ranges.as_ref().map(|ranges| {
        let each = ranges.range.iter().map(|range| format!("{}-{}", range.begin, range.end));
        format!("[{}]", each.collect::<Vec<_>>().join(","))
    });
    let set = attribute.set.as_ref().map(|set| format!("{{{}}}", set.item.join(",")));
    text.or(scalar).or(ranges).or(set).unwrap_or_default()
}

fn domain(info: &v1::AgentInfo) -> String {
    let fault_domain = info.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
    fault_domain.map_or_else(String::new, |it| format!("{}/{}", it.region.name, it.zone.name))
}

#[cfg(test)]
mod tests {
    use orrery_model::attributes;
    use orrery_model::resources::parse_messages;

    use super::*;

    fn agent(resources: &str, attributes: &str) -> v1::AgentInfo {
        v1::AgentInfo {
            hostname: "host".to_owned(),
            port: Some(5051),
            resources: parse_messages(resources, "*").unwrap(),
            attributes: attributes::parse(attributes).unwrap(),
            ..Default::default()
        }
    }

    fn refusal(policy: Policy, now: &v1::AgentInfo) -> Option<String> {
        let before = agent("cpus:8;mem:1024", "rack:a;level:[1-3]");
        policy.check(&before, now).err().map(|error| error.to_string())
    }

    #[test]
    fn the_same_is_allowed_in_whatever_order() {
        let same = agent("mem:1024;cpus:8", "level:[1-3];rack:a");
        assert_eq!(refusal(Policy::Equal, &same), None);
        assert_eq!(refusal(Policy::Additive, &same), None);
    }

    #[test]
    fn more_is_allowed_by_one_policy_only() {
        for more in [
            agent("cpus:16;mem:1024", "rack:a;level:[1-3]"),
            agent("cpus:8;mem:1024;gpus:1", "rack:a;level:[1-3]"),
            agent("cpus:8;mem:1024", "rack:a;level:[1-5];zone:z"),
        ] {
            assert_eq!(refusal(Policy::Additive, &more), None);
            let line = refusal(Policy::Equal, &more).unwrap();
            assert!(line.ends_with("expected no change"), "{line}");
        }
    }

    #[test]
    fn less_is_refused_with_both_values() {
        let less = agent("cpus:4;mem:1024", "rack:a;level:[1-3]");
        let expected = "resources has changed from 'cpus:8; mem:1024' to 'cpus:4; mem:1024': \
                        expected no change, or something added";
        assert_eq!(refusal(Policy::Additive, &less).as_deref(), Some(expected));
        let other_rack = agent("cpus:8;mem:1024", "rack:b;level:[1-3]");
        let line = refusal(Policy::Additive, &other_rack).unwrap();
        assert!(line.starts_with("attributes has changed from 'rack:a"), "{line}");
    }

    #[test]
    fn another_name_or_port_is_never_allowed() {
        let same = agent("cpus:8;mem:1024", "rack:a;level:[1-3]");
        let renamed = v1::AgentInfo { hostname: "other".to_owned(), ..same.clone() };
        let moved = v1::AgentInfo { port: Some(5052), ..same };
        for policy in [Policy::Equal, Policy::Additive] {
            let line = refusal(policy, &renamed).unwrap();
            assert_eq!(line, "hostname has changed from 'host' to 'other': expected no change");
            let line = refusal(policy, &moved).unwrap();
            assert_eq!(line, "port has changed from '5051' to '5052': expected no change");
        }
    }
}
