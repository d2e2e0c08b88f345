//! What makes an amount different from another amount of the same name.

use std::cmp::Ordering;

use orrery_api::v1;
use orrery_api::v1::resource::disk_info::source::Type as SourceType;
use orrery_api::v1::resource::{DiskInfo, ReservationInfo, reservation_info};
use prost::Message;

/// Everything except name, amount and allocation role. The order puts unreserved qualities first;
/// beyond that it has no meaning but being the same everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Qualities {
    /// From the outermost reservation to the one that counts now.
    pub(super) reservations: Vec<Reservation>,
    pub(super) disk: Option<Disk>,
    pub(super) revocable: bool,
    pub(super) shared: bool,
    pub(super) provider: Option<String>,
}

impl Qualities {
    /// Whether two equal amounts stay two pieces instead of becoming one of double size.
    pub(super) fn indivisible(&self) -> bool {
        self.shared || self.disk.as_ref().is_some_and(Disk::indivisible)
    }

    /// Whether this is the same as having no qualities at all.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// How a reservation came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReservationType {
    /// Given in the agent's flags.
    Static,
    /// Made by a framework or an operator while the agent ran.
    Dynamic,
}

/// One level of a stack of reservations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reservation {
    /// How it came to be.
    pub kind: ReservationType,
    /// The role that it is for.
    pub role: String,
    /// Who made it.
    pub principal: Option<String>,
    /// Labels in ascending order: their order carries no meaning, so equal sets are equal.
    pub labels: Option<Vec<(String, Option<String>)>>,
}

impl Reservation {
    /// The level as a message of the newer format.
    pub fn to_message(&self) -> ReservationInfo {
        let kind = match self.kind {
            ReservationType::Static => reservation_info::Type::Static,
            ReservationType::Dynamic => reservation_info::Type::Dynamic,
        };
        ReservationInfo {
            r#type: Some(kind as i32),
            role: Some(self.role.clone()),
            ..self.to_older_message()
        }
    }

    /// The message of the older format, which has the role elsewhere and knows no type.
    pub(super) fn to_older_message(&self) -> ReservationInfo {
        ReservationInfo {
            principal: self.principal.clone(),
            labels: self.labels.as_deref().map(write_labels),
            ..Default::default()
        }
    }
}

/// The labels of a message in ascending order.
pub(super) fn read_labels(labels: &v1::Labels) -> Vec<(String, Option<String>)> {
    let pair = |label: &v1::Label| (label.key.clone(), label.value.clone());
    let mut pairs: Vec<_> = labels.labels.iter().map(pair).collect();
    pairs.sort();
    pairs
}

fn write_labels(pairs: &[(String, Option<String>)]) -> v1::Labels {
    let label = |(key, value): &(String, Option<String>)| v1::Label {
        key: key.clone(),
        value: value.clone(),
    };
    v1::Labels { labels: pairs.iter().map(label).collect() }
}

/// A disk's description. Messages have no order of their own, so their encoding lends one.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    info: DiskInfo,
    encoded: Vec<u8>,
}

impl Disk {
    pub(super) fn new(info: DiskInfo) -> Self {
        let encoded = info.encode_to_vec();
        Self { info, encoded }
    }

    pub(super) fn info(&self) -> &DiskInfo {
        &self.info
    }

    fn indivisible(&self) -> bool {
        self.info.persistence.is_some()
            || self.info.source.as_ref().is_some_and(|source| match source.r#type() {
                SourceType::Mount | SourceType::Block => true,
                SourceType::Raw => source.id.is_some(),
                SourceType::Path | SourceType::Unknown => false,
            })
    }
}

impl PartialEq for Disk {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Eq for Disk {}

impl PartialOrd for Disk {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Disk {
    fn cmp(&self, other: &Self) -> Ordering {
        self.encoded.cmp(&other.encoded)
    }
}
