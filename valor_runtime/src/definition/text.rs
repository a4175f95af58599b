//! The text of a plugins.json: from a regular file of a bounded size, or from bytes, in UTF-8. A fault in the bytes is
//! reported like any other.

use super::{
    document::Definitions,
    fault::{DefinitionFault, Faults, Position},
    json::{Lines, WIDE, is_wide},
    kind::Kind,
    read,
};
use crate::file::{self, ReadError};
use std::path::Path;

pub(super) fn file(path: &Path) -> Result<Vec<u8>, Faults> {
    file::read(path, file::TEXT).map_err(|error| {
        let message = match error {
            error if error.is_absent() => "there is no such file; check its path".to_owned(),
            ReadError::Directory => "this is a directory; name the plugins.json in it".to_owned(),
            ReadError::NotAFile => {
                "this is not a regular file; name one, or pipe it to `-p -`".to_owned()
            }
            ReadError::TooLarge(most) => {
                format!("this has more than {most} bytes, which no plugins.json needs")
            }
            error => format!("cannot be read: {error}; {}", error.remedy()),
        };
        Faults::one(of_text(None, message))
    })
}

/// The definitions in the bytes of a plugins.json.
pub(super) fn bytes(bytes: Vec<u8>, kinds: &[Kind]) -> (Definitions, Faults) {
    let is_wide = is_wide(&bytes);
    match String::from_utf8(bytes) {
        _ if is_wide => (
            Definitions::default(),
            Faults::one(of_text(None, WIDE.into())),
        ),
        Ok(text) => read::all(&text, kinds),
        Err(error) => (Definitions::default(), Faults::one(not_utf8(&error))),
    }
}

fn of_text(position: Option<Position>, message: String) -> DefinitionFault {
    DefinitionFault {
        position,
        key: String::new(),
        message,
    }
}

fn not_utf8(error: &std::string::FromUtf8Error) -> DefinitionFault {
    let bytes = error.as_bytes();
    let valid = error.utf8_error().valid_up_to();
    let before = String::from_utf8_lossy(&bytes[..valid]);
    of_text(
        Some(Lines::of(&before).position(valid)),
        "this is not UTF-8 from here on; save the file as UTF-8".into(),
    )
}
