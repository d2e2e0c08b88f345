//! Faults as plain data: each is one line of text, and [`World::inject`] carries it out.
//!
//! Hosts, processes and files are named by text, so that a plan can be written by hand, kept in a
//! file, cut down, and played against another version. Every fault takes effect at once; what is to
//! happen later is for the plan to say. `mend` takes them all back.
//!
//! | ids | faults |
//! |---|---|
//! | N1–N20 | [`NetworkFault`] |
//! | P1–P15 | [`ProcessFault`] |
//! | D1–D14 | [`DiskFault`]; D1 and D3 (lost writes, lost names) need none: see [`Host::crash`] |
//! | C1–C4 | [`ClockFault`] |
//! | Z1, Z4, Z5, Z7 | [`ZookeeperFault`] |
//!
//! Of the catalogue, these are no faults of a world but matters of the scenario: N4–N6 are
//! partitions of the hosts concerned, N15 is what a client does after N10, N16 happens by itself,
//! P4 is P1 repeated, P5, P6 and P8 start other programs or other flags, P11 and P14 need their
//! components. Z2 is N10 between a client and a server of an ensemble, Z3 is P1 of a client, Z6 is
//! P1 or P3 of a majority of the servers.

mod clock;
mod compound;
mod disk;
mod network;
mod process;
mod table;
pub mod text;
mod values;
mod zookeeper;

use std::fmt;
use std::str::FromStr;

pub use clock::ClockFault;
pub use disk::DiskFault;
pub use network::NetworkFault;
pub use process::ProcessFault;
pub use text::ParseFaultError;
pub use values::{Ahead, Extent, Ways};
pub use zookeeper::ZookeeperFault;

use crate::host::Host;
use crate::world::World;
use text::{Words, join};

/// Something that goes wrong, or is set right again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Between hosts.
    Network(NetworkFault),
    /// Of processes and hosts.
    Process(ProcessFault),
    /// Of a disk.
    Disk(DiskFault),
    /// Of a host's clocks.
    Clock(ClockFault),
    /// Of a ZooKeeper ensemble.
    Zookeeper(ZookeeperFault),
    /// Everything is set right again, as far as that goes: all links, disks, clocks, launches and
    /// names; stopped processes go on. Hosts without power stay so, dead processes too.
    Mend,
}

const MEND: &str = "mend";

/// Why a fault could not be injected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// The world has no host of this name.
    #[error("host '{0}' is not known: expected the name of a host that was made before")]
    UnknownHost(String),
    /// No server of an ensemble runs on this host.
    #[error("host '{0}' has no ZooKeeper server: expected one of an ensemble's hosts")]
    NoServer(String),
    /// No snapshot of this name was taken on this host.
    #[error("snapshot '{name}' of host '{host}' is not known: expected one taken before")]
    UnknownSnapshot {
        /// The host.
        host: String,
        /// The snapshot.
        name: String,
    },
}

