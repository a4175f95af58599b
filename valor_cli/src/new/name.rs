//! Which names `new` accepts: those of vlugins, and for what cargo builds also those of crates. Each fault is one line
//! that ends with what to write instead.

use crate::args::TemplateKind;
use std::path::Path;
use valor_runtime::definition::broken_name;

/// The words of Rust that cannot name a crate, as the reference lists them: strict and reserved keywords.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "Self",
];

/// The crates that come with the compiler, and those that the templates depend on.
const TAKEN: [&str; 10] = [
    "alloc",
    "core",
    "idna_adapter",
    "proc_macro",
    "serde",
    "std",
    "test",
    "valor",
    "valor_abi",
    "wstd",
];

/// The name of a new vlugin: the last part of its folder's path, or the name of the working directory for `.`.
///
/// # Errors
/// If it is no name of a vlugin.
pub fn of_vlugin(folder: &Path) -> Result<String, String> {
    let here;
    let folder = match is_here(folder) {
        true => {
            let of = |error| format!("the working directory has no name: {error}; give one");
            here = std::env::current_dir().map_err(of)?;
            &here
        }
        false => folder,
    };
    let Some(name) = folder.file_name() else {
        return Err(match folder.as_os_str().is_empty() {
            true => "a name has at least one character".to_owned(),
            false => format!(
                "{} does not end with a name; give that of a new folder",
                folder.display()
            ),
        });
    };
    let Some(name) = name.to_str() else {
        return Err(format!(
            "{} is not UTF-8; give a name of letters, digits, `_` and `-`",
            folder.display()
        ));
    };
    match broken_name(name) {
        Some(fault) => Err(fault),
        None => Ok(name.to_owned()),
    }
}

/// Whether it is the working directory.
pub fn is_here(folder: &Path) -> bool {
    folder == Path::new(".")
}

/// The same for a kind: crates have rules of their own.
///
/// # Errors
/// If it is no name of this kind.
pub fn of_folder(folder: &Path, kind: TemplateKind) -> Result<String, String> {
    let name = of_vlugin(folder)?;
    match kind.is_crate().then(|| broken_crate(&name)).flatten() {
        Some(fault) => Err(fault),
        None => Ok(name),
    }
}

/// What is wrong with the name of a crate that is the name of a vlugin.
fn broken_crate(name: &str) -> Option<String> {
    let instead = name.replace('.', "_");
    if instead.starts_with(|c: char| !c.is_ascii_alphabetic()) {
        let instead = instead.trim_start_matches(['-', '_']);
        let instead = match instead.starts_with(|c: char| c.is_ascii_digit()) || instead.is_empty()
        {
            true => format!("v{instead}"),
            false => instead.to_owned(),
        };
        return Some(format!(
            "the name of a crate begins with a letter; instead of `{name}`, write `{instead}`"
        ));
    }
    if instead != name {
        return Some(format!(
            "`.` is not allowed in the name of a crate; instead of `{name}`, write `{instead}`"
        ));
    }
    let what = match name {
        _ if KEYWORDS.contains(&name) => "is a word of Rust, which cannot name a crate",
        _ if TAKEN.contains(&&*name.replace('-', "_")) => {
            "is the name of a crate that this one needs"
        }
        _ => return None,
    };
    Some(format!("`{name}` {what}; write `{name}_vlugin`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, kind: TemplateKind) -> Result<String, String> {
        of_folder(Path::new(name), kind)
    }

    #[test]
    fn names_of_crates_and_of_others() {
        for kind in [TemplateKind::Native, TemplateKind::Wasm, TemplateKind::Wasi] {
            for right in [
                "greet",
                "my-plugin",
                "my_plugin2",
                "Greet",
                "box2",
                "in/a/folder",
            ] {
                assert!(judged(right, kind).is_ok(), "{right}");
            }
            for (wrong, instead) in [
                ("2greet", "`v2greet`"),
                ("-", "`v`"),
                ("-greet", "`greet`"),
                ("my.plugin", "`my_plugin`"),
                ("box", "`box_vlugin`"),
                ("test", "`test_vlugin`"),
                ("proc-macro", "`proc-macro_vlugin`"),
                ("valor-abi", "`valor-abi_vlugin`"),
                ("in/a/loop", "`loop_vlugin`"),
            ] {
                let line = judged(wrong, kind).unwrap_err();
                assert!(line.ends_with(&format!("write {instead}")), "{line}");
            }
        }
        for kind in [TemplateKind::Js, TemplateKind::Ts, TemplateKind::Files] {
            for right in ["greet", "2greet", "my.plugin", "box", "a/test"] {
                assert!(judged(right, kind).is_ok(), "{right}");
            }
        }
    }

    #[test]
    fn what_is_no_name_of_a_vlugin_is_none_of_any_kind() {
        for (wrong, part) in [
            ("", "a name has at least one character"),
            ("a/..", "does not end with a name"),
            ("/", "does not end with a name"),
            ("a b", "` ` is not allowed in a name"),
            ("grüße", "`ü` is not allowed in a name"),
            (
                "_health",
                "names that begin with `_` or `.` are Valor's own",
            ),
            (
                ".hidden",
                "names that begin with `_` or `.` are Valor's own",
            ),
            (&"a".repeat(65), "a name has at most 64 characters"),
        ] {
            for kind in [TemplateKind::Native, TemplateKind::Js, TemplateKind::Files] {
                let line = judged(wrong, kind).unwrap_err();
                assert!(line.contains(part), "{wrong}: {line}");
            }
        }
    }

    #[test]
    fn what_is_written_instead_is_a_name() {
        for wrong in ["2greet", "-", "--2", "-greet", "a.b", "box", "std", "-.a"] {
            let line = judged(wrong, TemplateKind::Native).unwrap_err();
            let instead = line.rsplit('`').nth(1).unwrap();
            assert_eq!(
                judged(instead, TemplateKind::Native).as_deref(),
                Ok(instead),
                "{line}"
            );
        }
    }
}
