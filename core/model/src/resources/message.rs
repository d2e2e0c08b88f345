//! Reading and writing `mesos.v1.Resource`.
//!
//! There are two ways to write a reservation. The older one has the fields `role` and
//! `reservation` and knows a single level; the newer one has the list `reservations`. Everything
//! is kept in the newer form; the older one is accepted, and written for those who need it.

// The older format lives in fields that are marked as deprecated.
#![allow(deprecated)]

use std::collections::BTreeSet;
use std::sync::Arc;

use orrery_api::v1;
use orrery_api::v1::resource::disk_info::source::Type as SourceType;
use orrery_api::v1::resource::{AllocationInfo, DiskInfo, ReservationInfo, reservation_info};
use orrery_api::v1::value::Type;

use crate::ranges::{Range, Ranges};
use crate::resources::amounts::{Amounts, Value};
use crate::resources::error::{Problem, ResourceError};
use crate::resources::group::Group;
use crate::resources::iter::{Entry, ValueRef};
use crate::resources::qualities::{Disk, Qualities, Reservation, ReservationType, read_labels};
use crate::roles;
use crate::scalar::Scalar;
use crate::value::overlapping;

/// Checks one message and turns it into a group; `None` when its amount is empty.
pub(super) fn read(message: &v1::Resource) -> Result<Option<Group>, ResourceError> {
    read_group(message).map_err(|problem| ResourceError::new(&message.name, problem))
}

fn read_group(message: &v1::Resource) -> Result<Option<Group>, Problem> {
    if message.name.is_empty() {
        return Err(Problem::EmptyName);
    }
    let value = read_value(message)?;
    let qualities = read_qualities(message)?;
    let allocation = match &message.allocation_info {
        Some(AllocationInfo { role: Some(role) }) => {
            roles::validate(role)?;
            Some(Arc::from(role.as_str()))
        }
        _ => None,
    };
    let amounts = Amounts::single(&message.name, value);
    let qualities = (!qualities.is_plain()).then(|| Arc::new(qualities));
    let group = Group { qualities, allocation, copies: 1, amounts };
    Ok((!group.is_empty()).then_some(group))
}

fn read_value(message: &v1::Resource) -> Result<Value, Problem> {
    let set = (message.scalar.is_some(), message.ranges.is_some(), message.set.is_some());
    match (Type::try_from(message.r#type), set) {
        (Ok(Type::Scalar), (true, false, false)) => read_scalar(message),
        (Ok(Type::Ranges), (false, true, false)) => read_ranges(message),
        (Ok(Type::Set), (false, false, true)) => read_set(message),
        (Ok(Type::Scalar), _) => Err(Problem::Type { kind: "SCALAR", field: "scalar" }),
        (Ok(Type::Ranges), _) => Err(Problem::Type { kind: "RANGES", field: "ranges" }),
        (Ok(Type::Set), _) => Err(Problem::Type { kind: "SET", field: "set" }),
        (Ok(Type::Text) | Err(_), _) => Err(Problem::UnknownType(message.r#type)),
    }
}

fn read_scalar(message: &v1::Resource) -> Result<Value, Problem> {
    let value = message.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
    let scalar = Scalar::from_f64(value).filter(|_| value >= 0.0);
    let scalar = scalar.ok_or(Problem::Amount(value))?;
    if message.name == "gpus" && scalar.0 % 1000 != 0 {
        return Err(Problem::Fraction(value));
    }
    Ok(Value::Scalar(scalar))
}

fn read_ranges(message: &v1::Resource) -> Result<Value, Problem> {
    let list = message.ranges.as_ref().map_or(&[][..], |ranges| &ranges.range);
    if let Some(wrong) = list.iter().find(|range| range.begin > range.end) {
        return Err(Problem::Range(wrong.begin, wrong.end));
    }
    let range = |range: &v1::value::Range| Range { begin: range.begin, end: range.end };
    let ranges: Vec<Range> = list.iter().map(range).collect();
    if overlapping(&ranges) {
        return Err(Problem::Overlap);
    }
    Ok(Value::Ranges(Ranges::from_ranges(ranges)))
}

fn read_set(message: &v1::Resource) -> Result<Value, Problem> {
    let mut items = BTreeSet::new();
    for item in message.set.iter().flat_map(|set| &set.item) {
        if !items.insert(item.clone()) {
            return Err(Problem::Duplicate(item.clone()));
        }
    }
    Ok(Value::Set(items))
}

fn read_qualities(message: &v1::Resource) -> Result<Qualities, Problem> {
    let reservations = read_reservations(message)?;
    let revocable = message.revocable.is_some();
    let dynamic = |reservation: &Reservation| reservation.kind == ReservationType::Dynamic;
    if revocable && reservations.iter().any(dynamic) {
        return Err(Problem::RevocableReservation);
    }
    if let Some(disk) = &message.disk {
        check_disk(message, disk, !reservations.is_empty())?;
    }
    let persistent = message.disk.as_ref().is_some_and(|disk| disk.persistence.is_some());
    if message.shared.is_some() && !persistent {
        return Err(Problem::Shared);
    }
    Ok(Qualities {
        reservations,
        // An empty description says nothing, so it must not keep amounts apart.
        disk: message
            .disk
            .as_deref()
            .filter(|disk| **disk != DiskInfo::default())
            .map(|disk| Disk::new(disk.clone())),
        revocable,
        shared: message.shared.is_some(),
        provider: message.provider_id.as_ref().map(|id| id.value.clone()),
    })
}

fn check_disk(message: &v1::Resource, disk: &DiskInfo, reserved: bool) -> Result<(), Problem> {
    if message.name != "disk" || message.r#type != Type::Scalar as i32 {
        return Err(Problem::Disk("'disk' is set; expected it on the scalar resource disk only"));
    }
    if disk.persistence.is_some() && !reserved {
        return Err(Problem::Disk("'disk.persistence' is set; expected a reserved resource"));
    }
    if disk.persistence.is_none() && disk.volume.is_some() {
        return Err(Problem::Disk("'disk.volume' is set; expected 'disk.persistence' with it"));
    }
    match disk.source.as_ref().map(|source| source.r#type()) {
        Some(SourceType::Unknown) => {
            Err(Problem::Disk("'disk.source.type' is unknown; expected PATH, MOUNT, BLOCK or RAW"))
        }
        _ => Ok(()),
    }
}

fn read_reservations(message: &v1::Resource) -> Result<Vec<Reservation>, Problem> {
    let older = match (&message.role, &message.reservation) {
        (Some(_), _) => Some("role"),
        (None, Some(_)) => Some("reservation"),
        (None, None) => None,
    };
    match older {
        Some(field) if !message.reservations.is_empty() => Err(Problem::MixedFormats(field)),
        Some(_) => read_older(message),
        None => read_stack(&message.reservations),
    }
}

fn read_older(message: &v1::Resource) -> Result<Vec<Reservation>, Problem> {
    let role = message.role.as_deref().unwrap_or(roles::DEFAULT);
    roles::validate(role)?;
    match &message.reservation {
        None if role == roles::DEFAULT => Ok(Vec::new()),
        None => Ok(vec![Reservation {
            kind: ReservationType::Static,
            role: role.to_owned(),
            principal: None,
            labels: None,
        }]),
        Some(_) if role == roles::DEFAULT => Err(Problem::Reservation(
            "'reservation' is set and 'role' is '*'; expected the role that it is for",
        )),
        Some(reservation) if reservation.role.is_some() || reservation.r#type.is_some() => {
            Err(Problem::Reservation(
                "'reservation' has a role or type; expected these in 'reservations' only",
            ))
        }
        Some(reservation) => Ok(vec![level(reservation, ReservationType::Dynamic, role)]),
    }
}

fn read_stack(stack: &[ReservationInfo]) -> Result<Vec<Reservation>, Problem> {
    let mut levels: Vec<Reservation> = Vec::with_capacity(stack.len());
    for info in stack {
        let Some(role) = info.role.as_deref() else {
            return Err(Problem::Reservation("'reservations' has a level without 'role'"));
        };
        roles::validate(role)?;
        if role == roles::DEFAULT {
            return Err(Problem::Reservation("'reservations' has the role '*'; expected another"));
        }
        let kind = match info.r#type() {
            reservation_info::Type::Static => ReservationType::Static,
            reservation_info::Type::Dynamic => ReservationType::Dynamic,
            reservation_info::Type::Unknown => {
                return Err(Problem::Reservation(
                    "'reservations' has a level without 'type'; expected STATIC or DYNAMIC",
                ));
            }
        };
        if let Some(above) = levels.last() {
            if kind == ReservationType::Static {
                return Err(Problem::Reservation(
                    "'reservations' refines with a STATIC level; expected DYNAMIC after the first",
                ));
            }
            if !roles::is_below(role, &above.role) {
                let above = above.role.clone();
                return Err(Problem::Refinement { role: role.to_owned(), above });
            }
        }
        levels.push(level(info, kind, role));
    }
    Ok(levels)
}

