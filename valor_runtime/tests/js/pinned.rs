//! Scripts whose bytes are checked, by `sha256` or a signature. Exactly those bytes run, and nothing unchecked.

use crate::{House, LINES, ends::until, fixture, keep_log};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use smol::block_on;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::PoisonError,
};

const GOOD: &str = "export default { fetch: () => new Response('good') }";
const EVIL: &str = "export default { fetch: () => new Response('evil') }";

fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// A house whose Deno replaces `a.js` with `evil.js` before it looks at anything.
fn house_with_a_thief() -> House {
    let house = House::with(&[("a.js", GOOD), ("evil.js", EVIL)], |it| it);
    let dir = house.dir.path();
    let deno = fixture::js_tool("deno");
    let thief = format!(
        "#!/bin/sh\nif [ \"$1\" = eval ]; then echo 2.9.6; echo '{0}/thief'; exit; fi\n\
         cp '{0}/evil.js' '{0}/a.js'\nexec '{1}' \"$@\"\n",
        dir.display(),
        deno.display()
    );
    fs::write(dir.join("thief"), thief).unwrap();
    fs::set_permissions(dir.join("thief"), PermissionsExt::from_mode(0o755)).unwrap();
    let runtime = valor_runtime::Runtime::builder()
        .base_dir(dir)
        .deno(dir.join("thief"));
    House {
        runtime: runtime.build().unwrap(),
        dir: house.dir,
    }
}

#[test]
fn a_file_that_is_swapped_after_the_check_is_not_run() {
    keep_log();
    let house = house_with_a_thief();
    let file = house.dir.path().join("a.js");
    block_on(async {
        let pinned = json!({ "name": "a", "sha256": sha256(GOOD), "start": "lazy" });
        house.load(pinned).await.unwrap();
        assert_eq!(house.get("/a").await, (200, "good".into()));
        assert_eq!(fs::read_to_string(&file).unwrap(), EVIL, "it was swapped");

        // This also holds when it is started again: the file is checked before.
        kill(&deno_in(house.dir.path()));
        until("it is checked again", async || {
            let (status, answer) = house.get("/a").await;
            assert!(status == 502 || answer == "good", "{status} {answer}");
            has_logged("a.js has the SHA-256")
        })
        .await;
        fs::write(&file, GOOD).unwrap();
        assert_eq!(house.get("/a").await, (200, "good".into()));
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            EVIL,
            "it was swapped again"
        );
    });
}

fn has_logged(part: &str) -> bool {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().any(|line| line.contains(part))
}

/// The Deno with this working folder.
fn deno_in(folder: &Path) -> PathBuf {
    let folder = folder.canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ours = processes
        .map(|it| it.path())
        .filter(|it| fs::read_link(it.join("cwd")).is_ok_and(|cwd| cwd == folder));
    ours.next().expect("a Deno")
}

