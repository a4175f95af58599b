//! The report of `abi_stable` about two layouts, cut down to the first thing that differs. Its report about one
//! renamed field is a page long, and about a new field up to 68 KB.

use valor_abi_native::{AbiHeader, LibraryError, Unfit};

/// How much of one side is shown.
const MAX: usize = 120;

/// The first thing that differs, in one line.
pub(super) fn first(unfit: &Unfit) -> String {
    match unfit {
        Unfit::Library(error) => first_of_error(error),
        Unfit::Older(report) => first_of_report(report, Expects::Library),
        Unfit::NoLayout => cut(&unfit.to_string()),
    }
}

/// Which side a report calls the expected one.
#[derive(Clone, Copy, PartialEq)]
enum Expects {
    Host,
    Library,
}

fn first_of_error(error: &LibraryError) -> String {
    match error {
        LibraryError::AbiInstability(report) => first_of_report(&report.to_string(), Expects::Host),
        LibraryError::InvalidAbiHeader(found) => {
            let ours = AbiHeader::VALUE;
            if found.magic_string == ours.magic_string {
                format!(
                    "it was built with version {}.{} of abi_stable, this host with {}.{}",
                    found.abi_major, found.abi_minor, ours.abi_major, ours.abi_minor
                )
            } else {
                "what it exports is not the header of a root module".into()
            }
        }
        LibraryError::IncompatibleVersionNumber {
            expected_version,
            actual_version,
            ..
        } => format!("its root module has version {actual_version}, the host's {expected_version}"),
        LibraryError::InvalidCAbi { .. } => {
            "it passes values to functions differently from this host".into()
        }
        LibraryError::RootModule { .. } => "its root module could not be made".into(),
        LibraryError::Many(errors) if !errors.is_empty() => first_of_error(&errors[0]),
        other => cut(&other.to_string()),
    }
}

/// A report is a list of blocks. Each says where it is, field by field from the root module inwards, what the layouts
/// there are, and what is wrong, if anything.
fn first_of_report(report: &str, expects: Expects) -> String {
    let Some((before, rest)) = report.split_once("\nError:") else {
        return cut(report);
    };
    let (what, rest) = rest.split_once("\nExpected:\n").unwrap_or((rest, ""));
    let (expected, rest) = rest.split_once("\nFound:\n").unwrap_or((rest, ""));
    let found: Vec<_> = rest.lines().take_while(|l| l.starts_with(' ')).collect();
    let (expected, found) = (cut(expected), cut(&found.join(" ")));
    let (ours, theirs) = match expects {
        Expects::Host => (expected, found),
        Expects::Library => (found, expected),
    };
    let place = before
        .rsplit_once("error(s)inside:")
        .map_or("", |(_, block)| block)
        .split("Layout of expected type:")
        .next()
        .unwrap_or_default();
    format!(
        "{}{} (this host has {ours}, the library {theirs})",
        cut(what),
        innermost(place),
    )
}

/// The innermost field of a list of fields, and the type that has it.
fn innermost(place: &str) -> String {
    let mut inner = None;
    let mut outer = None;
    for line in place.lines().map(str::trim) {
        if let Some(field) = line.strip_prefix("field_name:") {
            outer = inner.take().map(|(_, ty)| ty);
            inner = Some((field, ""));
        } else if let (Some(ty), Some(inner)) = (line.strip_prefix("type:"), &mut inner) {
            inner.1 = ty;
        }
    }
    let Some((field, ty)) = inner else {
        return String::new();
    };
    // Names that nobody wrote: a place in a tuple, a function's return value.
    let has_name = !field.starts_with(|c: char| c.is_ascii_digit())
        && !field.starts_with("field_")
        && !field.starts_with("__");
    match outer {
        Some(outer) if has_name => format!(" of `{}` in `{}`", cut(field), cut(outer)),
        _ => format!(" of `{}`", cut(ty)),
    }
}

fn cut(text: &str) -> String {
    let line = crate::escape::one_line(text);
    match line.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two blocks of a report of 31 KB, with most of the lines between them left out.
    const REPORT: &str = "
Compared <this>:
    --- Type Layout ---
    type:PrefixRef<'a, ValorModule>
To <other>:
    --- Type Layout ---
    type:PrefixRef<'a, ValorModule>

0 error(s).

0 error(s)inside:
    <other>

    field_name:0
    type:ValorModule
    size:8 align:8

Layout of expected type:
    --- Type Layout ---
    type:ValorModule

Layout of found type:
    --- Type Layout ---
    type:ValorModule


1 error(s)inside:
    <other>

    field_name:0
    type:ValorModule
    size:8 align:8

    field_name:field_0
    type:FfiFault
    size:72 align:8
    package:'valor_abi' version:'0.1.0'

    field_name:status
    type:u32
    size:4 align:4
    package:'std' version:'1.0.0'

Layout of expected type:
    --- Type Layout ---
    type:u16

Layout of found type:
    --- Type Layout ---
    type:u32



Error:mismatched type
Expected:
    u16
Found:
    u32
0 error(s)inside:
    <other>
";

    #[test]
    fn a_report_becomes_its_first_mismatch() {
        assert_eq!(
            first_of_report(REPORT, Expects::Host),
            "mismatched type of `status` in `FfiFault` (this host has u16, the library u32)"
        );
        assert_eq!(
            first_of_report(REPORT, Expects::Library),
            "mismatched type of `status` in `FfiFault` (this host has u32, the library u16)"
        );
        let of_the_module = REPORT
            .replace("    field_name:status\n    type:u32\n", "")
            .replace("mismatched type", "incompatible package versions")
            .replace("u16", "0.1.0")
            .replace("u32", "0.2.0");
        assert_eq!(
            first_of_report(&of_the_module, Expects::Host),
            "incompatible package versions of `FfiFault` (this host has 0.1.0, the library 0.2.0)"
        );
        let long = "no report ".repeat(1000);
        assert!(first_of_report(&long, Expects::Host).chars().count() <= MAX + 1);
    }
}
