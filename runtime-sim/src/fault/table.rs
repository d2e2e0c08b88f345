//! The form in which faults are listed: a variant with the ids of the catalogue, the first word of
//! its line, and its fields, which follow in this order.

macro_rules! faults {
    (
        $(#[$outer:meta])*
        $table:ident {
            $(
                $(#[$doc:meta])*
                $name:ident($ids:literal, $keyword:literal) {
                    $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)?
                }
            )*
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $table {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\n`", $keyword, "` ", $ids)]
                $name { $($(#[$field_doc])* $field: $type),* },
            )*
        }

        impl $table {
            /// The first words of all lines.
            pub const KEYWORDS: &[&str] = &[$($keyword),*];

            /// The ids of the catalogue that it stands for, separated by spaces.
            pub const fn catalogue(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $ids,)*
                }
            }

            /// The first word of its line.
            pub const fn keyword(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $keyword,)*
                }
            }

            pub(super) fn words(&self) -> Vec<String> {
                let mut words = vec![self.keyword().to_owned()];
                match self {
                    $(Self::$name { $($field),* } => {
                        $($crate::fault::text::Text::write($field, &mut words);)*
                    })*
                }
                words
            }

            /// The hosts that it names, each with the field that does.
            pub(super) fn hosts(&self) -> Vec<(&'static str, String)> {
                let mut hosts = Vec::new();
                match self {
                    $(Self::$name { $($field),* } => {
                        $($crate::fault::table::add_hosts(&mut hosts, stringify!($field), $field);)*
                    })*
                }
                hosts
            }

            /// Reads the fields of the fault that `keyword` names; `None` when it names none of
            /// these.
            pub(super) fn read(
                keyword: &str,
                words: &mut $crate::fault::text::Words,
            ) -> Result<Option<Self>, $crate::fault::text::ParseFaultError> {
                let fault = match keyword {
                    $($keyword => Self::$name {
                        $($field: $crate::fault::text::Text::read(stringify!($field), words)?),*
                    },)*
                    _ => return Ok(None),
                };
                Ok(Some(fault))
            }

            /// Any fault, for tests.
            #[cfg(test)]
            pub(super) fn any() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::strategy::{Just, Strategy, Union};
                use $crate::fault::text::Text;
                Union::new([
                    $((Just(()), $(<$type as Text>::any()),*)
                        .prop_map(|((), $($field),*)| Self::$name { $($field),* })
                        .boxed(),)*
                ])
                .boxed()
            }
        }
    };
}

pub(super) use faults;

use super::text::Text;

/// The fields that hold hosts, in whatever table.
const HOSTS: [&str; 9] = ["host", "a", "b", "from", "to", "owner", "left", "right", "hosts"];

/// Adds the hosts of a field, if that is what it holds. Several stand in one word, between commas.
pub(super) fn add_hosts(
    hosts: &mut Vec<(&'static str, String)>,
    field: &'static str,
    value: &impl Text,
) {
    if !HOSTS.contains(&field) {
        return;
    }
    let mut words = Vec::new();
    value.write(&mut words);
    let names = words.iter().flat_map(|word| word.split(',')).filter(|name| !name.is_empty());
    hosts.extend(names.map(|name| (field, name.to_owned())));
}
