//! Roles: names that share a cluster, arranged in a tree by `/`.

/// The role of frameworks that ask for none.
pub const DEFAULT: &str = "*";

/// What is wrong with a role. The texts are those that Mesos' users know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// The text is empty.
    #[error("Empty role name is invalid")]
    Empty,
    /// A leading, trailing or double slash.
    #[error("Role '{role}' cannot {fault}")]
    Slash {
        /// The role.
        role: String,
        /// What it must not do.
        fault: &'static str,
    },
    /// A component that is reserved for something else.
    #[error("Role component '{component}' is invalid")]
    Reserved {
        /// The component.
        component: String,
    },
    /// A component that starts like an option or holds characters that break text formats.
    #[error("Role component '{component}' is invalid because it {fault}")]
    Characters {
        /// The component.
        component: String,
        /// Why it is invalid.
        fault: &'static str,
    },
}

/// Checks that `role` is `*` or a path of non-empty components separated by single slashes, none
/// of them `.`, `..` or `*`, none beginning with `-`, none with white space or backspace.
pub fn validate(role: &str) -> Result<(), RoleError> {
    if role == DEFAULT {
        return Ok(());
    }
    if role.is_empty() {
        return Err(RoleError::Empty);
    }
    let slash = |fault| Err(RoleError::Slash { role: role.to_owned(), fault });
    if role.starts_with('/') {
        return slash("start with a slash");
    }
    if role.ends_with('/') {
        return slash("end with a slash");
    }
    if role.contains("//") {
        return slash("contain two adjacent slashes");
    }
    role.split('/').try_for_each(validate_component)
}

fn validate_component(component: &str) -> Result<(), RoleError> {
    if matches!(component, "." | ".." | "*") {
        return Err(RoleError::Reserved { component: component.to_owned() });
    }
    let fault = if component.starts_with('-') {
        "begins with a dash"
    } else if component
        .contains(|c: char| c.is_ascii_whitespace() || "\u{8}\u{b}\u{7f}".contains(c))
    {
        "contains backspace or whitespace"
    } else {
        return Ok(());
    };
    Err(RoleError::Characters { component: component.to_owned(), fault })
}

/// Whether `role` lies below `ancestor` in the tree: `a/b` below `a`, but not `a` below `a`.
pub fn is_below(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('/'))
}

/// The role itself and all roles above it, the longest first: `a/b/c`, `a/b`, `a`.
pub fn with_ancestors(role: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(role), |role| role.rsplit_once('/').map(|(parent, _)| parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_and_paths() {
        for role in ["*", "web", "eng/web", "a.b/c_d", "x-y", "..."] {
            assert_eq!(validate(role), Ok(()), "{role}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (role, text) in [
            ("", "Empty role name is invalid"),
            ("/a", "Role '/a' cannot start with a slash"),
            ("a/", "Role 'a/' cannot end with a slash"),
            ("a//b", "Role 'a//b' cannot contain two adjacent slashes"),
            ("a/..", "Role component '..' is invalid"),
            ("a/*", "Role component '*' is invalid"),
            ("-a", "Role component '-a' is invalid because it begins with a dash"),
            ("a b", "Role component 'a b' is invalid because it contains backspace or whitespace"),
        ] {
            assert_eq!(validate(role).map_err(|error| error.to_string()), Err(text.to_owned()));
        }
    }

    #[test]
    fn knows_the_tree() {
        assert!(is_below("a/b", "a"));
        assert!(!is_below("ab", "a"));
        assert!(!is_below("a", "a"));
        assert_eq!(with_ancestors("a/b/c").collect::<Vec<_>>(), ["a/b/c", "a/b", "a"]);
    }
}
