//! The rules for a script's file: its extension, its encoding, and how it is imported.
//!
//! `js` asks before a server runs a script, and `valor_cli web` and `package` before they put one into one file. Deno
//! and esbuild tell by different names which files are code, and read different encodings, so neither of them decides:
//! a file that is refused here is refused everywhere, with the same line.

use super::ScriptError;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The ends of the names that a script without a path can have, in this order; the first is that of a bare name.
pub const BARE: [&str; 4] = ["js", "mjs", "ts", "mts"];
/// The extensions of scripts.
pub const SCRIPTS: [&str; 8] = ["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"];
/// The extension of code that is not text.
const WASM: &str = "wasm";

/// Whether a file is code by its name, however that is written.
pub fn is_code(file: &Path) -> bool {
    is_script(file) || end(file).is_some_and(|end| end.eq_ignore_ascii_case(WASM))
}

/// Whether a file is a script by its name, however that is written.
pub fn is_script(file: &Path) -> bool {
    end(file).is_some_and(|end| SCRIPTS.iter().any(|it| end.eq_ignore_ascii_case(it)))
}

/// Whether a file is CommonJS: its name alone says so, and no package.json.
pub fn is_commonjs(file: &Path) -> bool {
    matches!(end(file), Some("cjs" | "cts"))
}

/// Why this file, with these bytes, is not a script.
pub fn refusal(file: &Path, bytes: &[u8]) -> Option<ScriptError> {
    compiled(file, bytes)
        .or_else(|| named(file))
        .or_else(|| encoded(file, bytes))
}

/// That a file is a vlugin of another kind, by its first bytes, whatever its name is.
pub fn compiled(file: &Path, bytes: &[u8]) -> Option<ScriptError> {
    let (what, kind) = match bytes {
        [0, b'a', b's', b'm', ..] => ("a WebAssembly module", "wasm"),
        // ELF, Mach-O for one processor and for several, and PE. Text may begin like the last one.
        [0x7f, b'E', b'L', b'F', ..]
        | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..]
        | [0xca, 0xfe, 0xba, 0xbe, ..]
        | [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] => ("a native library", "native"),
        [b'M', b'Z', ..] if std::str::from_utf8(bytes).is_err() => ("a native library", "native"),
        _ => return None,
    };
    let message = format!("it is {what}: its `type` is \"{kind}\", and not \"js\"");
    Some(failed(file, message))
}

/// Why a file's name is not that of a script.
pub fn named(file: &Path) -> Option<ScriptError> {
    let message = match (capital(file), end(file)) {
        (Some((end, small)), _) if is_script(file) => {
            format!("its name ends in `.{end}`: end it with `.{small}`")
        }
        (_, Some(end)) if SCRIPTS.contains(&end) => return None,
        _ => format!(
            "its name does not end as a script's does: end it with .js for JavaScript or .ts for TypeScript, or with \
             another of {}",
            SCRIPTS.map(|it| format!(".{it}")).join(", ")
        ),
    };
    Some(failed(file, message))
}

/// Why a script cannot be read as text.
pub fn encoded(file: &Path, bytes: &[u8]) -> Option<ScriptError> {
    encoding(bytes).map(|it| failed(file, format!("it is {it}: save it as UTF-8")))
}

/// Why an import of this file is refused for its name.
pub fn misnamed(imported: &Path) -> Option<String> {
    let (end, small) = capital(imported).filter(|_| is_code(imported))?;
    Some(format!(
        "it imports `{}`, whose name ends in `.{end}`: end it with `.{small}`",
        imported.display()
    ))
}

/// Why an import of this file is refused for its bytes.
pub fn misencoded(imported: &Path, bytes: &[u8]) -> Option<String> {
    if end(imported) == Some(WASM) {
        return None;
    }
    encoding(bytes).map(|it| {
        format!(
            "it imports `{}`, which is {it}: save that file as UTF-8",
            imported.display()
        )
    })
}

/// Why an import of this file is refused that says this type: data says what it is, and code does not. Of a module
/// that is no file, the type alone counts.
pub fn mistyped(specifier: &str, with_type: Option<&str>, file: Option<&Path>) -> Option<String> {
    let needed = file.and_then(|file| match end(file) {
        Some("json") => Some("json"),
        _ if is_code(file) => None,
        _ => Some("text"),
    });
    match (with_type, needed) {
        (Some("text"), _) | (Some("json"), Some("json")) | (None, None) => None,
        (Some("json"), None) if file.is_none() => None,
        (Some(other), _) => Some(format!(
            "it imports `{specifier}` with the type \"{other}\", which a server does not load: import it as \"text\", \
             or JSON as \"json\""
        )),
        (None, Some(needed)) => Some(format!(
            "it imports `{specifier}`, which is not code: add `with {{ type: \"{needed}\" }}`"
        )),
    }
}

/// Why a script that was checked is not loaded, if it imports this.
pub fn not_alone(specifier: &str, script: &Path) -> String {
    let name = script.file_name().unwrap_or_default().display();
    format!(
        "`{specifier}` is not loaded: a script that is checked (`sha256`, a signature) or from a package is {name} \
         alone; put everything into one package"
    )
}

fn end(file: &Path) -> Option<&str> {
    file.extension().and_then(OsStr::to_str)
}

