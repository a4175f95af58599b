//! `valor_cli package SCRIPT`: a script and its imports in one signed file, which is run, inspected, and put into a
//! page.

use crate::{
    scripting::{deno, tool},
    support::{Finished, Folder, Server, finish, valor_cli},
};
use serde_json::Value;
use std::fs;

const MAIN: &str = "
import { sep } from 'node:path';
import { greet } from './lib/greet.js';
import words from './words.json' with { type: 'json' };
interface Env { config: string }
export default {
  async fetch(request: Request, env: Env) {
    if (new URL(request.url).pathname === '/out') return await import(['.', 'main.ts'].join('/'));
    const place = new Error('x').stack!.split('\\n')[1].split('/').pop();
    return new Response([greet(words[0]), env.config, sep, import.meta.url.split('/').pop(), place].join(' '));
  },
};";

fn packaged(folder: &Folder) -> Finished {
    folder.write("app/main.ts", MAIN);
    folder.write(
        "app/lib/greet.js",
        "export { greet } from '../deep/greet.js';",
    );
    folder.write(
        "app/deep/greet.js",
        "export const greet = (name) => `hello ${name}`;",
    );
    folder.write("app/words.json", "[\"Zoe\"]");
    let manifest = r#"{ "name": "@team/greeter", "version": "1.2.3", "license": "MIT" }"#;
    folder.write("app/package.json", manifest);
    let key = folder.file("key");
    assert_eq!(with(&["keygen", &key]).code, Some(0));
    let (source, output) = (folder.file("app"), folder.file("greeter.vlugin"));
    let script = folder.file("app/main.ts");
    with(&[
        "package", "--sign", &key, "--source", &source, "-o", &output, &script,
    ])
}

fn with(args: &[&str]) -> Finished {
    let mut command = valor_cli();
    command.env("VALOR_ESBUILD", tool("esbuild"));
    command.env("VALOR_DENO", deno());
    command.args(args);
    finish(command)
}

const DEFINITIONS: &str = r#"{ "plugins": [
    { "type": "js", "name": "greeter", "path": "greeter.vlugin", "config": "and all" },
    { "type": "js", "name": "again", "path": "greeter.vlugin", "prefix": "/a" }
] }"#;

#[test]
fn a_script_is_packaged_with_what_it_imports() {
    let folder = Folder::new(DEFINITIONS);
    let made = packaged(&folder);
    assert_eq!(made.code, Some(0), "{}", made.err);
    for line in [
        "format   package 2",
        "name     greeter",
        "version  1.2.3",
        "license  MIT",
        "script   javascript/greeter.js, ",
        "loads    yes, as \"js\"",
    ] {
        assert!(made.out.contains(line), "{line}: {}", made.out);
    }
    // Twice the same.
    let bytes = fs::read(folder.path().join("greeter.vlugin")).unwrap();
    packaged_again(&folder, &bytes);
    fs::remove_dir_all(folder.path().join("app")).unwrap();

    let (plugins, trusted) = (folder.file("plugins.json"), folder.file("key.pub"));
    let mut command = folder.run();
    command.env("VALOR_DENO", deno());
    command.args(["--trust", &trusted]);
    let server = Server::spawn(command);
    let answer = server.get("/greeter").body;
    let begins = "hello Zoe and all / greeter.vlugin greeter.vlugin:";
    assert!(answer.starts_with(begins), "{answer}");
    assert_eq!(server.get("/greeter/out").status, 500);
    server.wait_for_err("`./main.ts` is not loaded");
    drop(server);

    let file = folder.file("greeter.vlugin");
    let looked = with(&["inspect", "--json", &file]);
    let looked: Value = serde_json::from_str(&looked.out).unwrap();
    assert_eq!(looked["types"], serde_json::json!(["js"]));
    let native = r#"{ "plugins": [{ "type": "native", "name": "x", "path": "greeter.vlugin" }] }"#;
    folder.write("native.json", native);
    let checked = with(&["check", "-p", &folder.file("native.json")]);
    assert_eq!(checked.code, Some(1));
    assert!(
        checked
            .err
            .contains("holds a script: write `\"type\": \"js\"`"),
        "{}",
        checked.err
    );

    let page = folder.file("page");
    let written = with(&["web", "-p", &plugins, "-o", &page]);
    // No page has `node:path`, and would start none of its vlugins.
    assert_eq!(written.code, Some(1), "{}", written.err);
    let line = "it imports `node:path`, a module of Node's, which no page has: ";
    assert!(written.err.contains(line), "{}", written.err);

    let mut altered = bytes;
    let last = altered.len() - 2000;
    altered[last] ^= 1;
    folder.write("greeter.vlugin", altered);
    let checked = with(&["check", "-p", &plugins, "--trust", &trusted]);
    assert!(
        checked.err.contains("is not what was signed with"),
        "{}",
        checked.err
    );
    let checked = with(&["check", "-p", &plugins]);
    assert!(
        checked.err.contains("is not a sound package"),
        "{}",
        checked.err
    );
}

