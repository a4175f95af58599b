//! `check` and `web` of scripts that Deno and esbuild by themselves take differently: by their names, their encoding,
//! an `import()` of a missing file, CommonJS, and packages. Each is judged with a Deno and without.

use crate::{
    scripting::deno,
    support::{Finished, Folder, finish, valor_cli},
    web_alike::{ANSWERS, asked, project},
    web_scripts::esbuild,
    webbing::all,
};

/// What `check` says, and `web` with and without a Deno.
fn judged(folder: &Folder) -> [Finished; 3] {
    let (deno, esbuild) = (deno().display().to_string(), esbuild());
    let dist = folder.file("dist");
    let web = ["web", "-o", &dist, "--esbuild", &esbuild];
    [
        asked(folder, &["check", "--deno", &deno]),
        asked(folder, &[&web[..], &["--deno", &deno]].concat()),
        asked(folder, &web),
    ]
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn the_name_and_the_encoding_of_a_script_are_judged_alike() {
    let text = format!("const it = 'é';\n{ANSWERS}");
    let latin: Vec<u8> = text.chars().map(|it| it as u8).collect();
    let marked = format!("\u{feff}{text}");
    let capital = "its name ends in `.JS`: end it with `.js`";
    let other = "its name does not end as a script's does: end it with .js for JavaScript or .ts for TypeScript";
    for (name, bytes, line) in [
        ("it.js", text.as_bytes(), ""),
        ("it.js", marked.as_bytes(), ""),
        ("it.tsx", text.as_bytes(), ""),
        ("it.js", &utf16(&text), "it is UTF-16: save it as UTF-8"),
        ("it.js", &latin, "it is not UTF-8: save it as UTF-8"),
        ("it.JS", text.as_bytes(), capital),
        ("it.TS", text.as_bytes(), "end it with `.ts`"),
        ("it.txt", text.as_bytes(), other),
    ] {
        let folder = project(name, bytes, "[]");
        for finished in judged(&folder) {
            let faults = finished.faults().concat();
            assert_eq!(
                finished.code,
                Some(i32::from(!line.is_empty())),
                "{name}: {finished:?}"
            );
            assert!(faults.contains(line), "{name}: {faults}");
        }
    }
}

#[test]
fn the_name_and_the_encoding_of_what_is_imported_are_judged_alike() {
    for (name, bytes, line) in [
        (
            "LIB.JS",
            b"export default 1;".to_vec(),
            "/LIB.JS`, whose name ends in `.JS`: end it with `.js`",
        ),
        (
            "saved.js",
            utf16("export default 1;"),
            "/saved.js`, which is UTF-16: save that file as UTF-8",
        ),
        (
            "saved.js",
            b"export default '\xe9';".to_vec(),
            "/saved.js`, which is not UTF-8: save that file as UTF-8",
        ),
    ] {
        let text = format!("import it from './{name}';\n{ANSWERS}");
        let folder = project("it.js", text, "[]");
        folder.write(&format!("app/js/{name}"), bytes);
        for finished in judged(&folder) {
            let faults = finished.faults().concat();
            assert_eq!(finished.code, Some(1), "{name}: {finished:?}");
            assert!(
                faults.ends_with(line) || faults.contains(&format!("{line} at ")),
                "{name}: {faults}"
            );
        }
    }
}

/// A script may catch that. So it is served, and written as it is.
#[test]
fn what_an_import_as_it_runs_imports_in_vain_keeps_no_script_from_being_loaded() {
    let lines = "const it = 1; export const later = [\n  () => import('./nix.js'),\n  () => import('./folder'),\n  \
                 () => import('./lib'),\n  () => import('./words.txt'),\n  () => import('nopkg'),\n  \
                 () => import('https://a.example/it.js'),\n  () => import('node:fs'),\n  \
                 () => import('./lib.js'),\n];\n";
    let folder = project("it.js", format!("{lines}{ANSWERS}"), r#"["words.txt"]"#);
    for finished in judged(&folder) {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let warns = finished
            .err
            .matches("an `import()` of the script of `it` is rejected when it runs: ");
        assert_eq!(warns.count(), 6, "{finished:?}");
        for (place, part) in [
            ("it.js:2:16", "nix.js"),
            ("it.js:3:16", "Maybe name a file that is in that folder"),
            ("it.js:4:16", "Maybe add a '.js' extension"),
            (
                "it.js:5:16",
                "it imports `./words.txt`, which is not code: add `with { type: \"text\" }`",
            ),
            ("it.js:6:16", "nopkg"),
            ("it.js:7:16", "nothing is loaded from elsewhere"),
        ] {
            let mut lines = finished.err.lines();
            let line = lines.find(|it| it.contains(place)).unwrap_or_default();
            assert!(line.contains(part), "{place}: {finished:?}");
            assert!(
                line.contains("; correct it, or have the script catch that"),
                "{line}"
            );
        }
        assert!(!finished.err.contains("node:fs"), "{finished:?}");
    }
    let files = all(&folder.path().join("dist"));
    let text = String::from_utf8_lossy(&files["vlugins/it.js"]).into_owned();
    for left in ["./nix.js", "./lib", "./words.txt", "nopkg", "node:fs"] {
        assert!(
            text.contains(&format!("import(\"{left}\")")),
            "{left}: {text}"
        );
    }
    assert!(!text.contains("./lib.js"), "{text}");
}

/// With a Deno, what is broken behind an `import()` is, too. Something else may need that file all the same.
#[test]
fn what_is_broken_behind_an_import_as_it_runs_is_left_to_run() {
    let later = "const it = 1; export const later = () => import('./broken.js');";
    let folder = project("it.js", format!("{later}\n{ANSWERS}"), "[]");
    let [served, written, _] = judged(&folder);
    for finished in [served, written] {
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(
            finished.err.contains(" at broken.js:1:17; correct it"),
            "{finished:?}"
        );
    }
    let text = format!(
        "import it from './own/in.js';\nexport const later = () => import('./one.js');\n{ANSWERS}"
    );
    let folder = project("it.js", text, "[]");
    folder.write("app/js/own/package.json", "{}");
    // Of one name, which is another file's in another folder, nothing is left.
    for other in [
        "export { default } from './one.js';",
        "export default () => import('./one.js');",
    ] {
        folder.write("app/js/own/in.js", other);
        for finished in judged(&folder).iter().skip(1) {
            assert_eq!(finished.code, Some(1), "{finished:?}");
            let faults = finished.faults().concat();
            assert!(
                faults.contains("it.js:2:35: Could not resolve \"./one.js\""),
                "{faults}"
            );
        }
    }
}

/// Deno would go by a package.json, and esbuild goes by the text.
#[test]
fn commonjs_is_what_ends_in_cjs() {
    let text = "module.exports = { fetch: () => new Response('it') };\n";
    let of_server = "ReferenceError: `module` is not defined (only a file that ends in .cjs is CommonJS, whatever a \
                     package.json says: rename it, or write `export default`) at it.js:1:1";
    let of_page = "it.js is CommonJS, which a server runs only if a file ends in .cjs: rename it, or write `export \
                   default`";
    for (name, code) in [("it.js", 1), ("it.cjs", 0)] {
        let folder = project(name, text, "[]");
        folder.write("app/package.json", r#"{ "type": "commonjs" }"#);
        let [served, written, bundled] = judged(&folder);
        for (finished, line) in [(served, of_server), (written, of_page), (bundled, of_page)] {
            assert_eq!(finished.code, Some(code), "{name}: {finished:?}");
            let faults = finished.faults().concat();
            assert!(code == 0 || faults.ends_with(line), "{name}: {faults}");
        }
    }
}

/// What a page has not, with what to do.
#[test]
fn what_no_page_has_is_refused_with_a_remedy() {
    for (text, line) in [
        (
            "import it from 'node:fs';",
            "it.js:1:16: it imports `node:fs`, a module of Node's, which no page has: import it by `import()` where \
             there is a `Deno`, or leave this vlugin out of the page's plugins.json",
        ),
        (
            "import defer * as it from './lib.js';",
            "it.js:1:27: it imports with `defer`, of which no one file can be made: import it without, or by \
             `import()` when it is needed",
        ),
    ] {
        let folder = project("it.js", format!("{text}\n{ANSWERS}"), "[]");
        let [served, written, bundled] = judged(&folder);
        assert_eq!(served.code, Some(0), "{served:?}");
        for finished in [written, bundled] {
            assert_eq!(finished.code, Some(1), "{finished:?}");
            let faults = finished.faults().concat();
            assert!(faults.ends_with(line), "{faults}");
        }
    }
}

/// The script of a package goes into a page as it is, so it is judged as any other.
#[test]
fn the_script_of_a_package_is_judged_too() {
    use valor_runtime::package::{Manifest, Package, SCRIPT_TARGET};
    let capped = "it.vlugin is not loaded: ";
    for (text, part) in [
        ("const it = 1;", ""),
        ("const it = (;", "it.js:1:13"),
        (
            "import it from './lib.js';",
            "`./lib.js` is not loaded: a script that is checked (`sha256`, a signature) or",
        ),
        (
            "import it from 'node:fs';",
            "it imports `node:fs`, a module of Node's, which no page has",
        ),
        (
            "const it = await 1;",
            "Top-level await is not available in a page",
        ),
    ] {
        let folder = project("lib.js", "", "[]");
        let plugins = r#"{ "plugins": [{ "type": "js", "name": "it", "path": "it.vlugin" }] }"#;
        folder.write("app/plugins.json", plugins);
        let source = format!("{text}\n{ANSWERS}");
        let manifest = Manifest::script("it", "1.0.0");
        let bytes = Package::write(manifest, vec![(SCRIPT_TARGET, source.as_bytes())]);
        folder.write("app/it.vlugin", bytes.unwrap());
        let [_, written, bundled] = judged(&folder);
        for finished in [written, bundled] {
            assert_eq!(
                finished.code,
                Some(i32::from(!part.is_empty())),
                "{text}: {finished:?}"
            );
            let faults = finished.faults().concat();
            assert!(faults.contains(part), "{text}: {faults}");
            let begins =
                faults.contains(capped) || faults.contains("it.vlugin cannot be bundled: ");
            assert!(
                part.is_empty() || begins || faults.contains("it.vlugin is not bundled: "),
                "{faults}"
            );
            assert!(!faults.contains("valor-script-"), "{faults}");
        }
        if part.is_empty() {
            let files = all(&folder.path().join("dist"));
            assert_eq!(files["vlugins/it.js"], source.as_bytes());
        }
    }
}

/// A package is made of what a server would run.
#[test]
fn what_is_no_script_by_its_name_or_encoding_is_not_packaged() {
    let folder = Folder::new("{}");
    folder.write("it.js", utf16("export default {};"));
    folder.write("it.TS", "export default {};");
    for (name, line) in [
        (
            "it.js",
            "it.js is not loaded: it is UTF-16: save it as UTF-8",
        ),
        (
            "it.TS",
            "it.TS is not loaded: its name ends in `.TS`: end it with `.ts`",
        ),
    ] {
        let mut command = valor_cli();
        let (file, output) = (folder.file(name), folder.file("it.vlugin"));
        command.args(["package", "--esbuild", &esbuild(), "-o", &output, &file]);
        let finished = finish(command);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.faults().concat().ends_with(line), "{finished:?}");
    }
}
