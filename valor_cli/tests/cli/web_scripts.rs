//! `web` and its scripts: what it copies, what esbuild bundles, and what is left out if a tool or a package is missing.

use crate::{
    support::{Finished, Folder, finish, valor_cli},
    webbing::all,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The esbuild that the checks install; there is none for Windows.
#[cfg(unix)]
pub fn esbuild() -> String {
    let tools = std::env::var("VALOR_JS_TOOLS").expect("VALOR_JS_TOOLS, as .ci/tools sets it");
    format!("{tools}/.bin/esbuild")
}

/// `web`, if the only esbuild is the named one.
pub fn write_scripts(folder: &Folder, esbuild: Option<&str>) -> Finished {
    let mut command = valor_cli();
    let (plugins, dist) = (folder.file("plugins.json"), folder.file("dist"));
    command.args(["web", "-p", &plugins, "-o", &dist]);
    command.args(esbuild.map(|file| format!("--esbuild={file}")));
    // No esbuild and no Deno in a node_modules above or on the PATH.
    command
        .env("PATH", folder.path())
        .env_remove("VALOR_DENO")
        .env_remove("VALOR_ESBUILD");
    finish(command)
}

const BOARD: &str =
    "// Not to import anything.\nexport default { fetch: () => new Response('ü') };\n";

#[test]
fn javascript_stays_as_it_is() {
    let folder = Folder::new(
        r#"{ "plugins": [
            { "type": "js", "name": "board", "allow": ["a.example"] },
            { "type": "js", "name": "again", "path": "./board.js", "prefix": "/deep/again", "config": 1 }
        ] }"#,
    );
    folder.write("board.js", BOARD);
    let finished = write_scripts(&folder, None);
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    assert!(
        finished.out.contains("connect-src 'self' a.example:*"),
        "{}",
        finished.out
    );
    let files = all(&folder.path().join("dist"));
    assert_eq!(files["vlugins/board.js"], BOARD.as_bytes());
    assert!(!files.contains_key("vlugins/again.js"));
    let sha256 = Sha256::digest(BOARD);
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let listed: Value = serde_json::from_slice(&files["plugins.json"]).unwrap();
    for plugin in listed["plugins"].as_array().unwrap() {
        assert_eq!(plugin["path"], "vlugins/board.js");
        assert_eq!(plugin["sha256"], sha256.as_str());
    }
    let imports = String::from_utf8_lossy(&files["valor-vlugins.js"]).into_owned();
    // Browsers look for a newer service worker in its own file first.
    folder.write(
        "board.js",
        "export default { fetch: () => new Response() };\n",
    );
    assert_eq!(write_scripts(&folder, None).code, Some(0));
    let newer = all(&folder.path().join("dist"));
    assert_ne!(files["valor-sw.js"], newer["valor-sw.js"]);
    for name in ["board", "again"] {
        assert!(
            imports.contains(&format!(r#" from "./vlugins/board.js?{name}";"#)),
            "{imports}"
        );
    }
}

#[test]
#[cfg(unix)]
fn typescript_and_what_imports_is_bundled() {
    let made = || {
        let folder = Folder::new(
            r#"{ "plugins": [
                { "type": "js", "name": "typed" },
                { "type": "js", "name": "parts", "path": "parts.js" }
            ] }"#,
        );
        folder.write(
        "typed.ts",
        "const status: number = 201;\nexport default { fetch: (_: Request): Response => new Response('t', { status }) \
         };\n",
    );
        folder.write(
            "parts.js",
            "import { text } from './lib/text.js';\nimport { kind } from 'kinds';\n\
             export default { fetch: () => new Response(text + kind) };\n",
        );
        folder.write(
            "lib/text.js",
            "export const text = 'from the öther file';\n",
        );
        // A package with a special version for workers.
        let exports = r#"{ "exports": { "worker": "./worker.js", "default": "./other.js" } }"#;
        folder.write("node_modules/kinds/package.json", exports);
        folder.write(
            "node_modules/kinds/worker.js",
            "export const kind = 'for workers';",
        );
        folder.write(
            "node_modules/kinds/other.js",
            "export const kind = 'for others';",
        );
        folder
    };
    let folder = made();
    let finished = write_scripts(&folder, Some(&esbuild()));
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    let files = all(&folder.path().join("dist"));
    let text = |name: &str| String::from_utf8_lossy(&files[name]).into_owned();
    let (typed, parts) = (text("vlugins/typed.js"), text("vlugins/parts.js"));
    assert!(
        typed.contains("status = 201") && !typed.contains("number"),
        "{typed}"
    );
    assert!(
        parts.contains("from the öther file") && !parts.contains("import "),
        "{parts}"
    );
    assert!(
        parts.contains("for workers") && parts.contains("export {"),
        "{parts}"
    );
    // The same input gives the same folder, wherever it is.
    for folder in [folder, made()] {
        assert_eq!(write_scripts(&folder, Some(&esbuild())).code, Some(0));
        assert_eq!(all(&folder.path().join("dist")), files);
    }
}

