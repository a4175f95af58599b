//! Loading: what is refused, and in which words; what reaches the log.

use crate::{House, keep_log, logged};
use serde_json::json;
use smol::block_on;

#[test]
pub(crate) fn what_is_no_script_is_not_loaded() {
    let house = House::new(&[
        (
            "syntax.js",
            "const fine = 1;\nexport default { fetch() { return new Response( } };\n",
        ),
        (
            "types.ts",
            "export default { fetch(): Response { return new Response(; } };\n",
        ),
        ("neither.js", "export const answer = 42;"),
        ("nofetch.js", "export default { get() {} };"),
        (
            "throws.js",
            "function f() {\n  throw new RangeError('too far');\n}\nf();",
        ),
        (
            "created.js",
            "export default { create(env) { throw new Error(`no ${env.config}`) }, fetch() {} }",
        ),
        ("imports.js", "import './not-there.js';"),
        ("remote.js", "import 'https://example.com/x.js';"),
        (
            "reads.js",
            "Deno.readTextFileSync(new URL(import.meta.url));",
        ),
        (
            "sends.js",
            "const connect = () => Deno.connect({ hostname: '127.0.0.1', port: 1 });
             connect().catch(() => {}); await connect();",
        ),
        ("package.js", "import 'npm:hono';"),
        ("nearly.js", "import './throws';"),
        (
            "bytes.js",
            "import it from './throws.js' with { type: 'bytes' };",
        ),
        (
            "computed.js",
            "await import(['./nofetch', 'js'].join('.'));",
        ),
        ("bare.js", "await import(['ho', 'no'].join(''));"),
        ("spawns.js", "new Deno.Command('/bin/ls').outputSync();"),
        ("stores.js", "await Deno.openKv();"),
        ("exits.js", "Deno.exit(7);"),
        (
            "kills.js",
            "Deno.kill(Deno.pid, 'SIGKILL'); await new Promise(() => {});",
        ),
    ]);
    block_on(async {
        for (name, parts) in [
            (
                "syntax",
                &[
                    "syntax.js is not loaded: SyntaxError",
                    "| 2 | export default { fetch() { return new Response( } }; |",
                    "at syntax.js:2:49",
                ][..],
            ),
            (
                "types",
                &["types.ts", "types.ts:1:", "return new Response(;"],
            ),
            (
                "neither",
                &["it handles no requests: export default { async fetch(request"],
            ),
            ("nofetch", &["its default export has no `fetch` method"]),
            (
                "throws",
                &["RangeError: too far at throws.js:2:9, throws.js:4:1"],
            ),
            ("created", &["Error: no way at created.js:1:"]),
            ("imports", &["not-there.js"]),
            (
                "reads",
                &[
                    "Requires read access to ",
                    "reads.js\", which `files` in its definition grants at reads.js:1:6",
                ],
            ),
            (
                "sends",
                &[
                    "Requires net access to \"127.0.0.1:1\", which no script has: `fetch` reaches the servers that \
                     `allow` in its definition names at sends.js:1:",
                ],
            ),
            (
                "package",
                &[
                    "packages are not imported by `npm:`: install it beside the script (`npm install`), and import it \
                     by its name alone",
                ],
            ),
            (
                "remote",
                &[
                    "Requires import access to \"example.com:443\", and nothing is loaded from elsewhere: put the \
                     module beside the script, or import a package that is installed by its name at remote.js:1:8",
                ],
            ),
            ("nearly", &["Maybe add a '.js' extension at nearly.js:1:8"]),
            (
                "bytes",
                &[
                    "it imports `./throws.js` with the type \"bytes\", which a server does not load: import it as \
                     \"text\", or JSON as \"json\" at bytes.js:1:16",
                ],
            ),
            (
                "computed",
                &["which `files` in its definition grants, or an import whose text has the name"],
            ),
            (
                "bare",
                &[
                    "`hono` is not installed, which ",
                    "run `npm install hono` in ",
                ],
            ),
            (
                "spawns",
                &["Requires run access to \"/bin/ls\", which no script has at spawns.js:1:"],
            ),
            ("stores", &["Deno.openKv is not a function"]),
            (
                "exits",
                &["a vlugin cannot end its process at exits.js:1:6"],
            ),
            ("kills", &["it ended: signal: 9"]),
            (
                "absent",
                &["absent.js, absent.mjs, absent.ts or absent.mts"],
            ),
        ] {
            let error = house.load(json!({ "name": name, "config": "way" })).await;
            let line = error.unwrap_err().to_string();
            for part in parts {
                assert!(line.contains(part), "{name}: {line}");
            }
            for part in ["\n", "--allow", "--no-", "--unstable", "--sloppy", "`deno "] {
                assert!(!line.contains(part), "{line}");
            }
        }
    });
}

