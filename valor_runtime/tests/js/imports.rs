//! What a script may import: code of its project, and only the data that its definition's `files` names.

use crate::House;
use serde_json::json;
use smol::block_on;

#[test]
pub(crate) fn what_is_imported_needs_no_right_to_read_unless_it_is_data() {
    let main = "
import { one } from './lib/one.js';
import two from './two.ts';
export default { fetch: async () => Response.json([one, two, (await import('./three.mjs')).three]) };";
    let house = House::new(&[
        ("main.js", main),
        ("lib/one.js", "export { one } from './deep/one.js'"),
        ("lib/deep/one.js", "export const one = 1"),
        ("two.ts", "const two: number = 2; export default two"),
        ("three.mjs", "export const three = 3"),
        ("plugins.json", "{\"config\": \"secret\"}"),
        (
            "data.js",
            "import it from './plugins.json' with { type: 'json' }; export default { fetch: () => Response.json(it) }",
        ),
        (
            "later.js",
            "export default { fetch: async () => Response.json((await import('./plugins.json', { with: { type: 'json' \
             } })).default) }",
        ),
        (
            "through.js",
            "import './data.js'; export default { fetch() {} }",
        ),
        (
            "installed.js",
            "import './node_modules/x/data.json' with { type: 'json' }; export default { fetch() {} }",
        ),
        ("node_modules/x/data.json", "[7]"),
        (".env", "PASSWORD=secret secret"),
        (
            "shown.js",
            "export default { fetch: () => import('./.env').catch(({ message }) => new Response(message)) }",
        ),
        (
            "in/member.js",
            "import { one } from '../lib/one.js'; export default { fetch: () => Response.json(one) }",
        ),
        (
            "in/own.js",
            "export default { fetch: () => new Response('own') }",
        ),
    ]);
    block_on(async {
        house.load(json!({ "name": "main" })).await.unwrap();
        assert_eq!(house.get("/main").await, (200, "[1,2,3]".into()));
        for (name, data) in [
            ("data", "plugins.json"),
            ("later", "plugins.json"),
            ("through", "plugins.json"),
            ("installed", "node_modules/x/data.json"),
            ("shown", ".env"),
        ] {
            let line = house
                .load(json!({ "name": name }))
                .await
                .unwrap_err()
                .to_string();
            let expected = format!(
                "{name}.js is not loaded: it imports `{data}`, which is not code: to read it, its definition must name \
                 it, \"files\": [\"{data}\"]"
            );
            assert!(line.ends_with(&expected), "{line}");
        }
        let read = json!({ "name": "data", "files": ["plugins.json"] });
        house.load(read).await.unwrap();
        assert_eq!(
            house.get("/data").await,
            (200, "{\"config\":\"secret\"}".into())
        );

        // Alone, and in a process shared by several, which may read every folder.
        for own in [
            json!({ "name": "own", "path": "in/own.js" }),
            json!({ "name": "own", "path": "in/own.js", "group": "g" }),
        ] {
            let mut member = own.clone();
            member["name"] = "member".into();
            member["path"] = "in/member.js".into();
            house.load(own).await.unwrap();
            house.load(member).await.unwrap();
            assert_eq!(house.get("/member").await, (200, "1".into()));
            house.runtime.remove("own").unwrap();
            house.runtime.remove("member").unwrap();
        }
    });
}

#[test]
pub(crate) fn what_is_imported_is_of_the_project() {
    let to = |path: &str| {
        format!("import it from '{path}'; export default {{ fetch: () => new Response(it) }};")
    };
    let (above, beyond) = (to("../../lib/it.js"), to("../../../beyond.js"));
    let house = House::new(&[
        ("app/package.json", "{}"),
        ("app/lib/it.js", "export default 'of the project'"),
        ("app/js/deep/above.js", &above),
        ("app/js/deep/beyond.js", &beyond),
        (
            "app/js/deep/linked.js",
            "import it from './link.js'; export default { fetch: () => new Response(it) };",
        ),
        ("beyond.js", "export default 'beyond'"),
    ]);
    let dir = house.dir.path().canonicalize().unwrap();
    let link = dir.join("app/js/deep/link.js");
    std::os::unix::fs::symlink(dir.join("beyond.js"), link).unwrap();
    // plugins.json is in another folder.
    std::fs::create_dir(dir.join("etc")).unwrap();
    let runtime = valor_runtime::Runtime::builder().base_dir(dir.join("etc"));
    let runtime = runtime.deno(crate::fixture::js_tool("deno"));
    let runtime = runtime.build().unwrap();
    let house = House {
        runtime,
        dir: house.dir,
    };
    block_on(async {
        for more in [json!({}), json!({ "group": "g" })] {
            let load = async |name: &str| {
                let mut it = more.clone();
                it["name"] = name.into();
                it["path"] = format!("../app/js/deep/{name}.js").into();
                house.load(it).await
            };
            load("above").await.unwrap();
            assert_eq!(house.get("/above").await, (200, "of the project".into()));
            house.runtime.remove("above").unwrap();
            for (name, imported) in [("beyond", "beyond.js"), ("linked", "app/js/deep/link.js")] {
                let line = load(name).await.unwrap_err().to_string();
                let (imported, project) = (dir.join(imported), dir.join("app"));
                let script = dir.join(format!("app/js/deep/{name}.js"));
                let expected = format!(
                    "{script} is not loaded: it imports {imported}, which is outside of its project {project} (a \
                     project reaches up to a .git, or else to the highest plugins.json, package.json or deno.json): \
                     move that file into the project, or make one file of the script and what it imports (`esbuild \
                     {script} --bundle --format=esm --outfile=FILE`)",
                    script = script.display(),
                    imported = imported.display(),
                    project = project.display()
                );
                assert_eq!(line, expected);
            }
        }
    });
}

