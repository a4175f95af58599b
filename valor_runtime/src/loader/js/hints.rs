//! [`plain`]: Deno's messages, with Valor's remedies instead of Deno's.
//!
//! Deno recommends options, subcommands and a deno.json that Valor does not read. A script's author cannot follow that
//! advice, so each of these hints is replaced by one that helps here, or removed. Everything that is logged or answered
//! about a script's errors goes through [`plain`]: `process`, `requests`, `output` and `script` call it. `mod` passes
//! both tables to the worker (workers.js), so that errors of permissions and of nested Workers say the same to a script
//! that catches them. Deno alone creates the errors of `import()`: a script that catches one sees it unchanged.
//!
//! The tables contain what Deno 2.9 prints about loading modules, permissions and unstable features: the hints in
//! `libs/resolver/graph.rs` and `libs/resolver/npm`, `libs/cache_dir/file_fetcher`, `runtime/permissions`, `ext/fs` and
//! `ext/process`, and in `runtime/fmt_errors.rs` for what it prints by itself.

use std::borrow::Cow;

/// What may follow an access that Deno refuses, by the name of the permission: what grants it, or what to use instead.
pub(super) const RIGHTS: [(&str, &str); 8] = [
    ("read", ", which `files` in its definition grants"),
    ("write", ", which no script has"),
    (
        "net",
        ", which no script has: `fetch` reaches the servers that `allow` in its definition names",
    ),
    (
        "env",
        ", which no script has: say it in `config` in its definition",
    ),
    ("sys", ", which no script has"),
    ("run", ", which no script has"),
    ("ffi", ", which no script has"),
    ("import", FROM_ELSEWHERE),
];

/// About a module with a URL.
const FROM_ELSEWHERE: &str = ", and nothing is loaded from elsewhere: put the module beside the script, or import a \
    package that is installed by its name";
/// How Deno recommends granting a permission: these texts around its name.
const FLAG: (&str, &str) = (", run again with the --allow-", " flag");

