//! What `abi_stable` says of two layouts, cut down to the first thing that differs. Its report
//! of one renamed field is a page, and of a new one up to 68 KB.

use valor::native::{AbiHeader, LibraryError};

/// How much of one side is shown.
const MAX: usize = 120;

/// The first thing that differs, in one line.
pub(super) fn first(error: &LibraryError) -> String {
    match error {
        LibraryError::AbiInstability(report) => first_of_report(&report.to_string()),
        LibraryError::InvalidAbiHeader(found) => {
            let ours = AbiHeader::VALUE;
            if found.magic_string == ours.magic_string {
                format!(
                    "it was built with version {}.{} of abi_stable, this host with {}.{}",
                    found.abi_major, found.abi_minor, ours.abi_major, ours.abi_minor
                )
            } else {
                "what it exports is no header of a root module".into()
            }
        }
        LibraryError::IncompatibleVersionNumber {
            expected_version,
            actual_version,
            ..
        } => format!("its root module has version {actual_version}, the host's {expected_version}"),
        LibraryError::InvalidCAbi { .. } => {
            "it passes values to functions in another way than this host".into()
        }
        LibraryError::RootModule { .. } => "its root module could not be made".into(),
        LibraryError::Many(errors) if !errors.is_empty() => first(&errors[0]),
        other => cut(&other.to_string()),
    }
}

/// The report has blocks of lines: where, then `Error:…`, `Expected:` and `Found:`.
fn first_of_report(report: &str) -> String {
    let Some((before, rest)) = report.split_once("\nError:") else {
        return cut(report);
    };
    let (what, rest) = rest.split_once("\nExpected:\n").unwrap_or((rest, ""));
    let (expected, rest) = rest.split_once("\nFound:\n").unwrap_or((rest, ""));
    let found = rest.split("\n\n").next().unwrap_or_default();
    // The innermost field stands last in the list of where.
    let place = before
        .split_once("inside:\n")
        .map_or("", |(_, place)| place)
        .split("Layout of expected type:")
        .next()
        .unwrap_or_default()
        .split("\n\n")
        .map(str::trim)
        .filter(|line| !line.is_empty() && *line != "<other>")
        .last();
    let mut line = what.trim().to_owned();
    if let Some(place) = place {
        line.push_str(&format!(" in `{}`", cut(place)));
    }
    line.push_str(&format!(
        " (this host has {}, it has {})",
        cut(expected),
        cut(found)
    ));
    line
}

fn cut(text: &str) -> String {
    let line = crate::loader::one_line(text);
    match line.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
