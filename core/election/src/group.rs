//! The names under which members of a group stand: Mesos' own, so that its tools find our leader
//! and we find its.

use bytes::Bytes;

/// Before the number of a master that holds its `MasterInfo` as JSON.
pub const JSON_LABEL: &str = "json.info";

/// Before the number of a master of older days, which holds it as protobuf.
pub const PROTOBUF_LABEL: &str = "info";

/// The group of the log's replicas, below the masters' own node. Its members have no label.
pub const LOG_REPLICAS: &str = "log_replicas";

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name of its node.
    pub name: String,
    /// The number in it. After 2147483647 ZooKeeper goes on with -2147483648, which then is the
    /// lowest: everybody sees the same leader, and the old one that it is none any more.
    pub sequence: i32,
    /// What it says of itself.
    pub data: Bytes,
}

/// Whose group it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Masters; the lowest number leads.
    Masters,
    /// Replicas of the log.
    Replicas,
}

impl Kind {
    /// What a node's name begins with; the service adds the number.
    pub(crate) const fn beginning(self) -> &'static str {
        match self {
            Self::Masters => "json.info_",
            Self::Replicas => "",
        }
    }

    /// The number in the name of a member; `None` for what else stands among them, such as the
    /// replicas' own group among masters.
    pub(crate) fn sequence(self, name: &str) -> Option<i32> {
        let number = match (self, name.rsplit_once('_')) {
            (Self::Masters, Some((JSON_LABEL | PROTOBUF_LABEL, number))) => number,
            (Self::Replicas, None) => name,
            _ => return None,
        };
        number.parse().ok()
    }

    /// The members among `names`, the lowest number first.
    pub(crate) fn members(self, names: &[String]) -> Vec<(i32, &String)> {
        let numbered = names.iter().filter_map(|name| Some((self.sequence(name)?, name)));
        let mut members: Vec<_> = numbered.collect();
        members.sort_unstable();
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_from_what_else_stands_there() {
        let names = [
            "json.info_0000000012",
            "info_0000000009",
            "log_replicas",
            "json.info_0000000003",
            "xml.info_0000000001",
            "json.info_",
            "0000000002",
        ]
        .map(str::to_owned);
        let of =
            |kind: Kind| kind.members(&names).iter().map(|member| member.0).collect::<Vec<_>>();
        assert_eq!(of(Kind::Masters), [3, 9, 12]);
        assert_eq!(of(Kind::Replicas), [2]);
    }

    /// Catalogue: Z5.
    #[test]
    fn numbers_go_on_below_zero() {
        let names = ["json.info_2147483647", "json.info_-2147483648"].map(str::to_owned);
        let members = Kind::Masters.members(&names);
        assert_eq!(members.first().map(|member| member.0), Some(i32::MIN));
    }
}
