//! Which real path stands behind each virtual one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Attached paths, by their virtual names without a slash at the end.
#[derive(Debug, Default)]
pub struct Table {
    attached: BTreeMap<String, PathBuf>,
}

impl Table {
    pub fn attach(&mut self, shown: &str, real: PathBuf) {
        self.attached.insert(normal(&parts(shown)), real);
    }

    pub fn detach(&mut self, shown: &str) {
        self.attached.remove(&normal(&parts(shown)));
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.attached.iter().map(|(shown, real)| (shown.as_str(), real.as_path()))
    }

    /// What is attached at the longest beginning of `path`, and the rest of it.
    pub fn find(&self, path: &str) -> Option<(PathBuf, String)> {
        let parts = parts(path);
        (0..=parts.len()).rev().find_map(|length| {
            let (beginning, rest) = parts.split_at(length);
            let real = self.attached.get(&normal(beginning))?;
            Some((real.clone(), rest.join("/")))
        })
    }
}

/// The names in a virtual path. `.` stands for nothing; `..` is left for the disk to follow.
fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

fn normal(parts: &[&str]) -> String {
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &Table, path: &str) -> Option<(String, String)> {
        table.find(path).map(|(real, rest)| (real.to_string_lossy().into_owned(), rest))
    }

    #[test]
    fn the_longest_beginning_counts() {
        let mut table = Table::default();
        table.attach("/a/b/", "/real/b".into());
        table.attach("a", "/real/a".into());
        let real = |root: &str, rest: &str| Some((root.to_owned(), rest.to_owned()));
        assert_eq!(found(&table, "/a/b/c/d"), real("/real/b", "c/d"));
        assert_eq!(found(&table, "/a//./b/"), real("/real/b", ""));
        assert_eq!(found(&table, "/a/bc"), real("/real/a", "bc"));
        assert_eq!(found(&table, "a/../x"), real("/real/a", "../x"));
        assert_eq!(found(&table, "/"), None);
        assert_eq!(found(&table, "/nosuch"), None);
        table.detach("/a");
        assert_eq!(found(&table, "/a/x"), None);
        let entries: Vec<_> = table.entries().collect();
        assert_eq!(entries, [("/a/b", Path::new("/real/b"))]);
    }
}
