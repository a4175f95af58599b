//! `web` and `check` with the same scripts: a file is a vlugin in a page and on a server, or in neither.
//!
//! `web` checks with a server's Deno if there is one, and with esbuild otherwise; the tests use both.

use crate::{
    scripting::deno,
    support::{Finished, Folder, finish, valor_cli},
    web_scripts::esbuild,
};

/// Where each script is, and files around it.
pub fn project(name: &str, text: impl AsRef<[u8]>, files: &str) -> Folder {
    let folder = Folder::new("");
    // The project reaches up to `app`, and no further.
    std::fs::remove_file(folder.path().join("plugins.json")).unwrap();
    let plugins = format!(
        r#"{{ "plugins": [{{ "type": "js", "name": "it", "path": "js/{name}", "files": {files} }}] }}"#
    );
    folder.write("app/plugins.json", plugins);
    folder.write(
        "app/package.json",
        r##"{ "imports": { "#it": "./js/lib.js" } }"##,
    );
    folder.write(&format!("app/js/{name}"), text);
    for (name, text) in [
        ("lib.js", "export default 'lib';"),
        ("folder/index.js", "export default 'index';"),
        ("a b.js", "export default 'with a space';"),
        ("a%20b.js", "export default 'with an escape';"),
        ("data.json", r#"{ "it": 1 }"#),
        ("words.txt", "words"),
        ("broken.js", "export default {;"),
        ("mapped.js", "export default 'mapped';"),
        (
            "own/package.json",
            r#"{ "browser": { "./one.js": "./two.js" } }"#,
        ),
        ("own/one.js", "export default 'one';"),
        ("own/two.js", "export default 'two';"),
        ("own/in.js", "export { default } from './one.js';"),
        (
            "view.tsx",
            "/** @jsxImportSource ./nowhere */\nexport default <p>it</p>;",
        ),
        ("typed.ts", "export type It = string;\nexport default 'it';"),
    ] {
        folder.write(&format!("app/js/{name}"), text);
    }
    // Only for esbuild; a server reads none.
    let paths = r#"{ "compilerOptions": { "paths": { "mapped": ["./js/mapped.js"] } } }"#;
    folder.write("app/tsconfig.json", paths);
    let types = "export type It = string;\nexport default 'out';";
    folder.write("outside/types.ts", types);
    folder
}

pub fn asked(folder: &Folder, more: &[&str]) -> Finished {
    let mut command = valor_cli();
    command
        .args(more)
        .args(["-p", &folder.file("app/plugins.json")]);
    command
        .env("PATH", folder.path())
        .env_remove("VALOR_DENO")
        .env_remove("VALOR_ESBUILD");
    finish(command)
}

pub const ANSWERS: &str = "export default { fetch: () => new Response(String(it)) };\n";

#[test]
fn a_file_is_a_vlugin_in_a_page_and_on_a_server_or_in_neither() {
    let deno = deno().display().to_string();
    let granted = r#"["data.json", "words.txt"]"#;
    // What a server says, and what esbuild says without a server; nothing, if it is a vlugin.
    for (name, text, files, of_server, of_esbuild) in [
        ("fine.js", "import it from './lib.js';", "[]", "", ""),
        ("alone.js", "const it = 1;", "[]", "", ""),
        (
            "syntax.js",
            "const it = 1;\nconst other = (;",
            "[]",
            "SyntaxError: Expression expected | 2 | const other = (; | ~ at syntax.js:2:16",
            "syntax.js:2:16: Unexpected \";\"",
        ),
        (
            "through.js",
            "import it from './broken.js';",
            "[]",
            "at broken.js:1:17",
            "broken.js:1:17: Expected identifier but found \";\"",
        ),
        (
            "endless.js",
            "import it from './lib';",
            "[]",
            "Module not found \"lib\". Maybe add a '.js' extension at endless.js:1:16",
            "it imports `./lib`, which a server does not find. Maybe add a '.js' extension at endless.js:1:16",
        ),
        (
            "folder.js",
            "import it from './folder';",
            "[]",
            " Maybe name a file that is in that folder at folder.js:1:16",
            "it imports `./folder`, which a server does not find. Maybe name a file that is in that folder at \
             folder.js:1:16",
        ),
        (
            "json.js",
            "import it from './data.json';",
            granted,
            "it imports `./data.json`, which is not code: add `with { type: \"json\" }` at json.js:1:16",
            "it imports `./data.json`, which is not code: add `with { type: \"json\" }` at json.js:1:16",
        ),
        (
            "json_with.js",
            "import it from './data.json' with { type: 'json' };",
            granted,
            "",
            "",
        ),
        (
            "text.js",
            "import it from './words.txt';",
            granted,
            "it imports `./words.txt`, which is not code: add `with { type: \"text\" }` at text.js:1:16",
            "it imports `./words.txt`, which is not code: add `with { type: \"text\" }` at text.js:1:16",
        ),
        (
            "text_with.js",
            "import it from './words.txt' with { type: 'text' };",
            granted,
            "",
            "",
        ),
        // Code of the project can be read, and it can be run.
        (
            "code_as_text.js",
            "import it from './lib.js' with { type: 'text' };",
            "[]",
            "",
            "",
        ),
        (
            "bytes.js",
            "import it from './lib.js' with { type: 'bytes' };",
            "[]",
            "it imports `./lib.js` with the type \"bytes\", which a server does not load",
            "it imports `./lib.js` with the type \"bytes\", which a server does not load",
        ),
        (
            "required.js",
            "const it = require('./data.json');",
            "[]",
            "it imports `data.json`, which is not code: to read it, its definition must name it",
            "it imports `data.json`, which is not code: to read it, its definition must name it",
        ),
        (
            "pragma.js",
            "import it from './view.tsx';",
            "[]",
            "Module not found \"nowhere/jsx-runtime\" at view.tsx:1:",
            "Could not resolve \"./nowhere/jsx-runtime\"",
        ),
        // A server reads nothing that is only for types.
        (
            "types.ts",
            "import type { It } from '../../outside/types.ts'; const it: It = '';",
            "[]",
            "",
            "",
        ),
        (
            "referred.ts",
            "/// <reference types=\"../../outside/types.ts\" />\nimport it from './lib.js';",
            "[]",
            "",
            "",
        ),
        (
            "not_types.ts",
            "import { It } from '../../outside/types.ts'; const it: It = '';",
            "[]",
            "outside/types.ts, which is outside of its project",
            "outside/types.ts, which is outside of its project",
        ),
        (
            "separated.js",
            "// it \u{2028}import it from '../../outside/types.ts';",
            "[]",
            "outside/types.ts, which is outside of its project",
            "outside/types.ts, which is outside of its project",
        ),
        (
            "commented.js",
            "import/**/it/* from */from/**/'../../outside/types.ts';",
            "[]",
            "outside/types.ts, which is outside of its project",
            "outside/types.ts, which is outside of its project",
        ),
        (
            "exported.js",
            "const it = 1; export * from/**/'./lib.js';",
            "[]",
            "",
            "",
        ),
        ("spaced.js", "import it from './a b.js';", "[]", "", ""),
        (
            "escaped.js",
            "import it from './a%20b.js';",
            "[]",
            "it imports `./a%20b.js`, which a page would look for by that very name: write the name as the file has \
             it, `./a b.js` at escaped.js:1:16",
            "it imports `./a%20b.js`, which a page would look for by that very name: write the name as the file has \
             it, `./a b.js` at escaped.js:1:16",
        ),
        (
            "escaped_vain.js",
            "import it from './c%20d.js';",
            "[]",
            "it imports `./c%20d.js`, which a page would look for by that very name",
            "Could not resolve \"./c%20d.js\"",
        ),
        (
            "mapping.js",
            "import it from 'mapped';",
            "[]",
            "`mapped` is not installed",
            "`mapped` is not installed",
        ),
        (
            "browser.js",
            "import it from './own/in.js';",
            "[]",
            "own/two.js to esbuild: import the file that is meant by its own name",
            "own/two.js to esbuild: import the file that is meant by its own name",
        ),
        (
            "elsewhere.js",
            "import it from 'https://a.example/it.js';",
            "[]",
            "Requires import access to \"a.example:443\", and nothing is loaded from elsewhere",
            "it imports `https://a.example/it.js`, and nothing is loaded from elsewhere",
        ),
        // The package.json names no package, so it is not read.
        (
            "named.js",
            "import it from '#it';",
            "[]",
            "Import \"#it\" not found (a name that begins with `#` is one of `imports` in a package.json beside the \
             script or above, which is read if it names a package as well) at named.js:1:16",
            "it imports `#it`, and a server reads the names of `imports` in a package.json only if that names a \
             package as well: import the file by its path at named.js:1:16",
        ),
    ] {
        let folder = project(name, format!("{text}\n{ANSWERS}"), files);
        let dist = folder.file("dist");
        let esbuild = esbuild();
        let web = ["web", "-o", &dist, "--esbuild", &esbuild];
        // The one that only esbuild resolves to another file is fine on a server.
        let serves = of_server.is_empty() || name == "browser.js";
        let served = asked(&folder, &["check", "--deno", &deno]);
        assert_eq!(served.code, Some(i32::from(!serves)), "{name}: {served:?}");
        let written = asked(&folder, &[&web[..], &["--deno", &deno]].concat());
        let bundled = asked(&folder, &web);
        for (finished, part) in [(&written, of_server), (&bundled, of_esbuild)] {
            let expected = i32::from(!part.is_empty());
            assert_eq!(finished.code, Some(expected), "{name}: {finished:?}");
            let faults = finished.faults().concat();
            assert!(faults.contains(part), "{name}: {faults}");
            assert!(!faults.contains("npm install #"), "{name}: {faults}");
        }
        if !serves && !of_server.contains("outside of its project") {
            // The exact line of the server.
            assert_eq!(served.faults(), written.faults(), "{name}");
        }
    }
}

/// Nobody has read it, so a script that may import something is not written.
#[test]
fn without_any_tool_a_script_is_written_that_certainly_imports_nothing() {
    for (text, is_written) in [
        ("// Not to import anything.\n", true),
        ("// import it from './lib.js';\n", true),
        ("/**\n * import it from './lib.js';\n */\n", true),
        ("// it\u{2028}import './lib.js';\n", false),
        ("export * from/**/'./lib.js';\n", false),
        ("const a = 1 /*\n// */; import './lib.js';\n", false),
    ] {
        let folder = project("it.js", format!("{text}const it = 1;\n{ANSWERS}"), "[]");
        let finished = asked(&folder, &["web", "-o", &folder.file("dist")]);
        assert_eq!(finished.code == Some(0), is_written, "{text}: {finished:?}");
        if !is_written {
            let faults = finished.faults().concat();
            assert!(
                faults.contains("imports other files, which esbuild "),
                "{faults}"
            );
        }
    }
}

/// A service worker has no top-level `await`; esbuild says so if it is installed.
#[test]
fn what_a_service_worker_has_not_is_refused_when_it_is_written() {
    let deno = deno().display().to_string();
    let text = format!("const it = await 1;\n{ANSWERS}");
    let folder = project("it.js", &text, "[]");
    let dist = folder.file("dist");
    let esbuild = esbuild();
    for more in [&[][..], &["--deno", &deno]] {
        let web = ["web", "-o", &dist, "--esbuild", &esbuild];
        let finished = asked(&folder, &[&web, more].concat());
        let faults = finished.faults().concat();
        assert!(
            faults.contains("it.js:1:12: Top-level await is not available in a page: await that in `create(env)`"),
            "{finished:?}"
        );
    }
}

/// `require` exists only for CommonJS, and esbuild would add one to any module.
#[test]
fn what_is_required_by_a_module_is_refused_when_it_is_written() {
    let deno = deno().display().to_string();
    let folder = project(
        "it.js",
        format!("const it = require('./lib.js');\n{ANSWERS}"),
        "[]",
    );
    let (dist, esbuild) = (folder.file("dist"), esbuild());
    // A package.json makes no CommonJS of it.
    for manifest in ["{}", r#"{ "type": "commonjs" }"#] {
        folder.write("app/js/package.json", manifest);
        let served = asked(&folder, &["check", "--deno", &deno]);
        let faults = served.faults().concat();
        assert!(
            faults.contains(
                "ReferenceError: `require` is not defined (only a file that ends in .cjs is CommonJS"
            ),
            "{served:?}"
        );
        for more in [&[][..], &["--deno", &deno]] {
            let web = ["web", "-o", &dist, "--esbuild", &esbuild];
            let finished = asked(&folder, &[&web, more].concat());
            let faults = finished.faults().concat();
            let line = "it calls `require(\"./lib.js\")`, and a server has no `require` in an ES module: import it at \
                        it.js:1:20";
            assert!(faults.ends_with(line), "{finished:?}");
        }
    }
}

/// It reads the folder of the file that requires, wherever the other one is.
#[test]
fn what_is_required_by_commonjs_is_a_read() {
    let deno = deno().display().to_string();
    let (esbuild, text) = (
        esbuild(),
        format!("import it from './common/it.cjs';\n{ANSWERS}"),
    );
    for (files, is_served) in [
        ("[]", false),
        (r#"["lib.cjs"]"#, false),
        (r#"["common"]"#, true),
        (r#"["."]"#, true),
    ] {
        let folder = project("it.js", &text, files);
        folder.write("app/js/lib.cjs", "module.exports = 'lib';");
        folder.write(
            "app/js/common/it.cjs",
            "module.exports = require('../lib.cjs');",
        );
        let served = asked(&folder, &["check", "--deno", &deno]);
        let dist = folder.file("dist");
        let web = ["web", "-o", &dist, "--esbuild", &esbuild];
        let written = asked(&folder, &[&web[..], &["--deno", &deno]].concat());
        let bundled = asked(&folder, &web);
        for finished in [&served, &written, &bundled] {
            let code = Some(i32::from(!is_served));
            assert_eq!(finished.code, code, "{files}: {finished:?}");
        }
        if is_served {
            continue;
        }
        let line = "/app/js/common\", which `files` in its definition grants";
        assert!(served.faults()[0].contains(line), "{served:?}");
        let line = "it calls `require(\"../lib.cjs\")`, which reads the folder of its file: name that folder in \
                    its definition, \"files\": [\"common\"] at common/it.cjs:1:26";
        for finished in [&written, &bundled] {
            assert!(finished.faults()[0].ends_with(line), "{finished:?}");
        }
    }
}

#[test]
fn a_deno_that_is_named_and_does_not_run_is_a_fault() {
    let folder = project("it.js", format!("const it = 1;\n{ANSWERS}"), "[]");
    let dist = folder.file("dist");
    let finished = asked(&folder, &["web", "-o", &dist, "--deno", "/none"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let faults = finished.faults().concat();
    assert!(
        faults.contains("plugins[0].type: ") && faults.contains("/none cannot be run"),
        "{faults}"
    );
    // One that is only found does not prevent writing a folder.
    folder.write("deno", "#!/bin/sh\necho 1.40.0; echo /deno\n");
    let file = folder.path().join("deno");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(file, mode).unwrap();
    let finished = asked(&folder, &["web", "-o", &dist]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished
            .err
            .contains("scripts are judged without a Deno: a `js` vlugin needs Deno 2.9"),
        "{finished:?}"
    );
}