#[test]
pub(crate) fn the_file_is_held_to_its_checksum() {
    let house = House::new(&[(
        "a.js",
        "export default { fetch() { return new Response('a') } }",
    )]);
    block_on(async {
        for start in ["eager", "lazy"] {
            let wrong = json!({ "name": "a", "start": start, "sha256": "0".repeat(64) });
            let line = house.load(wrong).await.unwrap_err().to_string();
            assert!(line.contains("a.js has the SHA-256"), "{line}");
        }
        house.load(json!({ "name": "a" })).await.unwrap();
        assert_eq!(house.get("/a").await, (200, "a".into()));
        // This also happens each time it is started.
        let mounted = house.runtime.mounted();
        let right = mounted.iter().find(|it| &*it.name == "a");
        let right = right.and_then(|it| it.origin.sha256.clone()).unwrap();
        for name in ["same", "other"] {
            let lazy = json!({ "name": name, "path": "a.js", "start": "lazy", "sha256": right });
            house.load(lazy).await.unwrap();
        }
        assert_eq!(house.get("/same").await, (200, "a".into()));
        let changed = "export default { fetch() { return new Response('b') } }";
        std::fs::write(house.dir.path().join("a.js"), changed).unwrap();
        assert_eq!(house.get("/other").await.0, 502);
        assert_eq!(house.get("/same").await, (200, "a".into()));
    });
}

#[test]
pub(crate) fn create_is_awaited_before_the_first_request() {
    let house = House::new(&[(
        "a.js",
        "let it; export default { async create(env) { await new Promise((r) => setTimeout(r, 20)); it = env.config }, \
         fetch() { return new Response(it) } }",
    )]);
    block_on(async {
        house
            .load(json!({ "name": "a", "config": "made" }))
            .await
            .unwrap();
        assert_eq!(house.get("/a").await, (200, "made".into()));
    });
}

#[test]
pub(crate) fn a_router_that_has_a_method_of_every_name_is_not_asked_to_be_created() {
    let house = House::new(&[("a.js", include_str!("../web/vlugins/proxied.js"))]);
    block_on(async {
        house.load(json!({ "name": "a" })).await.unwrap();
        assert_eq!(house.get("/a").await, (200, "by a Proxy".into()));
    });
}

#[test]
pub(crate) fn console_and_uncaught_errors_reach_the_log() {
    keep_log();
    let house = House::new(&[(
        "talks.js",
        "console.log('loaded %d', 7, { a: [1] });
export default {
  fetch() {
    console.debug('fine');
    console.warn('look\\nout');
    console.error(new Error('logged'));
    setTimeout(() => { throw new TypeError('from a timer') });
    Deno.readTextFile('/etc/passwd').catch((error) => console.warn('logged by it:', error.message));
    Deno.readTextFile('/etc/hosts');
    Promise.reject(new Error('from a promise'));
    Deno.stdout.writeSync(new TextEncoder().encode('past the console\\n'));
    return new Response('ok');
  },
};",
    )]);
    block_on(async {
        house.load(json!({ "name": "talks" })).await.unwrap();
        assert_eq!(house.get("/talks").await, (200, "ok".into()));
        logged(&["INFO talks talks.js:1:9: loaded 7 { a: [ 1 ] }"]);
        logged(&["DEBUG talks talks.js:4:13: fine"]);
        logged(&["WARN talks talks.js:5:13: look\nout"]);
        logged(&["ERROR talks talks.js:6:13: Error: logged"]);
        logged(&["ERROR talks talks.js:7:30: uncaught: TypeError: from a timer"]);
        logged(&["ERROR talks talks.js:10:20: uncaught, in a promise: Error: from a promise"]);
        logged(&["DEBUG talks", "past the console"]);
        let granted = "/etc/passwd\", which `files` in its definition grants";
        logged(&[
            "WARN talks talks.js:8:",
            "logged by it: Requires read access to ",
            granted,
        ]);
        logged(&[
            "ERROR talks ",
            "uncaught, in a promise: NotCapable",
            "/etc/hosts\", which `files`",
        ]);
        assert_eq!(house.get("/talks").await, (200, "ok".into()));
    });
}