impl Fault {
    /// The ids of the catalogue that it stands for, separated by spaces.
    pub const fn catalogue(&self) -> &'static str {
        match self {
            Self::Network(fault) => fault.catalogue(),
            Self::Process(fault) => fault.catalogue(),
            Self::Disk(fault) => fault.catalogue(),
            Self::Clock(fault) => fault.catalogue(),
            Self::Zookeeper(fault) => fault.catalogue(),
            Self::Mend => "",
        }
    }

    /// The first word of its line.
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::Network(fault) => fault.keyword(),
            Self::Process(fault) => fault.keyword(),
            Self::Disk(fault) => fault.keyword(),
            Self::Clock(fault) => fault.keyword(),
            Self::Zookeeper(fault) => fault.keyword(),
            Self::Mend => MEND,
        }
    }

    /// The hosts that it names, each with the field that does, such as `host` or `from`.
    pub fn hosts(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Network(fault) => fault.hosts(),
            Self::Process(fault) => fault.hosts(),
            Self::Disk(fault) => fault.hosts(),
            Self::Clock(fault) => fault.hosts(),
            Self::Zookeeper(fault) => fault.hosts(),
            Self::Mend => Vec::new(),
        }
    }

    /// The first words of all faults' lines.
    pub fn keywords() -> impl Iterator<Item = &'static str> {
        let tables = [
            NetworkFault::KEYWORDS,
            ProcessFault::KEYWORDS,
            DiskFault::KEYWORDS,
            ClockFault::KEYWORDS,
            ZookeeperFault::KEYWORDS,
            &[MEND],
        ];
        tables.into_iter().flatten().copied()
    }

    fn words(&self) -> Vec<String> {
        match self {
            Self::Network(fault) => fault.words(),
            Self::Process(fault) => fault.words(),
            Self::Disk(fault) => fault.words(),
            Self::Clock(fault) => fault.words(),
            Self::Zookeeper(fault) => fault.words(),
            Self::Mend => vec![MEND.to_owned()],
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&join(&self.words()))
    }
}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(line: &str) -> Result<Self, ParseFaultError> {
        let mut words = Words::split(line)?;
        let Some(keyword) = words.take() else {
            return Err(ParseFaultError::missing("fault", expected_keywords()));
        };
        let fault = if keyword == MEND {
            Self::Mend
        } else if let Some(fault) = NetworkFault::read(&keyword, &mut words)? {
            Self::Network(fault)
        } else if let Some(fault) = ProcessFault::read(&keyword, &mut words)? {
            Self::Process(fault)
        } else if let Some(fault) = DiskFault::read(&keyword, &mut words)? {
            Self::Disk(fault)
        } else if let Some(fault) = ClockFault::read(&keyword, &mut words)? {
            Self::Clock(fault)
        } else if let Some(fault) = ZookeeperFault::read(&keyword, &mut words)? {
            Self::Zookeeper(fault)
        } else {
            return Err(ParseFaultError::new("fault", &keyword, expected_keywords()));
        };
        words.end()?;
        Ok(fault)
    }
}

fn expected_keywords() -> String {
    format!("one of {}", Fault::keywords().collect::<Vec<_>>().join(" "))
}

macro_rules! from {
    ($($group:ident: $fault:ty),*) => {$(
        impl From<$fault> for Fault {
            fn from(fault: $fault) -> Self {
                Self::$group(fault)
            }
        }
    )*};
}
from!(
    Network: NetworkFault,
    Process: ProcessFault,
    Disk: DiskFault,
    Clock: ClockFault,
    Zookeeper: ZookeeperFault
);

impl World {
    /// Carries a fault out, at once, and notes its line in the trace.
    ///
    /// # Errors
    /// It names a host or snapshot that there is not; nothing has happened then. That a pattern
    /// matches no process, or a path no file, is no error.
    pub fn inject(&self, fault: &Fault) -> Result<(), InjectError> {
        self.trace("fault", fault.keyword(), &fault.to_string());
        match fault {
            Fault::Network(fault) => fault.apply(self),
            Fault::Process(fault) => fault.apply(self),
            Fault::Disk(fault) => fault.apply(self),
            Fault::Clock(fault) => fault.apply(self),
            Fault::Zookeeper(fault) => fault.apply(self),
            Fault::Mend => {
                self.mend();
                Ok(())
            }
        }
    }

    /// Takes every fault back that can be: see [`Fault::Mend`].
    pub fn mend(&self) {
        self.network().mend();
        for host in self.hosts() {
            host.mend();
        }
        for ensemble in self.ensembles() {
            ensemble.mend();
        }
    }

    fn known(&self, name: &str) -> Result<Host, InjectError> {
        let found = self.hosts().into_iter().find(|host| host.name() == name);
        found.ok_or_else(|| InjectError::UnknownHost(name.to_owned()))
    }