fn level(info: &ReservationInfo, kind: ReservationType, role: &str) -> Reservation {
    Reservation {
        kind,
        role: role.to_owned(),
        principal: info.principal.clone(),
        labels: info.labels.as_ref().map(read_labels),
    }
}

impl Entry<'_> {
    /// The amount as a message of the newer format.
    pub fn to_message(&self) -> v1::Resource {
        let mut message = self.bare_message();
        message.reservations = self.reservations().iter().map(Reservation::to_message).collect();
        message
    }

    pub(super) fn to_endpoint_message(self) -> v1::Resource {
        let mut message = self.to_message();
        self.write_older(&mut message);
        message
    }

    pub(super) fn to_older_message(self) -> v1::Resource {
        let mut message = self.bare_message();
        self.write_older(&mut message);
        message
    }

    /// Sets `role` and `reservation`. A refined reservation has no older form and sets neither.
    fn write_older(&self, message: &mut v1::Resource) {
        match self.reservations() {
            [] => message.role = Some(roles::DEFAULT.to_owned()),
            [only] => {
                message.role = Some(only.role.clone());
                let dynamic = only.kind == ReservationType::Dynamic;
                message.reservation = dynamic.then(|| Box::new(only.to_older_message()));
            }
            _ => {}
        }
    }

    /// Everything except reservations.
    fn bare_message(&self) -> v1::Resource {
        let mut message = v1::Resource {
            name: self.name().to_owned(),
            provider_id: self
                .provider_id()
                .map(|id| v1::ResourceProviderId { value: id.to_owned() }),
            allocation_info: self
                .allocation_role()
                .map(|role| AllocationInfo { role: Some(role.to_owned()) }),
            disk: self.disk().cloned().map(Box::new),
            revocable: self.is_revocable().then(Default::default),
            shared: self.is_shared().then(Default::default),
            ..Default::default()
        };
        message.r#type = match self.value() {
            ValueRef::Scalar(scalar) => {
                message.scalar = Some(v1::value::Scalar { value: scalar.as_f64() });
                Type::Scalar
            }
            ValueRef::Ranges(ranges) => {
                message.ranges = Some(ranges.into());
                Type::Ranges
            }
            ValueRef::Set(items) => {
                message.set = Some(v1::value::Set { item: items.iter().cloned().collect() });
                Type::Set
            }
        } as i32;
        message
    }
}