#[test]
#[cfg(unix)]
fn scripts_that_cannot_be_written() {
    let refused = |name: &str, source: &str, esbuild: Option<&str>, parts: &[&str]| {
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [{{ "type": "js", "name": "a", "path": "{name}" }}] }}"#
        ));
        folder.write("a.ts", source);
        let finished = write_scripts(&folder, esbuild);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let faults = finished.faults();
        assert!(
            faults.len() == 1 && parts.iter().all(|part| faults[0].contains(part)),
            "{faults:?}"
        );
        assert!(!folder.path().join("dist").exists());
    };
    refused(
        "a.ts",
        "",
        None,
        &[
            "plugins[0].path: vlugin `a`: ",
            "a.ts is TypeScript, which esbuild turns into one JavaScript file, and esbuild is not found: \
             `npm install esbuild` beside plugins.json, or name it with --esbuild or VALOR_ESBUILD",
        ],
    );
    // Several share what is wrong with it.
    let typed =
        ["a", "b"].map(|it| format!(r#"{{ "type": "js", "name": "{it}", "path": "a.ts" }}"#));
    let folder = Folder::new(&format!(r#"{{ "plugins": [{}] }}"#, typed.join(", ")));
    folder.write("a.ts", "");
    let finished = write_scripts(&folder, None);
    let faults = finished.faults();
    let short = "one JavaScript file, and esbuild is not found";
    assert!(
        faults.len() == 2 && faults.iter().all(|it| it.ends_with(short)),
        "{faults:?}"
    );
    let note = "note: esbuild is not found: `npm install esbuild` beside plugins.json, ";
    assert_eq!(finished.err.matches(note).count(), 1, "{}", finished.err);
    refused("a.ts", "", Some("/none"), &["/none cannot be run: "]);
    let told = ["cannot be run: Permission denied (os error 13): see that it runs here"];
    refused("a.ts", "", Some("/dev/null"), &told);
    for (tool, code) in [("/usr/bin/false", 1), ("/usr/bin/true", 0)] {
        let line = format!(
            "a.ts cannot be bundled: {tool} ended with exit status: {code} and said nothing; see that it is esbuild"
        );
        refused("a.ts", "", Some(tool), &[&line]);
    }
    refused("b", "", None, &["there is no b.js, .mjs, .ts or .mts"]);
    refused("./b.js", "", None, &["b.js cannot be read: "]);
    let esbuild = esbuild();
    let wrong = "import './nowhere';\n";
    refused(
        "a.ts",
        wrong,
        Some(&esbuild),
        &[
            "a.ts cannot be bundled: a.ts:1:8: Could not resolve \"./nowhere\": put that file there, or \
             correct the name",
        ],
    );
    let waits = "await null;\nexport default {};\n";
    refused(
        "a.ts",
        waits,
        Some(&esbuild),
        &["a.ts:1:1: Top-level await is not available"],
    );
}

/// One file of JSX or CommonJS would keep the whole service worker from starting.
#[cfg(unix)]
#[test]
fn what_a_service_worker_cannot_import_is_bundled() {
    let cases = [
        (
            "a.jsx",
            "export default { fetch: () => new Response(<a/>) };\n",
        ),
        (
            "a.cjs",
            "module.exports = { fetch: () => new Response() };\n",
        ),
    ];
    for (name, source) in cases {
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [{{ "type": "js", "name": "a", "path": "{name}" }}] }}"#
        ));
        folder.write(name, source);
        let refused = write_scripts(&folder, None);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let line = "is neither .js nor .mjs, which esbuild turns into one JavaScript file";
        assert!(refused.faults()[0].contains(line), "{refused:?}");

        let finished = write_scripts(&folder, Some(&esbuild()));
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let files = all(&folder.path().join("dist"));
        let written = files.iter().find(|(file, _)| file.starts_with("vlugins/"));
        let text = String::from_utf8_lossy(written.expect("a script").1);
        assert!(text.contains("export") && !text.contains("<a/>"), "{text}");
    }
}

