//! `zk://user:password@host:port,host:port/path`: where masters meet.

use std::fmt;
use std::str::FromStr;

use orrery_runtime::Address;
use orrery_runtime::coordination::Credentials;

/// What `--zk` and `--master=zk://…` name. Its text shows no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The servers of the ensemble, at least one.
    pub servers: Vec<Address>,
    /// Who to be.
    pub credentials: Option<Credentials>,
    /// The node under which masters meet: absolute, without a slash at its end.
    pub path: String,
}

/// Why a text is no [`Url`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not begin as it must.
    #[error("'{0}' is not a ZooKeeper URL: expected zk:// at its beginning")]
    Scheme(String),
    /// A server is not an address.
    #[error("'{server}' in the ZooKeeper URL is not a server: expected HOST:PORT")]
    Server {
        /// What stands there.
        server: String,
    },
    /// The credentials have no password.
    #[error("the credentials in the ZooKeeper URL have no password: expected user:password@")]
    Credentials,
    /// There is no path, or only a slash.
    #[error("the ZooKeeper URL has no path: expected zk://HOST:PORT/PATH")]
    NoPath,
    /// The path has a part that no node can be called.
    #[error(
        "'{part}' in the path of the ZooKeeper URL is no name of a node: expected some \
         characters, but not '.', '..' or a control character"
    )]
    Path {
        /// The part.
        part: String,
    },
}

impl Url {
    /// The node `name` under this one, as a place of its own: `log_replicas`.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        Self { path: format!("{}/{name}", self.path), ..self.clone() }
    }

    /// The paths that lead to the node, the node itself last.
    pub(crate) fn prefixes(&self) -> Vec<String> {
        let ends = self.path.match_indices('/').map(|(index, _)| index).skip(1);
        let ends = ends.chain([self.path.len()]);
        ends.filter_map(|end| self.path.get(..end).map(str::to_owned)).collect()
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let rest =
            text.strip_prefix("zk://").ok_or_else(|| UrlError::Scheme(without_password(text)))?;
        // A password may contain anything but a slash, so the last '@' counts.
        let (servers, path) = rest.split_once('/').ok_or(UrlError::NoPath)?;
        let (credentials, servers) = match servers.rsplit_once('@') {
            None => (None, servers),
            Some((credentials, servers)) if credentials.contains(':') => {
                (Some(Credentials::new(credentials)), servers)
            }
            Some(_) => return Err(UrlError::Credentials),
        };
        let wrong = |server: &str| UrlError::Server { server: server.to_owned() };
        let servers = servers.split(',').map(str::trim);
        let servers = servers.map(|server| server.parse().map_err(|_| wrong(server)));
        let servers = servers.collect::<Result<_, _>>()?;
        let path = path.trim_end_matches('/');
        if path.is_empty() {
            return Err(UrlError::NoPath);
        }
        for part in path.split('/') {
            if part.is_empty() || part == "." || part == ".." || part.contains(char::is_control) {
                return Err(UrlError::Path { part: part.to_owned() });
            }
        }
        Ok(Self { servers, credentials, path: format!("/{path}") })
    }
}

fn without_password(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text.to_owned(),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("zk://")?;
        if let Some(credentials) = &self.credentials {
            let user = credentials.as_str().split(':').next().unwrap_or_default();
            write!(formatter, "{user}:…@")?;
        }
        for (index, server) in self.servers.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{server}")?;
        }
        formatter.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let url: Url = " zk://u:p@ss@h1:2181,[::1]:2182/a/mesos/ ".parse().unwrap();
        assert_eq!(url.servers, [Address::new("h1", 2181), Address::new("::1", 2182)]);
        assert_eq!(url.credentials, Some(Credentials::new("u:p@ss")));
        assert_eq!(url.path, "/a/mesos");
        assert_eq!(url.to_string(), "zk://u:…@h1:2181,[::1]:2182/a/mesos");
        assert_eq!(url.prefixes(), ["/a", "/a/mesos"]);
        assert_eq!(url.below("log_replicas").path, "/a/mesos/log_replicas");
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (text, expected) in [
            ("h1:2181/mesos", "'h1:2181/mesos' is not a ZooKeeper URL: expected zk:// at its"),
            ("http://u:secret@h", "'…@h' is not a ZooKeeper URL"),
            ("zk://h1:2181", "the ZooKeeper URL has no path: expected zk://HOST:PORT/PATH"),
            ("zk://h1:2181/", "the ZooKeeper URL has no path"),
            ("zk://h1/mesos", "'h1' in the ZooKeeper URL is not a server: expected HOST:PORT"),
            ("zk://h1:1,/mesos", "'' in the ZooKeeper URL is not a server"),
            ("zk:///mesos", "'' in the ZooKeeper URL is not a server"),
            ("zk://user@h1:1/mesos", "the credentials in the ZooKeeper URL have no password"),
            ("zk://h1:1/a//b", "'' in the path of the ZooKeeper URL is no name of a node"),
            ("zk://h1:1/a/../b", "'..' in the path of the ZooKeeper URL is no name"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