/// Its other advice, and the replacements. A `*` is a part of a line without a quotation mark; in the second text it is
/// the first such part.
pub(super) const HINTS: [(&str, &str); 31] = [
    // The names of other modules.
    (
        "TypeError: Requires read access to \"*\", run again with the --allow-read flag",
        "TypeError: Requires read access to \"*\", which `files` in its definition grants, or an import whose text \
         has the name",
    ),
    (", but --no-remote is specified", FROM_ELSEWHERE),
    (" or run with --sloppy-imports", ""),
    (
        "run with --unstable-raw-imports",
        "read the file, which `files` in its definition grants",
    ),
    // Names from a package.json's `imports`.
    (
        "Import \"#*\" not a dependency",
        "Import \"#*\" not found (a name that begins with `#` is one of `imports` in a package.json beside the script \
         or above, which is read if it names a package as well)",
    ),
    (
        "If you want to use a JSR or npm package, try running `deno add jsr:#*` or `deno add npm:#*`",
        "import the file by its path",
    ),
    (
        "If you want to use the npm package, try running `deno add npm:#*`",
        "import the file by its path",
    ),
    // Packages.
    (
        "Import \"*\" not a dependency",
        "Import \"*\" not a dependency (a package is installed beside the script, with `npm install`; a module of \
         Node's has `node:` in front of its name)",
    ),
    (
        "npm specifiers were requested; but --no-npm is specified",
        "packages are not imported by `npm:`: install it beside the script (`npm install`), and import it by its name \
         alone",
    ),
    (
        "Ensure you have all your JSR and npm dependencies listed in your deno.json or package.json, then run `deno \
         install`. Alternatively, turn on auto-install by specifying `\"nodeModulesDir\": \"auto\"` in your deno.json \
         file.",
        "Install it beside the script (`npm install`), and import it by its name alone",
    ),
    (
        "Deno expects the node_modules/ directory to be up to date. Did you forget to run `deno install`?",
        "Run `npm install` beside its package.json",
    ),
    (
        "try running `deno add jsr:*` or `deno add npm:*`",
        "run `npm install *` beside the script",
    ),
    (
        "try running `deno add npm:*`",
        "run `npm install *` beside the script",
    ),
    (
        "try running `deno add jsr:*`",
        "run `npx jsr add *` beside the script",
    ),
    (
        " is only supported with --node-modules-dir=manual",
        " needs a package.json above the script that names packages",
    ),
    // Two lines, which are logged one by one.
    (
        "Add `\"nodeModulesDir\": \"auto\" option to `deno.json`, and then run",
        "No script loads native addons:",
    ),
    (
        "`deno install --allow-scripts=npm:<package> --entrypoint <script>` to setup `node_modules` directory.",
        "choose a package in JavaScript or WebAssembly.",
    ),
    // Permissions.
    (
        "Requires --allow-run permissions to spawn",
        "Requires run access, which no script has, to spawn",
    ),
    (
        " requires unscoped --allow-read and --allow-write permissions; path-scoped grants (e.g. \
         --allow-write=<path>) are not supported because a symlink's target is only resolved when the link is \
         traversed",
        " requires write access, which no script has",
    ),
    // Features that are unstable, or off by default.
    (
        "Unstable API '*'. The `--unstable-*` flag must be provided.",
        "Unstable API '*', which no script has.",
    ),
    (
        "Run again with `--unstable-*` flag to enable this API.",
        "No script has it.",
    ),
    (
        "or pass --unstable-detect-cjs flag to detect CommonJS when loading.",
        "or bundle it.",
    ),
    (
        "If this caused the error, run again with --unsafe-proto to restore it.",
        "If this caused the error, use Object.getPrototypeOf and Object.setPrototypeOf.",
    ),
    // What CommonJS alone has. Deno would go by a package.json, which Valor has it leave alone.
    (
        "ReferenceError: module is not defined",
        "ReferenceError: `module` is not defined (only a file that ends in .cjs is CommonJS, whatever a package.json \
         says: rename it, or write `export default`)",
    ),
    (
        "ReferenceError: exports is not defined",
        "ReferenceError: `exports` is not defined (only a file that ends in .cjs is CommonJS, whatever a package.json \
         says: rename it, or write `export`)",
    ),
    (
        "ReferenceError: require is not defined",
        "ReferenceError: `require` is not defined (only a file that ends in .cjs is CommonJS, whatever a package.json \
         says: rename it, or write `import`)",
    ),
    (
        "ReferenceError: __dirname is not defined",
        "ReferenceError: `__dirname` is not defined (use `import.meta.dirname`)",
    ),
    (
        "ReferenceError: __filename is not defined",
        "ReferenceError: `__filename` is not defined (use `import.meta.filename`)",
    ),
    // Certificates: the host makes the script's fetches.
    (
        "run again with DENO_TLS_CA_STORE=mozilla,system.",
        "`fetch` it: the host has the system's certificates.",
    ),
    (
        "Otherwise pass --unsafely-ignore-certificate-errors to bypass verification (insecure).",
        "",
    ),
    (
        "Run again with the `--unsafely-ignore-certificate-errors` flag to bypass certificate errors.",
        "",
    ),
];

/// Every hint contains this.
const IN_EACH: [&str; 6] = [
    "--",
    "`deno ",
    "DENO_",
    "nodeModulesDir",
    " not a dependency",
    " is not defined",
];

/// A text without Deno's advice.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    if !IN_EACH.iter().any(|it| text.contains(it)) {
        return text;
    }
    for (said, instead) in HINTS {
        if let Some(other) = replaced(&text, said, instead) {
            text = other.into();
        }
    }
    match without_flags(&text) {
        Some(other) => other.into(),
        None => text,
    }
}

/// The text with everything that a pattern matches replaced; `None` if it matches nothing.
fn replaced(text: &str, said: &str, instead: &str) -> Option<String> {
    let (first, others) = said
        .split_once('*')
        .map_or((said, None), |(a, b)| (a, Some(b)));
    let (mut done, mut rest) = (None::<String>, text);
    let mut from = 0;
    while let Some(at) = rest[from..].find(first).map(|at| from + at) {
        let behind = &rest[at + first.len()..];
        let found = match others {
            None => Some(("", behind)),
            Some(others) => matched(behind, others),
        };
        let Some((word, behind)) = found else {
            from = at + first.len();
            continue;
        };
        let done = done.get_or_insert_default();
        done.push_str(&rest[..at]);
        done.push_str(&instead.replace('*', word));
        (rest, from) = (behind, 0);
    }
    done.map(|done| done + rest)
}

/// The first `*` of a pattern, of which a text has the part after it, and the text after the whole match.
fn matched<'a>(text: &'a str, pattern: &str) -> Option<(&'a str, &'a str)> {
    let (word, mut text) = word(text);
    for (at, part) in pattern.split('*').enumerate() {
        if at > 0 {
            text = self::word(text).1;
        }
        text = text.strip_prefix(part)?;
    }
    Some((word, text))
}