#[test]
fn an_optional_one_is_left_out_for_want_of_esbuild() {
    let plugins = |optional: &str| {
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [
                {{ "type": "js", "name": "typed"{optional} }},
                {{ "type": "js", "name": "parts", "path": "parts.js"{optional} }},
                {{ "type": "js", "name": "board", "optional": true }}
            ] }}"#
        ));
        folder.write("board.js", BOARD);
        folder.write("typed.ts", "export default {};\n");
        folder.write("parts.js", "import './board.js';\nexport default {};\n");
        folder
    };
    let needed = write_scripts(&plugins(""), None);
    assert_eq!((needed.code, needed.faults().len()), (Some(1), 2));

    let folder = plugins(r#", "optional": true"#);
    let finished = write_scripts(&folder, None);
    assert_eq!(
        (finished.code, &*finished.err),
        (Some(0), ""),
        "{finished:?}"
    );
    let rows: Vec<_> = finished.out.lines().collect();
    for (row, why) in [
        (rows[1], "typed.ts is TypeScript, "),
        (rows[2], "parts.js imports other files, "),
    ] {
        assert!(
            row.contains("unavailable: ")
                && row.contains(why)
                && row.contains("`npm install esbuild`"),
            "{row}"
        );
    }
    assert!(rows[3].ends_with("written"), "{}", rows[3]);
    let files = all(&folder.path().join("dist"));
    let listed: Value = serde_json::from_slice(&files["plugins.json"]).unwrap();
    assert_eq!(listed["plugins"].as_array().unwrap().len(), 1);
    let modules: Vec<_> = files
        .keys()
        .filter(|it| it.starts_with("vlugins/"))
        .collect();
    assert_eq!(modules, ["vlugins/board.js"]);
}

#[test]
#[cfg(unix)]
fn an_optional_one_is_left_out_for_want_of_a_package() {
    let example = crate::support::workspace().join("examples/hono");
    let folder = |keys: &str| {
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [{{ "type": "js", "name": "app", "path": "hono/hono.js"{keys} }}] }}"#
        ));
        for name in ["hono.js", "package.json"] {
            let bytes = std::fs::read(example.join(name)).unwrap();
            folder.write(&format!("hono/{name}"), bytes);
        }
        folder
    };
    let esbuild = esbuild();
    let written = |folder: &Folder| write_scripts(folder, Some(&esbuild));
    let at = |folder: &Folder, path: &str| folder.path().join(path).display().to_string();

    let needed = folder("");
    let finished = written(&needed);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let line = |folder: &Folder| {
        format!(
            "`hono` is not installed, which {} imports: run `npm install` in {}",
            at(folder, "hono/hono.js"),
            at(folder, "hono")
        )
    };
    let place = format!(
        "{}:1:54: plugins[0].path: vlugin `app`: ",
        needed.file("plugins.json")
    );
    assert_eq!(
        finished.faults(),
        [format!("{place}{}", line(&needed))],
        "{finished:?}"
    );

    let optional = folder(r#", "optional": true"#);
    let finished = written(&optional);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished
            .out
            .contains(&format!("unavailable: {}", line(&optional))),
        "{}",
        finished.out
    );
    // Once it is installed, it is in the bundle.
    let tools = std::path::PathBuf::from(std::env::var_os("VALOR_JS_TOOLS").unwrap());
    let modules = optional.path().join("hono/node_modules");
    std::fs::create_dir(&modules).unwrap();
    std::os::unix::fs::symlink(tools.join("hono"), modules.join("hono")).unwrap();
    let finished = written(&optional);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let files = all(&optional.path().join("dist"));
    let bundle = String::from_utf8_lossy(&files["vlugins/app.js"]);
    assert!(bundle.contains("Bonjour") && !bundle.contains("from \"hono"));
    // Not what is missing in it, nor what is Node's own: no package would help.
    for (specifier, said) in [
        ("hono/nothing", "Could not resolve \"hono/nothing\""),
        (
            "fs",
            "it imports `fs`, a module of Node's, which no page has: ",
        ),
    ] {
        optional.write("hono/hono.js", format!("import '{specifier}';\n"));
        let finished = written(&optional);
        assert_eq!(finished.code, Some(1), "{specifier}: {finished:?}");
        let faults = finished.faults();
        assert!(faults[0].contains(said), "{faults:?}");
    }
}