#[test]
pub(crate) fn what_has_no_place_is_logged_as_the_scripts() {
    keep_log();
    let house = House::new(&[(
        "placeless.js",
        "export default {
  fetch(_, __, { waitUntil }) {
    waitUntil(Promise.reject('no error at all'));
    return new Response('ok');
  },
};",
    )]);
    block_on(async {
        house.load(json!({ "name": "placeless" })).await.unwrap();
        assert_eq!(house.get("/placeless").await, (200, "ok".into()));
    });
    logged(&[r#"ERROR placeless placeless.js: waitUntil: threw "no error at all""#]);
}

#[test]
pub(crate) fn an_error_that_a_script_catches_has_valors_remedies() {
    const CATCHES: &str = "
const said = async (attempt) => {
  try {
    await attempt();
    return 'done';
  } catch (error) {
    return `${error instanceof Deno.errors.NotCapable} ${error}`;
  }
};
export default {
  async fetch() {
    return Response.json(
      await Promise.all(
        [
          () => Deno.readTextFile('/a'),
          () => Deno.readTextFileSync('/a'),
          () => Deno.writeTextFile('/a', ''),
          () => Deno.connect({ port: 1 }),
          () => new Deno.Command('/bin/ls').spawn(),
          () => Deno.hostname(),
          async () => (await import('node:fs')).readFileSync('/a'),
          async () => {
            throw new Deno.errors.NotCapable('its own');
          },
        ].map(said),
      ),
    );
  },
};";
    let house = House::new(&[("catches.js", CATCHES)]);
    block_on(async {
        house.load(json!({ "name": "catches" })).await.unwrap();
        let (status, answer) = house.get("/catches").await;
        assert_eq!(status, 200);
        let said: Vec<String> = serde_json::from_str(&answer).unwrap();
        let none =
            |access: &str| format!("true NotCapable: Requires {access}, which no script has");
        let read = "Requires read access to \"/a\", which `files` in its definition grants";
        for (said, begins) in said.iter().zip([
            format!("true NotCapable: {read}"),
            format!("true NotCapable: {read}"),
            none("write access to \"/a\""),
            none("net access to \"127.0.0.1:1\""),
            none("run access to \"/bin/ls\""),
            none("sys access to \"hostname\""),
            String::new(),
            "true NotCapable: its own".to_owned(),
        ]) {
            assert!(said.starts_with(&begins), "{said} is not {begins}");
            assert!(!said.contains("--"), "{said}");
        }
        assert!(said[6].contains(read), "{}", said[6]);
    });
}

#[test]
pub(crate) fn without_deno_one_line_says_how_to_get_it() {
    use std::os::unix::fs::PermissionsExt;
    let script = ("a.js", "export default { fetch() {} }");
    let old = ("old", "#!/bin/sh\necho 1.46.3; echo /usr/bin/deno\n");
    let line = |deno: &str| {
        let files = [script, old];
        let house = House::with(&files, |builder| builder);
        let file = house.dir.path().join("old");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        let program = house.dir.path().join(deno);
        let runtime = valor_runtime::Runtime::builder().base_dir(house.dir.path());
        let house = House {
            runtime: runtime.deno(program).build().unwrap(),
            dir: house.dir,
        };
        block_on(house.load(json!({ "name": "a" })))
            .unwrap_err()
            .to_string()
    };
    let none = line("not-there");
    assert!(
        none.starts_with("there is no Deno to run `js` vlugins with: "),
        "{none}"
    );
    assert!(
        none.contains("`npm install deno` beside plugins.json"),
        "{none}"
    );
    let old = line("old");
    assert!(
        old.starts_with("a `js` vlugin needs Deno 2.9 or newer, and "),
        "{old}"
    );
    assert!(old.contains("is 1.46.3"), "{old}");
}

/// A house that has to look for its Deno. `bin` is a folder with a program of that name, which notes that it ran.
fn house_that_looks(bin: &str) -> House {
    use std::os::unix::fs::PermissionsExt;
    let script = "export default { fetch: () => new Response('ran') }";
    let house = House::new(&[("app/package.json", "{}"), ("app/a.js", script)]);
    let bin = house.dir.path().join(bin);
    std::fs::create_dir_all(&bin).unwrap();
    let deno = crate::fixture::js_tool("deno");
    let ran = house.dir.path().join("ran").display().to_string();
    let program = format!(
        "#!/bin/sh\ntouch '{ran}'\nexec '{}' \"$@\"\n",
        deno.display()
    );
    let file = bin.join("deno");
    std::fs::write(&file, program).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    let runtime = valor_runtime::Runtime::builder().base_dir(house.dir.path());
    House {
        runtime: runtime.build().unwrap(),
        dir: house.dir,
    }
}

#[test]
fn deno_is_found_beside_the_script_as_well() {
    let house = house_that_looks("app/node_modules/.bin");
    block_on(async {
        house
            .load(json!({ "name": "a", "path": "app/a.js" }))
            .await
            .unwrap();
        assert_eq!(house.get("/a").await, (200, "ran".into()));
    });
    assert!(house.dir.path().join("ran").exists());
}

#[test]
fn a_deno_that_others_could_have_put_there_is_not_run() {
    use std::os::unix::fs::{PermissionsExt, chown};
    for bin in ["node_modules/.bin", "app/node_modules/.bin"] {
        let house = house_that_looks(bin);
        let bin = house.dir.path().join(bin);
        std::fs::set_permissions(&bin, PermissionsExt::from_mode(0o777)).unwrap();
        let load = || {
            let it = json!({ "name": "a", "path": "app/a.js" });
            block_on(house.load(it)).unwrap_err().to_string()
        };
        let line = load();
        let begins = "the Deno that was found for `js` vlugins is not run: ";
        assert!(line.starts_with(begins), "{line}");
        assert!(
            line.contains("may be written to by everybody: `chmod go-w "),
            "{line}"
        );
        assert!(line.ends_with("or name a Deno in VALOR_DENO"), "{line}");
        std::fs::set_permissions(&bin, PermissionsExt::from_mode(0o755)).unwrap();
        if chown(bin.join("deno"), Some(65534), None).is_ok() {
            let line = load();
            assert!(line.contains("deno belongs to the user 65534"), "{line}");
        }
        assert!(!house.dir.path().join("ran").exists(), "it was run");
    }
}
