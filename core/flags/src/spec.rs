//! What a flag is: one row of a program's table.

/// The form of a flag's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// `true`, `false`, `1`, `0`; also `--name`, `--no-name` and the empty value.
    Boolean,
    /// A whole number.
    Integer,
    /// A whole number that is not negative.
    Count,
    /// A TCP port, 0–65535; 0 lets the system choose.
    Port,
    /// A decimal number.
    Double,
    /// `<decimal><unit>`, such as `10secs`.
    Duration,
    /// `<integer><unit>`, such as `2GB`.
    Bytes,
    /// A file or folder. `file://` before it is kept as it stands, not read.
    Path,
    /// `<number>%`, 0–100.
    Percent,
    /// An IP address.
    Ip,
    /// A master: `HOST:PORT`. `file://PATH` names a file that holds it; the path is what `/flags`
    /// shows, since the content may hold a password.
    Master,
    /// Where the masters are, in one of the forms of `--master`; what it means is not looked at.
    Masters,
    /// A JSON text, or (deprecated) the absolute path of a file that holds it.
    Json,
    /// `<count>/<duration>`, such as `1/20mins`.
    Rate,
}

impl Kind {
    /// What a value of this kind looks like, to stand after "expected".
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Boolean => "true, false, 1 or 0",
            Self::Integer => "a whole number",
            Self::Count => "a whole number that is not negative",
            Self::Port => "a port number from 0 to 65535",
            Self::Double => "a decimal number",
            Self::Duration => {
                "a number and a unit (ns, us, ms, secs, mins, hrs, days, weeks) such as 10secs"
            }
            Self::Bytes => "a whole number and a unit (B, KB, MB, GB, TB) such as 2GB",
            Self::Path => "a path",
            Self::Percent => "a number from 0 to 100 and a percent sign such as 50%",
            Self::Ip => "an IP address such as 127.0.0.1",
            Self::Master => "a master's address such as 10.0.0.1:5050",
            Self::Masters => {
                "addresses such as 10.0.0.1:5050,10.0.0.2:5050 or zk://10.0.0.9:2181/mesos"
            }
            Self::Json => "a JSON text, or file://PATH of a file that holds it",
            Self::Rate => "a count, a slash and a duration such as 1/20mins",
        }
    }
}

/// How far a flag that Mesos has is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what it says.
    Full,
    /// It is read and shown but changes nothing yet; giving it logs a warning at start.
    NoEffect,
    /// Only its default is kept: any other value is refused with this reason, since ignoring it
    /// would leave the cluster open, or waiting for what never comes.
    DefaultOnly(&'static str),
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub struct FlagSpec {
    /// Its name: lower case, words joined by `_`.
    pub name: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// Its value when it is not given, in the form in which it would be given.
    pub default: Option<&'static str>,
    /// Older names; using one is accepted with a warning.
    pub aliases: &'static [&'static str],
    /// The least value allowed.
    pub minimum: Option<&'static str>,
    /// The greatest value allowed.
    pub maximum: Option<&'static str>,
    /// The only values allowed; empty means any.
    pub choices: &'static [&'static str],
    /// Whether the program refuses to start without it.
    pub required: bool,
    /// How far it is kept.
    pub support: Support,
    /// One sentence on what it does.
    pub help: &'static str,
}

/// A flag without default, alias or bounds, to be refined by the methods of [`FlagSpec`].
pub const fn flag(name: &'static str, kind: Kind, help: &'static str) -> FlagSpec {
    FlagSpec {
        name,
        kind,
        default: None,
        aliases: &[],
        minimum: None,
        maximum: None,
        choices: &[],
        required: false,
        support: Support::Full,
        help,
    }
}

impl FlagSpec {
    /// Its value when it is not given.
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Its older names.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The least value allowed.
    pub const fn at_least(mut self, minimum: &'static str) -> Self {
        self.minimum = Some(minimum);
        self
    }

    /// The greatest value allowed.
    pub const fn at_most(mut self, maximum: &'static str) -> Self {
        self.maximum = Some(maximum);
        self
    }

    /// The only values allowed.
    pub const fn one_of(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    /// The program refuses to start without it.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// It is accepted but changes nothing yet.
    pub const fn no_effect(mut self) -> Self {
        self.support = Support::NoEffect;
        self
    }

    /// Any value but the default is refused for `reason`.
    pub const fn default_only(mut self, reason: &'static str) -> Self {
        self.support = Support::DefaultOnly(reason);
        self
    }

    /// Whether `name` is its name or one of its older names.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }

    /// The form and bounds of its value, to stand after "expected".
    pub fn expected(&self) -> String {
        if !self.choices.is_empty() {
            return format!("one of {}", self.choices.join(", "));
        }
        let form = self.kind.expected();
        match (self.minimum, self.maximum) {
            (Some(minimum), Some(maximum)) => format!("{form}, from {minimum} to {maximum}"),
            (Some(minimum), None) => format!("{form}, at least {minimum}"),
            (None, Some(maximum)) => format!("{form}, at most {maximum}"),
            (None, None) => form.to_owned(),
        }
    }
}
