//! Who controls a file: [`check`] says whether anybody but this process's user and root could change it.
//!
//! `project` asks before it runs a program that was found beside a project. The check covers the file, its target if
//! it is a link, and every folder on the way to both. It works only on Unix. On Windows, rights are lists, which it
//! does not read, and everything passes.

use std::path::{Path, PathBuf};

/// Somebody else could have put something into this place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It belongs to another user.
    #[error(
        "{} belongs to the user {owner}, who is neither you nor root: take it over with `chown`",
        path.display()
    )]
    Owned {
        /// The file or the folder.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
    },
    /// Others may write to it.
    #[error(
        "{} may be written to by {by}: `chmod {remedy} {}` keeps them out",
        path.display(), path.display()
    )]
    Writable {
        /// The file or the folder.
        path: PathBuf,
        /// Which users may write there.
        by: &'static str,
        /// The change of mode that keeps them out.
        remedy: &'static str,
    },
}

/// Makes sure that only root and this process's user could have written what is here: the file, its target if it is a
/// link, and every folder on the way. A path that does not exist passes.
///
/// # Errors
/// The first file or folder that somebody else owns or may write to.
/// The first file or folder that somebody else owns or may write to.
///
/// ```
/// use valor_runtime::{ownership, private_dir::PrivateDir};
///
/// let dir = PrivateDir::create("doc-")?;
/// let file = dir.write("program", b"#!/bin/sh")?;
/// ownership::check(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check(path: &Path) -> Result<(), Untrusted> {
    both(path, None)
}

/// The same, but the owner of `other` is trusted too, because that owner's code runs in any case.
///
/// # Errors
/// As [`check`].
pub fn check_beside(path: &Path, other: &Path) -> Result<(), Untrusted> {
    both(path, owner(other))
}

fn both(path: &Path, also: Option<u32>) -> Result<(), Untrusted> {
    on_the_way(path, also)?;
    match path.canonicalize() {
        Ok(real) => on_the_way(&real, also),
        Err(_) => Ok(()),
    }
}

#[cfg(unix)]
fn owner(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(std::os::unix::fs::MetadataExt::uid(&metadata))
}

#[cfg(unix)]
fn on_the_way(path: &Path, also: Option<u32>) -> Result<(), Untrusted> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut parts: Vec<_> = path.ancestors().collect();
    parts.reverse();
    let mut parts = parts.into_iter();
    parts.try_for_each(|part| one(part, true, also))
}

#[cfg(not(unix))]
fn owner(_: &Path) -> Option<u32> {
    None
}

#[cfg(not(unix))]
fn on_the_way(_: &Path, _: Option<u32>) -> Result<(), Untrusted> {
    Ok(())
}

/// Whether nobody else may put anything into a folder.
pub(crate) fn is_own(folder: &Path) -> bool {
    #[cfg(unix)]
    {
        one(folder, false, None).is_ok()
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        true
    }
}

/// Makes sure that nobody else may put anything into a folder.
#[cfg(unix)]
pub(crate) fn check_own(folder: &Path) -> Result<(), Untrusted> {
    one(folder, false, None)
}

/// Makes sure that nothing in a folder belongs to another user, however deep. Entries that others may write to matter
/// only if others can get there.
#[cfg(unix)]
pub(crate) fn check_within(folder: &Path, is_open: bool) -> std::io::Result<Result<(), Untrusted>> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match one(&entry.path(), false, None) {
                Err(Untrusted::Writable { .. }) if !is_open => {}
                Err(reason) => return Ok(Err(reason)),
                Ok(()) => {}
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(Ok(()))
}

