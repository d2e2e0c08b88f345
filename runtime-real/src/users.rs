//! Users and groups, as the system's name service knows them.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Entries longer than this are not believed.
const LONGEST_ENTRY: usize = 1 << 20;

/// Whom a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// User id.
    pub(crate) uid: libc::uid_t,
    /// Primary group.
    pub(crate) gid: libc::gid_t,
    /// All groups, the primary one included.
    pub(crate) groups: Vec<libc::gid_t>,
}

/// The user called `name`; `None` when there is none.
///
/// # Errors
/// The name service does not answer.
pub(crate) fn find(name: &str) -> io::Result<Option<User>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    let found = with_entry(
        |entry, buffer, length, result| {
            // SAFETY: `name` is a C string; the other pointers are valid for `with_entry`'s call.
            unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, length, result) }
        },
        |entry: &libc::passwd| (entry.pw_uid, entry.pw_gid),
    )?;
    Ok(found.map(|(uid, gid)| User { uid, gid, groups: groups_of(&name, gid) }))
}

/// The name of a user; `None` when it has none.
pub(crate) fn user_name(uid: libc::uid_t) -> Option<String> {
    let found = with_entry(
        |entry, buffer, length, result| {
            // SAFETY: the pointers are valid for `with_entry`'s call.
            unsafe { libc::getpwuid_r(uid, entry, buffer, length, result) }
        },
        // SAFETY: the entry of a found user has a name, a C string inside the call's buffer.
        |entry: &libc::passwd| unsafe { owned(entry.pw_name) },
    );
    found.ok().flatten()
}

/// The name of a group; `None` when it has none.
pub(crate) fn group_name(gid: libc::gid_t) -> Option<String> {
    let found = with_entry(
        |entry, buffer, length, result| {
            // SAFETY: the pointers are valid for `with_entry`'s call.
            unsafe { libc::getgrgid_r(gid, entry, buffer, length, result) }
        },
        // SAFETY: the entry of a found group has a name, a C string inside the call's buffer.
        |entry: &libc::group| unsafe { owned(entry.gr_name) },
    );
    found.ok().flatten()
}

/// Calls one of the `get…_r` functions with room enough and copies what is wanted of its answer.
fn with_entry<E, T>(
    get: impl Fn(*mut E, *mut c_char, usize, *mut *mut E) -> c_int,
    copy: impl Fn(&E) -> T,
) -> io::Result<Option<T>> {
    let mut buffer = vec![0 as c_char; 1024];
    loop {
        let mut entry = MaybeUninit::<E>::uninit();
        let mut result = ptr::null_mut();
        let error = get(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &mut result);
        match error {
            // SAFETY: a result that is not null points to `entry`, which the call has filled.
            0 => return Ok(unsafe { result.as_ref() }.map(copy)),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < LONGEST_ENTRY => buffer.resize(buffer.len() * 2, 0),
            // POSIX lets "no such entry" be told in any of these ways.
            libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The groups of a user, `primary` among them.
fn groups_of(name: &CStr, primary: libc::gid_t) -> Vec<libc::gid_t> {
    let mut groups = vec![primary; 64];
    loop {
        let mut count = c_int::try_from(groups.len()).unwrap_or(c_int::MAX);
        // SAFETY: `groups` has room for `count` ids, and `name` is a C string.
        let fits =
            unsafe { libc::getgrouplist(name.as_ptr(), primary, groups.as_mut_ptr(), &mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if fits >= 0 {
            groups.truncate(count);
            return groups;
        }
        // The call has told how many there are; should it not, the room still grows.
        groups.resize(count.max(groups.len() * 2), primary);
    }
}

/// # Safety
/// `text` must be a C string.
unsafe fn owned(text: *const c_char) -> String {
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_both_ways() {
        let root = find("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(group_name(0).as_deref(), Some("root"));
    }

    #[test]
    fn strangers_are_unknown() {
        assert_eq!(find("no such user").unwrap(), None);
        assert_eq!(find("with\0zero").unwrap(), None);
        assert_eq!(user_name(3_999_999_999), None);
        assert_eq!(group_name(3_999_999_999), None);
    }
}
