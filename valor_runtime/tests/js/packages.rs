//! Imports from npm. If the package is installed, the example `hono` answers. If not, a line says what to run and
//! where.

use crate::{House, keep_log, logged, text};
use serde_json::json;
use smol::block_on;
use std::{os::unix::fs::symlink, path::Path};
use valor_runtime::{LoadError, Request, RuntimeError};

/// Installs a package of the tests' tools in a folder.
fn install(folder: &Path, package: &str) {
    let tools = std::env::var_os("VALOR_JS_TOOLS").expect("VALOR_JS_TOOLS, as .ci/tools sets it");
    let modules = folder.join("node_modules");
    std::fs::create_dir_all(&modules).unwrap();
    symlink(Path::new(&tools).join(package), modules.join(package)).unwrap();
}

#[test]
fn the_example_hono_answers_where_it_is_installed() {
    let house = House::new(&[
        ("hono.js", include_str!("../../../examples/hono/hono.js")),
        (
            "package.json",
            include_str!("../../../examples/hono/package.json"),
        ),
    ]);
    install(house.dir.path(), "hono");
    block_on(async {
        house.load(json!({ "name": "hono" })).await.unwrap();
        let of = async |target: &str| house.get(target).await;
        assert_eq!(of("/hono/hello/Zoe").await, (200, "Hello, Zoe!".into()));
        let french = of("/hono/hello/Zoe?in=fr").await;
        assert_eq!(french, (200, "Bonjour, Zoe!".into()));
        let unknown = of("/hono/hello/Zoe?in=x").await;
        assert_eq!(unknown, (400, "x is not one of de, en, fr".into()));
        assert_eq!(of("/hono/none").await.0, 404);

        let response = house.ask(Request::new("GET", "/hono").unwrap()).await;
        let timing = response.head.header_str("server-timing");
        assert!(timing.is_some_and(|it| it.starts_with("app;dur=")));
        assert_eq!(text(response.body).await, r#"{"Zoe":2}"#);

        let events = house.ask(Request::new("GET", "/hono/countdown?from=2").unwrap());
        let response = events.await;
        let kind = response.head.header_str("content-type");
        assert_eq!(kind, Some("text/event-stream"));
        let events: Vec<_> = [2, 1, 0]
            .map(|left| format!("event: left\ndata: {left}\n\n"))
            .into();
        assert_eq!(text(response.body).await, events.concat());
    });
}

/// A project whose script imports a package of its npm workspace. This file is that package.
fn workspace(name: &str, text: &str) -> House {
    let manifest =
        format!(r#"{{ "name": "@me/util", "version": "1.0.0", "exports": "./{name}" }}"#);
    let house = House::new(&[
        (
            "repo/apps/site/main.js",
            "import { greet } from '@me/util'; export default { fetch: () => new Response(greet()) };",
        ),
        (
            "repo/apps/site/package.json",
            r#"{ "dependencies": { "@me/util": "1.0.0" } }"#,
        ),
        (&format!("repo/packages/util/{name}"), text),
        ("repo/packages/util/part.cjs", "exports.greet = () => 'hi';"),
        ("repo/packages/util/package.json", &manifest),
        (
            "repo/package.json",
            r#"{ "private": true, "workspaces": ["packages/*", "apps/*"] }"#,
        ),
        ("repo/node_modules/other/index.js", ""),
        ("etc/plugins.json", ""),
    ]);
    // As `npm install` does it.
    let modules = house.dir.path().join("repo/node_modules/@me");
    std::fs::create_dir(&modules).unwrap();
    symlink("../../packages/util", modules.join("util")).unwrap();
    // plugins.json is in another folder.
    let runtime = valor_runtime::Runtime::builder().base_dir(house.dir.path().join("etc"));
    let runtime = runtime.deno(crate::fixture::js_tool("deno"));
    House {
        runtime: runtime.build().unwrap(),
        dir: house.dir,
    }
}

const SITE: &str = "../repo/apps/site/main.js";

#[test]
fn a_package_of_an_npm_workspace_is_imported_as_the_projects() {
    let house = workspace("index.mjs", "export const greet = () => 'hi';");
    block_on(async {
        for it in [
            json!({ "name": "site", "path": SITE }),
            json!({ "name": "site", "path": SITE, "group": "g" }),
        ] {
            house.load(it).await.unwrap();
            assert_eq!(house.get("/site").await, (200, "hi".into()));
            house.runtime.remove("site").unwrap();
        }
    });
}

#[test]
fn a_package_of_an_npm_workspace_that_cannot_be_imported_is_refused_with_what_to_do() {
    let common = workspace("index.cjs", "exports.greet = require('./part.cjs').greet;");
    let elsewhere = workspace("index.mjs", "export const greet = () => 'hi';");
    let dir = elsewhere.dir.path();
    std::fs::rename(dir.join("repo/packages"), dir.join("packages")).unwrap();
    let link = dir.join("repo/node_modules/@me/util");
    std::fs::remove_file(&link).unwrap();
    symlink("../../../packages/util", link).unwrap();
    for (house, util) in [(common, "repo/packages/util"), (elsewhere, "packages/util")] {
        let it = json!({ "name": "site", "path": SITE });
        let line = block_on(house.load(it)).unwrap_err().to_string();
        let dir = house.dir.path().canonicalize().unwrap();
        let (util, script) = (dir.join(util), dir.join("repo/apps/site/main.js"));
        let (util, script) = (util.display(), script.display());
        assert_eq!(
            line,
            format!(
                "`@me/util` is a link to {util}, as in an npm workspace, and from there a script can only import ES \
                 modules of its own project: bundle {script} and what it imports into one file (`esbuild {script} \
                 --bundle --format=esm --outfile=FILE`), or install the package as a copy"
            )
        );
    }
}

/// The app on the book's page about apps, with the definition that stands below it.
#[test]
fn the_hono_of_the_book_answers_below_its_base_path() {
    let page = include_str!("../../../docs/src/apps.md");
    let block = |start: &str| {
        page.split(start)
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap()
    };
    let package = r#"{ "dependencies": { "hono": "*" } }"#;
    let house = House::new(&[
        ("shop/shop.js", block("```js,file=shop/shop.js\n")),
        ("shop/package.json", package),
    ]);
    install(&house.dir.path().join("shop"), "hono");
    block_on(async {
        house
            .load(serde_json::from_str(block("```json\n")).unwrap())
            .await
            .unwrap();
        assert_eq!(house.get("/shop").await, (200, "the shop".into()));
        assert_eq!(
            house.get("/shop/items/7").await,
            (200, "item 7 for you".into())
        );
        let mut request = Request::new("GET", "/shop/peer").unwrap();
        request.head.set_peer("192.0.2.7:50000");
        let peer = text(house.ask(request).await.body).await;
        assert_eq!(peer, r#"{"address":"192.0.2.7","port":50000}"#);
        let moved = house.ask(Request::new("GET", "/shop/old").unwrap()).await;
        assert_eq!(moved.head.header_str("location"), Some("/shop/items/1"));
    });
}

#[test]
fn one_that_starts_late_says_in_the_log_what_is_not_installed() {
    keep_log();
    let house = House::new(&[
        (
            "late.js",
            "import 'hono'; export default { fetch() { return new Response() } };",
        ),
        ("package.json", r#"{ "dependencies": { "hono": "4" } }"#),
    ]);
    block_on(async {
        let late = json!({ "name": "late_one", "path": "late.js", "start": "lazy" });
        house.load(late).await.unwrap();
        assert_eq!(house.get("/late_one").await.0, 502);
    });
    logged(&[
        "`late_one` failed",
        "`hono` is not installed",
        "run `npm install` in ",
    ]);
}

#[test]
fn what_is_not_installed_is_one_line_with_the_remedy() {
    let imports = "import { Hono } from 'hono/tiny';\nexport default new Hono();\n";
    let manifest = r#"{ "dependencies": { "hono": "4" } }"#;
    let house = House::new(&[
        ("nobody/a.js", imports),
        ("other/package.json", r#"{ "dependencies": { "h3": "2" } }"#),
        ("other/deep/a.js", imports),
        ("own/package.json", manifest),
        ("own/a.js", imports),
        ("above/package.json", manifest),
        ("above/deep/package.json", "{}"),
        ("above/deep/a.js", "export { default } from './lib/b.js';"),
        ("above/deep/lib/b.js", imports),
        (
            "typed/package.json",
            r#"{ "devDependencies": { "@a/b": "4" } }"#,
        ),
        ("typed/a.ts", "import '@a/b/c';"),
        ("dynamic/package.json", manifest),
        ("dynamic/a.js", "await import('hono');"),
        // Another fault gives another line.
        ("subpath/package.json", manifest),
        ("subpath/a.js", "import 'hono/nothing';"),
        ("node/a.js", "import 'fs';"),
    ]);
    install(&house.dir.path().join("subpath"), "hono");
    let root = house.dir.path().canonicalize().unwrap();
    let at = |path: &str| root.join(path).display().to_string();
    block_on(async {
        for (path, importer, remedy) in [
            (
                "nobody/a.js",
                "nobody/a.js",
                format!(
                    "no package.json names it; run `npm install hono` in {}",
                    at("nobody")
                ),
            ),
            (
                "other/deep/a.js",
                "other/deep/a.js",
                format!(
                    "no package.json names it; run `npm install hono` in {}",
                    at("other")
                ),
            ),
            (
                "own/a.js",
                "own/a.js",
                format!("run `npm install` in {}", at("own")),
            ),
            (
                "above/deep/a.js",
                "above/deep/lib/b.js",
                format!("run `npm install` in {}", at("above")),
            ),
            (
                "typed/a.ts",
                "typed/a.ts",
                format!("run `npm install` in {}", at("typed")),
            ),
            (
                "dynamic/a.js",
                "dynamic/a.js",
                format!("run `npm install` in {}", at("dynamic")),
            ),
        ] {
            let error = house.load(json!({ "name": "a", "path": path })).await;
            let error = error.unwrap_err();
            let package = if path == "typed/a.ts" { "@a/b" } else { "hono" };
            let line = format!(
                "`{package}` is not installed, which {} imports: {remedy}",
                at(importer)
            );
            assert_eq!(error.to_string(), line);
            assert!(
                matches!(error, RuntimeError::Load(LoadError::Script(error)) if error.is_of_this_machine())
            );
        }
        for (path, part) in [
            ("subpath/a.js", "Package subpath './nothing' is not defined"),
            ("node/a.js", "add a \"node:\" prefix"),
        ] {
            let error = house.load(json!({ "name": "a", "path": path })).await;
            let line = error.unwrap_err().to_string();
            assert!(
                line.contains("a.js is not loaded: ") && line.contains(part),
                "{line}"
            );
        }
    });
}

/// Deno lets a script import any file whose path contains `node_modules`, wherever that leads.
#[test]
fn a_link_in_a_package_gives_a_script_no_other_file() {
    let house = House::new(&[
        (
            "app/later.js",
            "const read = (name) => import('' + name, { with: { type: 'json' } }).then((it) => it.default);
            export default { fetch: async () => Response.json(await read('pk/out/secret.json')) };",
        ),
        (
            "app/seen.js",
            "import it from 'pk/out/secret.json' with { type: 'json' }; export default { fetch: () => \
             Response.json(it) };",
        ),
        (
            "app/named.js",
            "import it from 'pk/named' with { type: 'json' }; export default { fetch: () => Response.json(it) };",
        ),
        (
            "app/fine.js",
            "import it from 'pk/data.json' with { type: 'json' }; export default { fetch: () => Response.json(it) };",
        ),
        ("app/package.json", r#"{ "dependencies": { "pk": "1" } }"#),
        (
            "app/node_modules/pk/package.json",
            r#"{ "name": "pk", "exports": { "./named": "./out/secret.json", "./*": "./*" } }"#,
        ),
        ("app/node_modules/pk/data.json", "[1]"),
    ]);
    let beyond = tempfile::tempdir().unwrap();
    std::fs::write(beyond.path().join("secret.json"), r#"["secret"]"#).unwrap();
    let dir = house.dir.path().canonicalize().unwrap();
    let link = dir.join("app/node_modules/pk/out");
    let path = |name: &str| format!("app/{name}.js");
    block_on(async {
        house
            .load(json!({ "name": "fine", "path": path("fine") }))
            .await
            .unwrap();
        assert_eq!(house.get("/fine").await, (200, "[1]".into()));
        symlink(beyond.path(), &link).unwrap();
        let through_link = format!(
            "{} is a link that leads out of the installed packages",
            link.display()
        );
        for (name, part) in [
            ("later", &*through_link),
            ("fine", &*through_link),
            ("seen", "secret.json, which is outside of its project "),
            ("named", "secret.json, which is outside of its project "),
        ] {
            let own = json!({ "name": format!("{name}2"), "path": path(name) });
            let mut member = own.clone();
            member["group"] = "g".into();
            for it in [own, member] {
                let line = house.load(it).await.map_err(|it| it.to_string());
                let line = line.expect_err(name);
                assert!(line.contains(part), "{name}: {line}");
            }
        }
    });
}