/// The end of a name that has capital letters in it, and the same without.
fn capital(file: &Path) -> Option<(&str, String)> {
    let end = end(file)?;
    let small = end.to_ascii_lowercase();
    (small != end).then_some((end, small))
}

/// What bytes are that are no UTF-8.
fn encoding(bytes: &[u8]) -> Option<&'static str> {
    // With its mark, or the first character of JavaScript with it, which is of ASCII.
    let is_utf16 = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    };
    match is_utf16 {
        true => Some("UTF-16"),
        false => std::str::from_utf8(bytes).err().map(|_| "not UTF-8"),
    }
}

fn failed(file: &Path, message: String) -> ScriptError {
    ScriptError::Failed {
        file: PathBuf::from(file),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: Option<ScriptError>) -> String {
        error.map_or_else(String::new, |it| it.to_string())
    }

    #[test]
    fn a_vlugin_of_another_kind_is_named_as_that() {
        let library = [
            b"MZ\x90\0".as_slice(),
            b"\x7fELF\x02",
            b"\xcf\xfa\xed\xfe",
            b"\xca\xfe\xba\xbe",
        ];
        let kinds = library.map(|it| (it, "a native library: its `type` is \"native\""));
        let module = (
            &b"\0asm\x01\0\0\0"[..],
            "a WebAssembly module: its `type` is \"wasm\"",
        );
        for (bytes, line) in kinds.into_iter().chain([module]) {
            for name in ["it.js", "it.wasm", "it.so"] {
                let said = said(refusal(Path::new(name), bytes));
                assert!(said.contains(line), "{name}: {said}");
            }
        }
        assert_eq!(said(refusal(Path::new("it.js"), b"MZ = 1")), "");
    }

    #[test]
    fn a_script_is_called_as_one_and_saved_as_utf_8() {
        for end in SCRIPTS {
            let file = PathBuf::from(format!("it.{end}"));
            assert_eq!(said(refusal(&file, "\u{feff}é".as_bytes())), "");
            assert_eq!(misnamed(&file), None);
        }
        for (name, bytes, line) in [
            (
                "it.JS",
                &b""[..],
                "its name ends in `.JS`: end it with `.js`",
            ),
            ("it.Mts", b"", "its name ends in `.Mts`: end it with `.mts`"),
            (
                "it.txt",
                b"",
                "its name does not end as a script's does: end it with .js for JavaScript or .ts",
            ),
            ("it", b"", "its name does not end as a script's does: "),
            ("it.WASM", b"", "its name does not end as a script's does: "),
            ("it.js", b"\xff\xfee\0", "it is UTF-16: save it as UTF-8"),
            ("it.js", b"\xfe\xff\0e", "it is UTF-16: save it as UTF-8"),
            ("it.js", b"e\0x\0", "it is UTF-16: save it as UTF-8"),
            ("it.js", b"\0e\0x", "it is UTF-16: save it as UTF-8"),
            ("it.js", b"'\xe9'", "it is not UTF-8: save it as UTF-8"),
        ] {
            let said = said(refusal(Path::new(name), bytes));
            let begins = format!("{name} is not loaded: {line}");
            assert!(said.starts_with(&begins), "{said}");
        }
    }

    #[test]
    fn what_is_imported_is_called_and_saved_as_that() {
        let named = |name: &str| misnamed(Path::new(name));
        assert_eq!(
            named("a.JS").as_deref(),
            Some("it imports `a.JS`, whose name ends in `.JS`: end it with `.js`")
        );
        assert_eq!(named("a.TXT"), None);
        let saved = |name: &str, bytes: &[u8]| misencoded(Path::new(name), bytes);
        assert_eq!(
            saved("a.txt", b"\xe9").as_deref(),
            Some("it imports `a.txt`, which is not UTF-8: save that file as UTF-8")
        );
        assert_eq!(saved("a.wasm", b"\0asm\x01\0\0\0\xff"), None);
    }

    #[test]
    fn data_says_what_it_is() {
        for (file, with_type, line) in [
            (Some("a.js"), None, ""),
            (Some("a.wasm"), None, ""),
            (Some("a.js"), Some("text"), ""),
            (Some("a.json"), Some("json"), ""),
            (Some("a.json"), Some("text"), ""),
            (None, None, ""),
            (None, Some("json"), ""),
            (
                Some("a.json"),
                None,
                "which is not code: add `with { type: \"json\" }`",
            ),
            (
                Some("a.txt"),
                None,
                "which is not code: add `with { type: \"text\" }`",
            ),
            (
                Some("a.js"),
                Some("json"),
                "with the type \"json\", which a server does not load: ",
            ),
            (
                Some("a.txt"),
                Some("json"),
                "with the type \"json\", which a server does not load: ",
            ),
            (
                Some("a.js"),
                Some("bytes"),
                "with the type \"bytes\", which a server does not load: ",
            ),
            (
                None,
                Some("bytes"),
                "with the type \"bytes\", which a server does not load: ",
            ),
        ] {
            let said = mistyped("x", with_type, file.map(Path::new)).unwrap_or_default();
            assert_eq!(
                said.is_empty(),
                line.is_empty(),
                "{file:?} {with_type:?}: {said}"
            );
            assert!(said.contains(line), "{said}");
        }
    }
}
