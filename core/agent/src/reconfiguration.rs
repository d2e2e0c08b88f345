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
#[error("{field} was '{previous}' and is '{current}': expected {expected}")]
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
        if previous.hostname != current.hostname {
            return refuse("hostname", previous.hostname.clone(), current.hostname.clone());
        }
        if previous.port() != current.port() {
            return refuse("port", previous.port().to_string(), current.port().to_string());
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
