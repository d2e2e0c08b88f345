//! The form in which what stands in plans is listed: the first word of each variant, and its
//! fields, which follow in this order.

/// Reads and writes an enum whose variants are a word and the words of their fields.
macro_rules! variants {
    ($type:ty, $($keyword:literal => $name:ident { $($field:tt: $value:ident),* },)+) => {
        impl $type {
            /// What the text of each variant begins with.
            pub const KEYWORDS: &[&str] = &[$($keyword),+];
        }

        impl orrery_runtime_sim::text::Text for $type {
            fn write(&self, words: &mut Vec<String>) {
                match self {
                    $(Self::$name { $($field: $value),* } => {
                        words.push($keyword.to_owned());
                        $(orrery_runtime_sim::text::Text::write($value, words);)*
                    })+
                }
            }

            fn read(
                field: &'static str,
                words: &mut orrery_runtime_sim::text::Words,
            ) -> Result<Self, orrery_runtime_sim::text::ParseFaultError> {
                const EXPECTED: &str = concat!("one of" $(, " ", $keyword)+);
                let word = words.next(field, EXPECTED)?;
                match word.as_str() {
                    $($keyword => Ok(Self::$name {
                        $($field: orrery_runtime_sim::text::Text::read(
                            stringify!($value), words)?),*
                    }),)+
                    _ => Err(orrery_runtime_sim::text::ParseFaultError::new(
                        field, &word, EXPECTED)),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut words = Vec::new();
                orrery_runtime_sim::text::Text::write(self, &mut words);
                formatter.write_str(&orrery_runtime_sim::text::join(&words))
            }
        }
    };
}

/// Reads and writes a struct by the names of its fields. Those that have their default value are
/// left out.
macro_rules! settings {
    ($type:ty, $($keyword:literal => $field:ident,)+) => {
        impl $type {
            /// The words that name its fields.
            pub const SETTINGS: &[&str] = &[$($keyword),+];

            /// The words of each field that differs from its default.
            fn settings(&self) -> Vec<Vec<String>> {
                let defaults = Self::default();
                let mut lines = Vec::new();
                $(if self.$field != defaults.$field {
                    let mut words = vec![$keyword.to_owned()];
                    orrery_runtime_sim::text::Text::write(&self.$field, &mut words);
                    lines.push(words);
                })+
                lines
            }

            /// Takes the value of the field that `keyword` names.
            fn read_setting(
                &mut self,
                keyword: &str,
                words: &mut orrery_runtime_sim::text::Words,
            ) -> Result<(), orrery_runtime_sim::text::ParseFaultError> {
                const EXPECTED: &str = concat!("one of" $(, " ", $keyword)+);
                match keyword {
                    $($keyword => {
                        self.$field = orrery_runtime_sim::text::Text::read($keyword, words)?;
                        Ok(())
                    })+
                    _ => Err(orrery_runtime_sim::text::ParseFaultError::new(
                        "setting", keyword, EXPECTED)),
                }
            }
        }
    };
}

pub(super) use {settings, variants};