fn kill(deno: &Path) {
    let id = deno.file_name().unwrap().to_str().unwrap();
    let pid = rustix::process::Pid::from_raw(id.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
pub(crate) fn what_was_not_checked_is_not_imported() {
    const TRIES: &str = "
import { sep } from 'node:path';
const worker = (url) => new Promise((resolve, reject) => {
  const it = new Worker(url, { type: 'module' });
  it.onmessage = ({ data }) => resolve(data);
  it.onerror = (e) => { e.preventDefault(); reject(new Error(e.message)); };
});
const tries = {
  relative: () => import('./lib.js'),
  computed: () => import(['.', 'lib.js'].join('/')),
  itself: async () => (await import(import.meta.url)).default.fetch ? 'same' : 'other',
  twice: () => import(import.meta.url + '?again'),
  json: () => import('./own.json', { with: { type: 'json' } }),
  bare: () => import('hono'),
  required: async () => (await import('node:module')).createRequire(import.meta.url)('./lib.js'),
  worker: () => worker(import.meta.url),
  workerByName: () => worker(new URL('./lib.js', import.meta.url)),
  nodeWorker: () => import('node:worker_threads'),
  inData: () => import(`data:text/javascript,import '${new URL('./lib.js', import.meta.url)}'`),
  builtin: () => sep + typeof require,
  data: async () => (await import('data:text/javascript,export default 7')).default,
  blob: async () => {
    const blob = new Blob(['export default 8'], { type: 'text/javascript' });
    return (await import(URL.createObjectURL(blob))).default;
  },
  dataWorker: () => worker('data:text/javascript,postMessage(9)'),
  url: () => import.meta.url.split('/').pop() + ' ' + import.meta.filename.split('/').pop(),
  stack: () => /main.js:\\d+:\\d+/.exec(new Error('x').stack)[0],
};
export default {
  async fetch() {
    const got = {};
    for (const [name, attempt] of Object.entries(tries)) {
      got[name] = await Promise.resolve().then(attempt).then(String, ({ message }) => `refused: ${message}`);
    }
    return Response.json(got);
  },
};";
    let house = House::new(&[
        ("main.js", TRIES),
        (
            "lib.js",
            "postMessage?.('unchecked'); export default 'unchecked'",
        ),
        ("own.json", "[1]"),
        (
            "static.js",
            "import './lib.js'; export default { fetch() {} }",
        ),
    ]);
    block_on(async {
        let main = json!({ "name": "main", "sha256": sha256(TRIES) });
        house.load(main).await.unwrap();
        let (status, answer) = house.get("/main").await;
        assert_eq!(status, 200, "{answer}");
        let got: Value = serde_json::from_str(&answer).unwrap();
        for (name, expected) in [
            (
                "relative",
                "`./lib.js` is not loaded: a script that is checked (`sha256`, a signature)",
            ),
            ("computed", "`./lib.js` is not loaded"),
            ("twice", "?again` is not loaded"),
            ("json", "`./own.json` is not loaded"),
            ("bare", "`hono` is not loaded"),
            ("required", "`./lib.js` is not loaded"),
            ("worker", "the Worker `main.js` is not loaded"),
            ("workerByName", "the Worker `lib.js` is not loaded"),
            ("nodeWorker", "`node:worker_threads` is not loaded"),
            ("inData", "lib.js` is not loaded"),
        ] {
            let said = got[name].as_str().unwrap();
            assert!(
                said.starts_with("refused: ") && said.contains(expected),
                "{name}: {said}"
            );
        }
        for (name, expected) in [
            ("itself", "same"),
            ("builtin", "/undefined"),
            ("data", "7"),
            ("blob", "8"),
            ("dataWorker", "9"),
            ("url", "main.js main.js"),
            ("stack", "main.js:28:"),
        ] {
            let said = got[name].as_str().unwrap();
            assert!(said.starts_with(expected), "{name}: {said}");
        }
        let import = "import './lib.js'; export default { fetch() {} }";
        let line = house
            .load(json!({ "name": "static", "sha256": sha256(import) }))
            .await;
        let line = line.unwrap_err().to_string();
        assert!(line.contains("`./lib.js` is not loaded"), "{line}");
        assert!(line.ends_with("put everything into one package"), "{line}");
    });
}

#[test]
pub(crate) fn typescript_that_was_checked_runs_and_its_places_are_told() {
    const PLAIN: &str = "interface A { b: string }

const a: A = { b: 'plain' };
export default { fetch: (): Response => new Response(a.b + new Error('x').stack!.split('plain.ts')[1]) };";
    const ENUM: &str = "enum E { A = 4 }
class B { constructor(public c: E) {} }
const stack = (): string => new Error('x').stack!;
export default { fetch(): Response { return new Response(new B(E.A).c + stack().split('enum.ts')[2]) } };";
    const WRONG: &str = "export default { fetch(: Response {} }";
    let house = House::new(&[("plain.ts", PLAIN), ("enum.ts", ENUM), ("wrong.ts", WRONG)]);
    block_on(async {
        for (name, text, begins) in [("plain", PLAIN, "plain:4:"), ("enum", ENUM, "4:4:")] {
            let path = format!("{name}.ts");
            let it = json!({ "name": name, "path": path, "sha256": sha256(text) });
            house.load(it).await.unwrap();
            let (status, answer) = house.get(&format!("/{name}")).await;
            assert_eq!(status, 200, "{answer}");
            assert!(answer.starts_with(begins), "{answer}");
        }
        let wrong = json!({ "name": "wrong", "path": "wrong.ts", "sha256": sha256(WRONG) });
        let line = house.load(wrong).await.unwrap_err().to_string();
        assert!(
            line.contains("wrong.ts is not loaded: SyntaxError"),
            "{line}"
        );
    });
}

#[test]
pub(crate) fn nothing_of_denos_inside_is_in_a_scripts_reach() {
    let house = House::new(&[(
        "a.js",
        "const inside = Object.getOwnPropertySymbols(Deno).map((it) => Deno[it]);
        export default { fetch: () => Response.json([inside, typeof Deno[Deno.internal], typeof Deno.core]) };",
    )]);
    block_on(async {
        house.load(json!({ "name": "a" })).await.unwrap();
        let expected = json!([[], "undefined", "undefined"]).to_string();
        assert_eq!(house.get("/a").await, (200, expected));
    });
}

#[test]
fn what_a_process_has_is_nobody_elses() {
    let house = House::new(&[("a.js", GOOD)]);
    block_on(async {
        house.load(json!({ "name": "a" })).await.unwrap();
        assert_eq!(house.get("/a").await, (200, "good".into()));
    });
    let line = fs::read(deno_in(house.dir.path()).join("cmdline")).unwrap();
    let line = String::from_utf8(line).unwrap();
    let mut arguments = line.split('\0').map(Path::new);
    let supervisor = arguments.find(|it| it.ends_with("supervisor.js")).unwrap();
    let folder = supervisor.parent().unwrap();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    for name in ["supervisor.js", "worker.js", "control"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    // Deno's own folder.
    assert_eq!(mode(&folder.join("0")), 0o700);
}
