//! `web` and the imports of scripts: the same rules as on a server, and watched wherever they are.

use crate::{
    scripting::deno,
    support::{Folder, Server, finish, valor_cli, wait_for},
    web_scripts::{esbuild, write_scripts},
};

const OUTSIDE: &str = "it imports BEYOND/it.js, which is outside of its project PROJECT (a project reaches up to a \
     .git, or else to the highest plugins.json, package.json or deno.json): move that file into the project, or make \
     one file of the script and what it imports (`esbuild PROJECT/js/NAME.js --bundle --format=esm --outfile=FILE`)";

/// One file is one vlugin: what a server refuses is not bundled for a page, with the same message.
#[test]
fn a_script_imports_the_same_in_a_page_and_on_a_server() {
    let text = |import: &str| {
        format!("{import}\nexport default {{ fetch: () => new Response(it ?? '') }};\n")
    };
    let beyond = tempfile::tempdir().unwrap();
    let beyond = beyond.path().canonicalize().unwrap();
    std::fs::write(beyond.join("it.js"), "export default 'beyond';").unwrap();
    for (name, import, files, refusal) in [
        ("own", "import it from './own_lib.js';".to_owned(), "[]", ""),
        ("above", "import it from '../lib/it.js';".into(), "[]", ""),
        (
            "beyond",
            format!("import it from '{}/it.js';", beyond.display()),
            "[]",
            OUTSIDE,
        ),
        (
            "queried",
            format!("import it from '{}/it.js?v=1';", beyond.display()),
            "[]",
            OUTSIDE,
        ),
        (
            "marked",
            format!("import it from '{}/it.js#v';", beyond.display()),
            "[]",
            OUTSIDE,
        ),
        (
            "above_queried",
            "import it from '../lib/it.js?v=1#v';".into(),
            "[]",
            "",
        ),
        (
            "made",
            "import it from 'data:text/javascript,export default 1';".into(),
            "[]",
            "",
        ),
        (
            "data_queried",
            "import it from './data.json?v=1' with { type: 'json' };".into(),
            "[]",
            "it imports `data.json`, which is not code: to read it, its definition must name it, \"files\": \
             [\"data.json\"]",
        ),
        (
            "data",
            "import it from './data.json' with { type: 'json' };".into(),
            "[]",
            "it imports `data.json`, which is not code: to read it, its definition must name it, \"files\": \
             [\"data.json\"]",
        ),
        (
            "granted",
            "import it from './data.json' with { type: 'json' };".into(),
            r#"["data.json"]"#,
            "",
        ),
        (
            "not_there",
            "const it = 1;".into(),
            r#"["data.json", "nope"]"#,
            "`files` names `nope`, which is not in the script's folder PROJECT/js: create it, or correct `files`",
        ),
    ] {
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [{{ "type": "js", "name": "{name}", "path": "js/{name}.js", "files": {files} }}] }}"#
        ));
        folder.write(&format!("js/{name}.js"), text(&import));
        folder.write("js/own_lib.js", "export default 'own';");
        folder.write("js/data.json", r#"{ "it": "secret" }"#);
        folder.write("lib/it.js", "export default 'above';");
        let project = folder.path().canonicalize().unwrap();
        let line = refusal
            .replace("NAME", name)
            .replace("BEYOND", &beyond.display().to_string())
            .replace("PROJECT", &project.display().to_string());
        let mut check = valor_cli();
        check.env("VALOR_DENO", deno());
        check.args(["check", "-p", &folder.file("plugins.json")]);
        for finished in [finish(check), write_scripts(&folder, Some(&esbuild()))] {
            let expected = i32::from(!refusal.is_empty());
            assert_eq!(finished.code, Some(expected), "{name}: {finished:?}");
            if !refusal.is_empty() {
                let key = if name == "not_there" { "files" } else { "path" };
                let faults = finished.faults();
                assert!(
                    faults.len() == 1
                        && faults[0].contains(&format!("plugins[0].{key}: "))
                        && faults[0].ends_with(&line),
                    "{name}: {faults:?} is not {line}"
                );
            }
        }
    }
}

/// `web --serve --watch` of a project whose script imports a file outside the script's folder, which does not exist at
/// first.
#[test]
fn what_a_script_imports_is_watched_wherever_it_is() {
    let folder =
        Folder::new(r#"{ "plugins": [{ "type": "js", "name": "it", "path": "js/it.js" }] }"#);
    let script = |from: &str| {
        format!(
            "import it from '../lib/{from}.js'; export default {{ fetch: () => new Response(it) }};"
        )
    };
    folder.write("js/it.js", script("one"));
    folder.write("lib/one.js", "export { default } from '../deep/in.js';");
    folder.write("deep/in.js", "export default 'first';");
    let mut command = valor_cli();
    let (plugins, dist) = (folder.file("plugins.json"), folder.file("dist"));
    command.args(["web", "-p", &plugins, "-o", &dist, "--esbuild", &esbuild()]);
    command.args(["--serve", "127.0.0.1:0", "--watch"]);
    let server = Server::spawn(command);
    let has = |text: &str| wait_for(text, || server.get("/vlugins/it.js").body.contains(text));
    has("first");
    folder.write("deep/in.js", "export default 'second';");
    has("second");
    folder.write("lib/one.js", "export default 'third';");
    has("third");
    folder.write("js/it.js", script("two"));
    server.wait_until("stays as it was", 1);
    has("third");
    folder.write("lib/two.js", "export default 'fourth';");
    has("fourth");
}