/// The text before the next quotation mark of the line.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(['`', '"', '\'', '\n']);
    text.split_at(end.unwrap_or(text.len()))
}

/// The text with the words of [`RIGHTS`] instead of Deno's way to grant a permission.
fn without_flags(text: &str) -> Option<String> {
    let mut parts = text.split(FLAG.0);
    let mut plain = parts.next()?.to_owned();
    let before = plain.len();
    for part in parts {
        let right = part.split_once(FLAG.1);
        let said = right.and_then(|(right, rest)| {
            let (_, instead) = RIGHTS.iter().find(|(name, _)| *name == right)?;
            Some([instead, rest])
        });
        plain.extend(said.unwrap_or([FLAG.0, part]));
    }
    (plain.len() > before).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::{HINTS, IN_EACH, RIGHTS, plain};

    #[test]
    fn advice_on_options_is_left_out() {
        for (said, expected) in [
            ("as it is", "as it is"),
            ("a --flag of the script's", "a --flag of the script's"),
            (
                "NotCapable: Requires read access to \"/a\", run again with the --allow-read flag at a.js:1:2",
                "NotCapable: Requires read access to \"/a\", which `files` in its definition grants at a.js:1:2",
            ),
            (
                "TypeError: Requires read access to \"/a b\", run again with the --allow-read flag at a.js:1:2",
                "TypeError: Requires read access to \"/a b\", which `files` in its definition grants, or an import \
                 whose text has the name at a.js:1:2",
            ),
            (
                "Requires sys access, run again with the --allow-sys flag; Requires run access, run again with the \
                 --allow-run flag",
                "Requires sys access, which no script has; Requires run access, which no script has",
            ),
            (
                ", run again with the --allow-",
                ", run again with the --allow-",
            ),
            (
                "npm specifiers were requested; but --no-npm is specified",
                "packages are not imported by `npm:`: install it beside the script (`npm install`), and import it by \
                 its name alone",
            ),
            (
                "Module not found \"file:///a/lib\". Maybe add a '.js' extension or run with --sloppy-imports",
                "Module not found \"file:///a/lib\". Maybe add a '.js' extension",
            ),
            (
                "hint: If you want to use a JSR or npm package, try running `deno add jsr:@a/b` or `deno add npm:@a/b`",
                "hint: If you want to use a JSR or npm package, run `npm install @a/b` beside the script",
            ),
            (
                "Import \"#x\" not a dependency\n  hint: If you want to use the npm package, try running `deno add \
                 npm:#x`",
                "Import \"#x\" not found (a name that begins with `#` is one of `imports` in a package.json beside the \
                 script or above, which is read if it names a package as well)\n  hint: import the file by its path",
            ),
            (
                "hint: If you want to use a JSR or npm package, try running `deno add jsr:#x` or `deno add npm:#x`",
                "hint: import the file by its path",
            ),
            (
                "`deno add npm:x` and try running `deno add npm:y`, try running `deno add npm:z`",
                "`deno add npm:x` and run `npm install y` beside the script, run `npm install z` beside the script",
            ),
            (
                "Unstable API 'Deno.openKv'. The `--unstable-kv` flag must be provided.",
                "Unstable API 'Deno.openKv', which no script has.",
            ),
            (
                "Could not find a matching package for 'npm:a' in the node_modules directory. Ensure you have all \
                 your JSR and npm dependencies listed in your deno.json or package.json, then run `deno install`. \
                 Alternatively, turn on auto-install by specifying `\"nodeModulesDir\": \"auto\"` in your deno.json \
                 file.",
                "Could not find a matching package for 'npm:a' in the node_modules directory. Install it beside the \
                 script (`npm install`), and import it by its name alone",
            ),
        ] {
            assert_eq!(plain(said), expected);
        }
    }

    #[test]
    fn what_is_said_instead_has_no_options() {
        let rights = RIGHTS.map(|(name, instead)| {
            let said = format!("Requires {name} access, run again with the --allow-{name} flag");
            assert_eq!(plain(&said), format!("Requires {name} access{instead}"));
            instead
        });
        for said in HINTS.map(|(said, _)| said) {
            assert!(IN_EACH.iter().any(|it| said.contains(it)), "{said}");
            let line = said.replace('*', "it");
            assert_ne!(plain(&line), line);
        }
        let instead = HINTS.map(|(_, instead)| instead);
        for instead in instead.into_iter().chain(rights) {
            for part in ["--", "`deno ", "DENO_", "deno.json", "nodeModulesDir"] {
                assert!(!instead.contains(part), "{instead}");
            }
        }
    }
}
