//! The archive inside a package: a plain tar file (POSIX.1-1988 "ustar"), from bytes to members and back.
//! [`Package`](super::Package) calls it.
//!
//! tar stores members as they are, so that a small file cannot unpack to a large one. It has one list of members, not
//! two that could differ. Nothing else that tar has (links, devices, sparse files, extended headers) is accepted.
//! Only zeros may stand between members and behind the last one. A member borrows from the archive's bytes; only its
//! name is allocated here.

use crate::escape::one_line;
use std::io::{Cursor, Write};
use tar::{Archive, Builder, EntryType, Header};

/// The most members of an archive: a manifest, and as many libraries and pieces of code as it may name.
const MAX_MEMBERS: usize = 1 + super::manifest::MAX_LIBRARIES + super::manifest::MAX_COMPILED;

/// Headers and contents are padded to this size.
const BLOCK: usize = 512;

/// A regular file in an archive.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) name: String,
    pub(super) bytes: &'a [u8],
}

/// The members, in their order. No name occurs twice, and [`is_plain`] accepts each.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Member<'_>>, String> {
    let is_tar = bytes.get(257..262) == Some(b"ustar");
    if !is_tar {
        return Err(match bytes {
            [b'P', b'K', 3 | 5, ..] => "it is a zip archive and not tar".into(),
            [0x1f, 0x8b, ..] => "it is compressed with gzip; packages are plain tar".into(),
            _ if bytes.len() < BLOCK => format!("it has {} bytes, too few for one", bytes.len()),
            _ => "it is not a tar archive".into(),
        });
    }
    let mut archive = Archive::new(bytes);
    let unreadable = |error: std::io::Error| {
        format!(
            "its tar headers cannot be read ({})",
            one_line(&error.to_string())
        )
    };
    let entries = archive.entries().map_err(unreadable)?;
    let mut members: Vec<Member<'_>> = Vec::new();
    let mut end = 0;
    // Raw: no header may change the meaning of another.
    for entry in entries.raw(true) {
        // Otherwise the reader would report that it could not go on to the next header.
        if end > bytes.len() {
            break;
        }
        let entry = entry.map_err(unreadable)?;
        let name = entry.path_bytes();
        let name = String::from_utf8_lossy(&name);
        let shown = name.escape_debug().to_string();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(format!("`{shown}` in it is not a regular file"));
        }
        if !is_plain(&name) {
            return Err(format!(
                "it holds the name `{shown}`; names are letters, digits, `_`, `.` and `-`, with \
                 single slashes between, and none is `.` or `..`"
            ));
        }
        if members.iter().any(|member| member.name == *name) {
            return Err(format!("it holds `{shown}` twice"));
        }
        if members.len() == MAX_MEMBERS {
            return Err(format!("it holds more than {MAX_MEMBERS} files"));
        }
        let range = usize::try_from(entry.raw_file_position())
            .ok()
            .zip(usize::try_from(entry.size()).ok())
            .and_then(|(start, size)| Some(start..start.checked_add(size)?));
        let content = range.clone().and_then(|range| bytes.get(range));
        let (Some(range), Some(content)) = (range, content) else {
            return Err(format!("it is cut off within `{shown}`"));
        };
        end = range.end.next_multiple_of(BLOCK);
        if bytes.get(range.end..end).is_some_and(|pad| !is_zero(pad)) {
            return Err(format!(
                "there is something between `{shown}` and what follows"
            ));
        }
        members.push(Member {
            name: name.into_owned(),
            bytes: content,
        });
    }
    match bytes.get(end..) {
        None => Err("it is cut off at its end".into()),
        Some(rest) if !is_zero(rest) => Err("there is something after its end".into()),
        Some(rest) if rest.len() < 2 * BLOCK => Err("it is cut off at its end".into()),
        Some(_) => Ok(members),
    }
}

/// Writes an archive. Times, owners and modes are always the same.
pub(super) fn write(members: &[(&str, &[u8])]) -> Result<Vec<u8>, String> {
    let mut archive = Builder::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        if !is_plain(name) {
            return Err(format!("`{}` cannot be a name in it", name.escape_debug()));
        }
        let failed = |error: std::io::Error| format!("`{name}`: {}", one_line(&error.to_string()));
        let mut header = Header::new_ustar();
        header.set_path(name).map_err(failed)?;
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        archive.append(&header, *bytes).map_err(failed)?;
    }
    let written = archive.into_inner().and_then(|mut cursor| {
        cursor.flush()?;
        Ok(cursor.into_inner())
    });
    written.map_err(|error| one_line(&error.to_string()))
}

/// Whether a name could be unpacked anywhere without harm, on any system.
fn is_plain(name: &str) -> bool {
    name.len() <= 200
        && name.split('/').all(|part| {
            !part.is_empty()
                && part.bytes().any(|byte| byte != b'.')
                && part.bytes().all(super::manifest::is_word)
        })
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_not_plain() {
        for (name, plain) in [
            ("manifest.json", true),
            ("x86_64-unknown-linux-gnu/libgreet.so", true),
            ("", false),
            ("/etc/passwd", false),
            ("a//b", false),
            ("a/", false),
            (".", false),
            ("a/../b", false),
            ("...", false),
            ("a\\b", false),
            ("C:a", false),
            ("a\0b", false),
            ("ä", false),
        ] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
        assert!(!is_plain(&"a".repeat(201)));
    }
}
