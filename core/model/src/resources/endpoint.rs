//! How the older endpoints show resources: one number or text for each name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

use crate::quantities::KNOWN;
use crate::ranges::Ranges;
use crate::resources::Resources;
use crate::resources::iter::ValueRef;
use crate::scalar::Scalar;

/// The object that `/state` and `/slaves` have for resources: `cpus`, `gpus`, `mem` and `disk` are
/// always there as numbers with a fraction, other scalars too when they are not zero; ranges and
/// sets are texts. Names of revocable amounts end in `_revocable`. Roles are added up.
pub fn endpoint_object(resources: &Resources) -> Map<String, Value> {
    let mut scalars: BTreeMap<String, Scalar> =
        KNOWN.iter().map(|name| ((*name).to_owned(), Scalar::ZERO)).collect();
    let mut ranges: BTreeMap<String, Ranges> = BTreeMap::new();
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in resources.iter() {
        let suffix = if entry.is_revocable() { "_revocable" } else { "" };
        let name = format!("{}{suffix}", entry.name());
        match entry.value() {
            ValueRef::Scalar(amount) => *scalars.entry(name).or_default() += amount,
            ValueRef::Ranges(more) => ranges.entry(name).or_default().add(more),
            ValueRef::Set(items) => sets.entry(name).or_default().extend(items.iter().cloned()),
        }
    }
    let number =
        |amount: Scalar| Number::from_f64(amount.as_f64()).map_or(Value::Null, Value::from);
    let text = |(name, items): (String, BTreeSet<String>)| {
        (name, Value::from(ValueRef::Set(&items).to_string()))
    };
    let mut object: Map<String, Value> =
        scalars.into_iter().map(|(name, amount)| (name, number(amount))).collect();
    object.extend(ranges.into_iter().map(|(name, ranges)| (name, ranges.to_string().into())));
    object.extend(sets.into_iter().map(text));
    object
}