/// One file or folder, by itself. In a folder with the sticky bit, others may create what they like, but may remove
/// only what is theirs. For a folder on the way that is good enough, since its content is checked next.
#[cfg(unix)]
fn one(path: &Path, is_on_the_way: bool, also: Option<u32>) -> Result<(), Untrusted> {
    use std::os::unix::fs::MetadataExt;
    const STICKY: u32 = 0o1000;
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let owner = metadata.uid();
    let is_ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if !is_ours && also != Some(owner) {
        return Err(Untrusted::Owned {
            path: path.to_owned(),
            owner,
        });
    }
    let mode = metadata.mode();
    let is_sticky = is_on_the_way && metadata.is_dir() && mode & STICKY != 0;
    // The mode of a link means nothing.
    if metadata.is_symlink() || is_sticky {
        return Ok(());
    }
    let writable = |by, remedy| Untrusted::Writable {
        path: path.to_owned(),
        by,
        remedy,
    };
    if mode & 0o002 != 0 {
        return Err(writable("everybody", "go-w"));
    }
    if mode & 0o020 != 0 && !groups::is_private(metadata.gid()) {
        return Err(writable("its group", "g-w"));
    }
    Ok(())
}

/// Many systems give each user a private group and make files writable to it.
#[cfg(unix)]
mod groups {
    use std::fs::read_to_string;

    /// Whether only root and this process's user are in this group, as far as `/etc` says.
    pub(super) fn is_private(group: u32) -> bool {
        let user = rustix::process::geteuid().as_raw();
        let read = |file| read_to_string(file).unwrap_or_default();
        group == 0 || is_private_in(&read("/etc/group"), &read("/etc/passwd"), group, user)
    }

    /// The same for the texts of `/etc/group` and `/etc/passwd`.
    pub(super) fn is_private_in(groups: &str, users: &str, group: u32, user: u32) -> bool {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let number = |fields: &[String], at: usize| fields.get(at)?.parse::<u32>().ok();
        let users: Vec<_> = users.lines().map(fields).collect();
        let is_us =
            |fields: &Vec<String>| matches!(number(fields, 2), Some(it) if it == user || it == 0);
        let found = groups
            .lines()
            .map(fields)
            .find(|it| number(it, 2) == Some(group));
        let Some(found) = found else { return false };
        let members = found.get(3).map_or("", String::as_str);
        let mut members = members.split(',').filter(|it| !it.is_empty());
        let of_name = |name: &str| {
            users
                .iter()
                .find(|it| it.first().is_some_and(|it| it == name))
        };
        let mut first = users.iter().filter(|it| number(it, 3) == Some(group));
        members.all(|name| of_name(name).is_some_and(is_us)) && first.all(is_us)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::private_dir::PrivateDir;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn another_user_that_may_write_on_the_way_is_named() {
        let dir = PrivateDir::create("valor-test-").unwrap();
        let folder = dir.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("program");
        fs::write(&file, "").unwrap();
        for path in [&file, &folder, dir.path()] {
            chmod(path, 0o755);
        }
        assert_eq!(check(&file), Ok(()));
        let refused = |path: &Path, mode: u32| {
            chmod(path, mode);
            let refused = check(&file).unwrap_err().to_string();
            chmod(path, 0o755);
            refused
        };
        for path in [&file, &folder, &dir.path().join("a")] {
            let said = refused(path, 0o757);
            let begins = format!("{} may be written to by everybody: ", path.display());
            assert!(said.starts_with(&begins), "{said}");
        }
        // The content is checked next.
        chmod(&folder, 0o1777);
        assert_eq!(check(&file), Ok(()));
        assert!(!is_own(&folder) && is_own(dir.path()));
        // A link is as good as its target.
        let link = dir.path().join("link");
        symlink(&file, &link).unwrap();
        assert_eq!(check(&link), Ok(()));
        chmod(&file, 0o757);
        assert!(check(&link).is_err());
        assert_eq!(check(&dir.path().join("not-there")), Ok(()));
    }

    #[test]
    fn a_group_of_one_user_alone_is_no_other() {
        let groups =
            "root:x:0:\nzoe:x:1000:\nteam:x:1001:zoe,max\nzoe2:x:1002:zoe\nshared:x:1003:\n";
        let users =
            "root:x:0:0::/root:/bin/sh\nzoe:x:1000:1000::/:/bin/sh\nmax:x:1004:1003::/:/bin/sh\n";
        for (group, is_private) in [
            (1000, true),
            (1001, false),
            (1002, true),
            (1003, false),
            (7, false),
        ] {
            let found = groups::is_private_in(groups, users, group, 1000);
            assert_eq!(found, is_private, "{group}");
        }
    }
}