    fn all_known(&self, names: &[String]) -> Result<Vec<Host>, InjectError> {
        names.iter().map(|name| self.known(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_fault() -> impl Strategy<Value = Fault> {
        prop_oneof![
            4 => NetworkFault::any().prop_map(Fault::Network),
            3 => ProcessFault::any().prop_map(Fault::Process),
            3 => DiskFault::any().prop_map(Fault::Disk),
            1 => ClockFault::any().prop_map(Fault::Clock),
            1 => ZookeeperFault::any().prop_map(Fault::Zookeeper),
            1 => Just(Fault::Mend),
        ]
    }

    fn many() -> ProptestConfig {
        ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(many())]

        #[test]
        fn every_fault_is_one_line_that_is_read_back(fault in any_fault()) {
            let line = fault.to_string();
            prop_assert_eq!(line.lines().count(), 1, "{}", line);
            prop_assert_eq!(line.parse::<Fault>(), Ok(fault));
        }

        #[test]
        fn no_line_breaks_the_parser(
            line in "\\PC{0,40}",
            cut in 0..40_usize,
            fault in any_fault(),
        ) {
            let _ = line.parse::<Fault>();
            let short: String = fault.to_string().chars().take(cut).collect();
            let _ = short.parse::<Fault>();
        }
    }

    #[test]
    fn lines_are_readable() {
        for line in [
            "cut master agent-1 one-way",
            "partition master,agent-1 agent-2 both-ways",
            "tail master agent-1 0.5% 1s..5s both-ways",
            "break-after master agent-1 100 reset",
            "kill agent-1 agent",
            "crash-at agent-1 agent rename */meta/* 3 before host",
            "behave agent-1 orrery-executor exit 0s..1ms 3",
            "behave agent-1 orrery-executor none",
            "stall agent-1 30s",
            "fail-disk agent-1 sync 2",
            "clock agent-1 -1h",
            "drift agent-1 -500",
            "restore log-1 \"before upgrade\"",
            "expire-sessions /mesos one",
            "lose-answers zk-1 2",
            "mend",
        ] {
            assert_eq!(line.parse::<Fault>().map(|fault| fault.to_string()), Ok(line.to_owned()));
        }
    }

    #[test]
    fn errors_name_the_field() {
        for (line, expected) in [
            ("cut a", "b is missing: expected a word"),
            ("cut a b", "ways is missing: expected both-ways or one-way"),
            ("stall a", "duration is missing: expected a number with ns, us, ms, s, m or h"),
            ("cut a b c", "ways 'c': expected both-ways or one-way"),
            ("cut a b one-way d", "rest 'd': expected the end of the line"),
            ("stall a 5", "duration '5': expected a number with ns, us, ms, s, m or h"),
            ("read-only a yes", "on 'yes': expected on or off"),
            ("cut \"a", "line 'cut \"a': expected a closing quote"),
        ] {
            let error = line.parse::<Fault>().expect_err("wrong");
            assert_eq!(error.to_string(), expected, "{line}");
        }
        for (line, expected) in [
            ("", "fault is missing: expected one of cut heal "),
            ("hit a", "fault 'hit': expected one of cut heal "),
        ] {
            let error = line.parse::<Fault>().expect_err("wrong").to_string();
            assert!(error.starts_with(expected) && error.ends_with(" mend"), "{error}");
        }
    }

    #[test]
    fn a_fault_knows_the_hosts_that_it_names() {
        for (line, hosts) in [
            ("cut a b one-way", &["a", "b"][..]),
            ("partition a,b c both-ways", &["a", "b", "c"]),
            ("crash-at a agent rename */b/* 3 before host", &["a"]),
            ("take-address a b", &["a", "b"]),
            ("point-name master agent-1", &["agent-1"]),
            ("lose-answers zk-1 2", &["zk-1"]),
            ("expire-sessions /mesos one", &[]),
            ("mend", &[]),
        ] {
            let fault: Fault = line.parse().expect(line);
            let names: Vec<String> = fault.hosts().into_iter().map(|(_, name)| name).collect();
            assert_eq!(names, hosts, "{line}");
        }
    }
}