fn packaged_again(folder: &Folder, bytes: &[u8]) {
    let output = folder.file("again.vlugin");
    let (source, script) = (folder.file("app"), folder.file("app/main.ts"));
    let made = with(&["package", "--source", &source, "-o", &output, &script]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert_eq!(fs::read(folder.path().join("again.vlugin")).unwrap(), bytes);
}

#[test]
fn what_cannot_be_packaged_of_a_script_is_one_line() {
    let folder = Folder::new("{}");
    folder.write("a.js", "export default { fetch: () => new Response('a') };");
    folder.write("b.js", "import './absent.js'; export default {};");
    folder.write("bad name.js", "export default { fetch() {} };");
    let (a, b) = (folder.file("a.js"), folder.file("b.js"));
    let output = folder.file("x.vlugin");
    for (args, line) in [
        (
            vec![a.clone(), b.clone()],
            "a package holds one script and nothing else",
        ),
        (vec![b], "absent.js"),
        (vec![folder.file("none.js")], "none.js cannot be read"),
        (vec![folder.file("bad name.js")], "its `name` is `bad name`"),
    ] {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let made = with(&[&["package", "-o", &output], &*args].concat());
        assert_eq!(made.code, Some(1), "{}", made.err);
        assert!(
            made.err.contains(line) && made.err.lines().count() == 1,
            "{}",
            made.err
        );
        assert!(!folder.path().join("x.vlugin").exists());
    }
    // One without imports needs no esbuild, and has the name of its file.
    let mut command = valor_cli();
    command.env("PATH", "").env_remove("VALOR_ESBUILD");
    command.args(["package", "-o", &output, &a]);
    let made = finish(command);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(
        made.out.contains("name     a\nversion  0.0.0\n"),
        "{}",
        made.out
    );
}

/// Whatever Deno runs as a script is one, by the end of its name.
#[test]
fn jsx_and_commonjs_are_packaged_as_a_server_runs_them() {
    let folder = Folder::new(
        r#"{ "plugins": [
            { "type": "js", "name": "x", "path": "x.vlugin" },
            { "type": "js", "name": "c", "path": "c.vlugin" }
        ] }"#,
    );
    folder.write(
        "x.jsx",
        "const h = (tag) => tag;\n/** @jsx h */\nexport default { fetch: () => new Response(<b/>) };\n",
    );
    folder.write(
        "c.cjs",
        "module.exports = { fetch: () => new Response('common') };\n",
    );
    for (script, package) in [("x.jsx", "x.vlugin"), ("c.cjs", "c.vlugin")] {
        let made = with(&["package", "-o", &folder.file(package), &folder.file(script)]);
        assert_eq!(made.code, Some(0), "{}", made.err);
    }
    let mut command = folder.run();
    command.env("VALOR_DENO", deno());
    let server = Server::spawn(command);
    assert_eq!(server.get("/x").body, "b");
    assert_eq!(server.get("/c").body, "common");

    let looked = with(&["inspect", &folder.file("x.jsx")]);
    let line = format!(
        "{} is a script, which says nothing of itself: `valor_cli check` tells whether a plugins.json that names it \
         can be served",
        folder.file("x.jsx")
    );
    assert_eq!(looked.faults(), [line]);
}

#[test]
fn an_esbuild_that_is_named_has_to_run() {
    let folder = Folder::new("{}");
    folder.write("a.js", "export default { fetch() {} };");
    folder.write("package.json", r#"{ "license": "SEE LICENSE IN x" }"#);
    let (script, output) = (folder.file("a.js"), folder.file("a.vlugin"));
    let none = folder.file("none");
    let made = with(&["package", "-o", &output, "--esbuild", &none, &script]);
    assert_eq!(made.code, Some(1), "{made:?}");
    let begins = format!("esbuild does not look at {script}: {none} cannot be run: ");
    assert!(made.faults()[0].starts_with(&begins), "{}", made.err);

    let source = folder.file("");
    let made = with(&["package", "-o", &output, "--source", &source, &script]);
    let begins = format!(
        "`license` in the package.json of {source} is `SEE LICENSE IN x`, which is no SPDX expression: "
    );
    assert!(made.faults()[0].starts_with(&begins), "{}", made.err);
}