#[test]
fn the_file_is_held_to_its_checksum() {
    let sha256 = Sha256::digest(BOARD);
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02X}")).collect();
    let written = |sha256: &str| {
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [{{ "type": "js", "name": "board", "sha256": "{sha256}" }}] }}"#
        ));
        folder.write("board.js", BOARD);
        write_scripts(&folder, None)
    };
    assert_eq!(written(&sha256).code, Some(0));
    #[cfg(unix)]
    {
        // As on a server, nothing is imported that was not checked.
        let text = "import './lib.js'; export default {};";
        let sha256: String = Sha256::digest(text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [{{ "type": "js", "name": "it", "sha256": "{sha256}" }}] }}"#
        ));
        folder.write("it.js", text);
        folder.write("lib.js", "");
        let finished = write_scripts(&folder, Some(&esbuild()));
        let line = "`./lib.js` is not loaded: a script that is checked (`sha256`, a signature) or from a package is \
                    it.js alone; put everything into one package";
        assert!(finished.faults().concat().ends_with(line), "{finished:?}");
    }
    let finished = written(&"0".repeat(64));
    assert_eq!(finished.code, Some(1));
    let faults = finished.faults();
    assert!(
        faults[0].contains("plugins[0].sha256: vlugin `board`: ")
            && faults[0].contains("board.js has the SHA-256 "),
        "{faults:?}"
    );
}

#[test]
fn scripts_are_looked_for_in_plugin_dirs_and_then_beside_plugins_json() {
    let folder = Folder::new(
        r#"{ "plugins": [
            { "type": "js", "name": "a" }, { "type": "js", "name": "b" }, { "type": "js", "name": "c" }
        ] }"#,
    );
    let text = |said: &str| format!("export default {{ fetch: () => new Response('{said}') }};\n");
    folder.write("a.js", text("beside"));
    folder.write("dir/a.mjs", text("dir"));
    // The extensions have an order; the types in this one would have to be removed.
    folder.write("b.js", text("js"));
    folder.write("b.ts", "export default {} as any;");
    folder.write("c.mjs", text("mjs"));
    let mut command = valor_cli();
    let (plugins, dist) = (folder.file("plugins.json"), folder.file("dist"));
    command.args(["web", "-p", &plugins, "-o", &dist]);
    command.args(["--plugin-dir", &folder.file("dir")]);
    let finished = finish(command);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let files = all(&folder.path().join("dist"));
    for (name, said) in [("a", "dir"), ("b", "js"), ("c", "mjs")] {
        assert_eq!(files[&format!("vlugins/{name}.js")], text(said).as_bytes());
    }
}

#[test]
#[cfg(unix)]
fn esbuild_is_named_or_found() {
    use std::{os::unix::fs::symlink, path::Path, process::Command};
    let folder = Folder::new("");
    folder.write(
        "sub/plugins.json",
        r#"{ "plugins": [{ "type": "js", "name": "typed" }] }"#,
    );
    folder.write("sub/typed.mts", "export default {} as any;\n");
    let esbuild = esbuild();
    let bin = Path::new(&esbuild).parent().unwrap();
    let with = |found: &dyn Fn(&mut Command) -> &mut Command| {
        let mut command = valor_cli();
        let (plugins, dist) = (folder.file("sub/plugins.json"), folder.file("dist"));
        command.args(["web", "-p", &plugins, "-o", &dist]);
        command
            .env("PATH", folder.path())
            .env_remove("VALOR_ESBUILD");
        found(&mut command);
        let finished = finish(command);
        (finished.code, finished.err)
    };
    let ok = (Some(0), String::new());
    assert_eq!(with(&|it| it).0, Some(1));
    assert_eq!(with(&|it| it.arg("--esbuild").arg(&esbuild)), ok);
    assert_eq!(with(&|it| it.env("VALOR_ESBUILD", &esbuild)), ok);
    assert_eq!(with(&|it| it.env("PATH", bin)), ok);
    // The named one comes first.
    let (code, err) = with(&|it| {
        it.args(["--esbuild", "/none"])
            .env("VALOR_ESBUILD", &esbuild)
    });
    assert!(
        code == Some(1) && err.contains("/none cannot be run"),
        "{err}"
    );
    let (code, err) = with(&|it| it.env("VALOR_ESBUILD", "/none").env("PATH", bin));
    assert!(
        code == Some(1) && err.contains("/none cannot be run"),
        "{err}"
    );
    // Next to plugins.json, and above.
    for dir in ["sub", "."] {
        let modules = folder.path().join(dir).join("node_modules/.bin");
        std::fs::create_dir_all(&modules).unwrap();
        symlink(&esbuild, modules.join("esbuild")).unwrap();
        assert_eq!(with(&|it| it), ok, "{dir}");
        std::fs::remove_file(modules.join("esbuild")).unwrap();
    }
}