#[test]
fn one_that_is_registered_imports_from_plugin_directories_alone() {
    let house = House::new(&[
        ("package.json", r#"{ "dependencies": { "out": "1" } }"#),
        (
            "plugins/in/it.js",
            "import it from '../it.js'; export default { fetch: () => new Response(it) };",
        ),
        ("plugins/it.js", "export default 'inside'"),
        (
            "plugins/out.js",
            "import it from '../out.js'; export default { fetch: () => new Response(it) };",
        ),
        ("out.js", "export default 'outside'"),
        (
            "plugins/installed.js",
            "import it from 'out'; export default { fetch: () => new Response(it) };",
        ),
        ("node_modules/out/package.json", r#"{ "main": "it.cjs" }"#),
        ("node_modules/out/it.cjs", "module.exports = 'outside'"),
        (
            "plugins/own/package.json",
            r#"{ "dependencies": { "in": "1" } }"#,
        ),
        (
            "plugins/own/it.js",
            "import it from 'in'; export default { fetch: () => new Response(it) };",
        ),
        (
            "plugins/own/node_modules/in/package.json",
            r#"{ "main": "it.cjs" }"#,
        ),
        (
            "plugins/own/node_modules/in/it.cjs",
            "module.exports = 'installed'",
        ),
    ]);
    let plugins = house.dir.path().join("plugins");
    let runtime = valor_runtime::Runtime::builder().base_dir(house.dir.path());
    let runtime = runtime.deno(crate::fixture::js_tool("deno"));
    let runtime = runtime.plugin_dir(&plugins);
    let runtime = runtime.registry(valor_runtime::RegistryAccess::Loopback);
    let house = House {
        runtime: runtime.build().unwrap(),
        dir: house.dir,
    };
    block_on(async {
        let register = async |name: &str, path: &str| {
            let path = plugins.join(path);
            let it = json!({ "type": "js", "name": name, "path": path });
            let mut request = valor_runtime::Request::new("POST", "/_plugins").unwrap();
            request.head.set_peer("127.0.0.1:50000");
            request.head.push("host", b"localhost").unwrap();
            request
                .head
                .push("content-type", b"application/json")
                .unwrap();
            request.body = valor_runtime::Body::Bytes(it.to_string().into_bytes().into());
            let response = house.ask(request).await;
            (response.head.status(), crate::text(response.body).await)
        };
        let inside = register("it", "in/it.js").await;
        assert_eq!(inside.0, 201, "{}", inside.1);
        assert_eq!(house.get("/it").await, (200, "inside".into()));
        let own = register("own", "own/it.js").await;
        assert_eq!(own.0, 201, "{}", own.1);
        assert_eq!(house.get("/own").await, (200, "installed".into()));
        for (name, file) in [("out", "out.js"), ("installed", "it.cjs")] {
            let (status, line) = register(name, &format!("{name}.js")).await;
            assert_eq!(status, 422, "{line}");
            let part = format!("{file}, which is not inside a plugin directory");
            assert!(line.contains(&part), "{line}");
        }
    });
}

/// What Deno has read is not what runs then: it is asked again.
#[test]
fn what_changes_while_deno_reads_it_is_read_again() {
    use std::os::unix::fs::PermissionsExt;
    let answers =
        "import { text } from './lib.js'; export default { fetch: () => new Response(text) };";
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (program, real) = (at("deno"), crate::fixture::js_tool("deno"));
    let (file, next, said) = (at("lib.js"), at("next.js"), at("said"));
    std::fs::write(at("main.js"), answers).unwrap();
    std::fs::write(&file, "export const text = 'first';").unwrap();
    std::fs::write(&next, "export { text } from './further.js';").unwrap();
    std::fs::write(at("further.js"), "export const text = 'further';").unwrap();
    let (file, next, said, real) = (
        file.display(),
        next.display(),
        said.display(),
        real.display(),
    );
    let changing = format!(
        "#!/bin/sh\n\
         case \"$1\" in\n\
         eval) echo 2.9.6; echo '{}';;\n\
         info) '{real}' \"$@\" > '{said}'; [ ! -e '{next}' ] || mv '{next}' '{file}'; cat '{said}';;\n\
         *) exec '{real}' \"$@\";;\n\
         esac\n",
        program.display()
    );
    std::fs::write(&program, changing).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let runtime = valor_runtime::Runtime::builder().base_dir(dir.path());
    let runtime = runtime.deno(program).build().unwrap();
    let house = House { runtime, dir };
    block_on(async {
        house.load(json!({ "name": "main" })).await.unwrap();
        assert_eq!(house.get("/main").await, (200, "further".into()));
        let imports = house.runtime.imports("main");
        let further = house.dir.path().canonicalize().unwrap().join("further.js");
        assert!(imports.contains(&further), "{imports:?}");
    });
}

/// Deno would read the first without end, and wait for the others.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_regular_file_is_refused_in_little_memory() {
    let house = House::new(&[
        ("package.json", "{}"),
        ("zero.js", "import it from '/dev/zero'; export default it"),
        ("fifo.js", "import it from './fifo'; export default it"),
        (
            "through.js",
            "import it from './fifo.js'; export default it",
        ),
        (
            "hidden.js",
            "const at = './fifo'; export * from /* */ './fifo'",
        ),
        ("large.js", "import it from './huge.js'; export default it"),
    ]);
    let path = house.dir.path().canonicalize().unwrap();
    let fifo = path.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let huge = path.join("huge.js");
    let file = std::fs::File::create(&huge).unwrap();
    file.set_len(3 << 30).unwrap();
    let huge = huge.display();
    let not_regular = format!(
        "it imports `{}`, which is not a regular file: import a file with code instead",
        fifo.display()
    );
    block_on(async {
        for (name, line) in [
            ("zero", "it imports /dev/zero, which is outside of its project ".to_owned()),
            ("fifo", not_regular.clone()),
            ("through", not_regular.clone()),
            (
                "hidden",
                "what it imports is not known: one of the files is a FIFO, which Deno would wait for; import regular \
                 files".to_owned(),
            ),
            (
                "large",
                format!("what it imports is not known: to read it took more than 512 MiB of memory; `{huge}` is too \
                    large to be imported"),
            ),
        ] {
            let said = house.load(json!({ "name": name })).await.unwrap_err().to_string();
            assert!(said.contains(&line), "{name}: {said}");
        }
        // With a writer that says nothing, Deno has it open.
        let mut writer = std::fs::OpenOptions::new();
        let _silent = writer.read(true).write(true).open(&fifo).unwrap();
        for name in ["fifo", "through", "hidden"] {
            let said = house
                .load(json!({ "name": name }))
                .await
                .unwrap_err()
                .to_string();
            assert!(said.contains(&not_regular), "{name}: {said}");
        }
    });
}

#[test]
pub(crate) fn a_folder_may_have_any_name() {
    let folders = [
        "h#sh", "h?w", "b\\s", "%41", "%2f", "a%b", "a b", "ü", "a,b", "a\"b", "a'b", "a[b]",
        "a{b}", "-a",
    ];
    let main = "
import { one } from './lib/one.js';
export default { fetch: async () => Response.json([one, (await import('./lib/two.js')).two]) };";
    let scripts = folders.map(|it| format!("{it}/it.js"));
    let ones = folders.map(|it| format!("{it}/lib/one.js"));
    let twos = folders.map(|it| format!("{it}/lib/two.js"));
    let broken = folders.map(|it| format!("{it}/broken.js"));
    let mut all: Vec<(&str, &str)> = Vec::new();
    all.extend(scripts.iter().map(|it| (it.as_str(), main)));
    all.extend(ones.iter().map(|it| (it.as_str(), "export const one = 1")));
    all.extend(twos.iter().map(|it| (it.as_str(), "export const two = 2")));
    all.extend(broken.iter().map(|it| (it.as_str(), "import './none.js'")));
    let house = House::new(&all);
    block_on(async {
        for (number, (script, broken)) in scripts.iter().zip(&broken).enumerate() {
            let name = format!("it{number}");
            let loaded = house.load(json!({ "name": name, "path": script })).await;
            loaded.unwrap_or_else(|error| panic!("{script}: {error}"));
            let answer = house.get(&format!("/{name}")).await;
            assert_eq!(answer, (200, "[1,2]".into()), "{script}");
            let said = house
                .load(json!({ "name": "broken", "path": broken }))
                .await;
            let said = said.unwrap_err().to_string();
            assert!(
                said.contains("none.js") && said.ends_with(" at broken.js:1:8"),
                "{said}"
            );
        }
    });
}
