//! A script that tries to get out: to files, the environment, programs, sockets, other vlugins' processes.

use crate::{House, OVER_TCP, over_tcp::ports_of};
use serde_json::{Value, json};
use smol::block_on;
use std::{net::TcpListener, os::unix::net::UnixListener, path::PathBuf};

/// Tries everything in its config, and reports the results. Its imports from outside use names that cannot be seen
/// before it runs, otherwise it would not be loaded.
const BURGLAR: &str = r#"
const to = (socket) =>
  typeof socket === "number" ? { hostname: "127.0.0.1", port: socket } : { transport: "unix", path: socket };
const attempts = {
  passwd: () => Deno.readTextFile("/etc/passwd"),
  ownFolder: () => Deno.readTextFile(new URL("./other.txt", import.meta.url)),
  ownList: async () => { for await (const _ of Deno.readDir(new URL(".", import.meta.url))); },
  ownScript: () => Deno.readTextFile(new URL(import.meta.url)),
  computed: () => import(["./other", "js"].join(".")),
  workerOfFile: () => new Promise((resolve, reject) => {
    const it = new Worker(new URL("./other.js", import.meta.url), { type: "module" });
    it.onmessage = resolve;
    it.onerror = (e) => { e.preventDefault(); reject(new Error(e.message)) };
  }),
  folderAbove: () => Deno.readTextFile(new URL("../secret.txt", import.meta.url)),
  fetchedFile: async () => (await fetch("file:///etc/passwd")).text(),
  importedText: () => import(["/etc", "passwd"].join("/"), { with: { type: "text" } }),
  importedJson: () => import(["../secret", "json"].join("."), { with: { type: "json" } }),
  importedStatic: () => import(["./imports-secret", "js"].join(".")),
  modulesOfOthers: () => import(["../node_modules/others", "json"].join("."), { with: { type: "json" } }),
  requiredOfOthers: async () =>
    (await import("node:module")).createRequire(import.meta.url)("../node_modules/others.json"),
  nodeFile: async () => (await import("node:fs")).readFileSync("/etc/passwd"),
  written: () => Deno.writeTextFile(new URL("./own.txt", import.meta.url), "x"),
  temporary: () => Deno.makeTempFile(),
  environment: () => {
    if (Object.keys(Deno.env.toObject()).length === 0) throw new Error("no variables");
  },
  variable: () => {
    if (Deno.env.get("PATH") === undefined && Deno.env.get("DENO_DIR") === undefined)
      throw new Error("no variables");
  },
  nodeEnvironment: async () => {
    const { env } = await import("node:process");
    if (env.PATH === undefined && Object.keys(env).length === 0) throw new Error("no variables");
  },
  program: () => new Deno.Command("/bin/true").outputSync(),
  nodeProgram: async () =>
    (await import("node:child_process")).execSync(
      `/usr/bin/touch '${new URL("./touched", import.meta.url).pathname}'`,
    ),
  library: () => Deno.dlopen("libc.so.6", {}),
  system: () => Deno.hostname(),
  parent: () => Deno.kill(Deno.ppid, "SIGCONT"),
  tcp: ({ port }) => Deno.connect({ port, hostname: "127.0.0.1" }),
  nodeTcp: ({ port }) =>
    import("node:net").then(
      ({ connect }) =>
        new Promise((resolve, reject) => connect(port, "127.0.0.1").on("connect", resolve).on("error", reject)),
    ),
  listening: () => Deno.listen({ port: 0 }),
  webSocket: ({ port }) =>
    new Promise((resolve, reject) => {
      const it = new WebSocket(`ws://127.0.0.1:${port}`);
      it.onopen = resolve;
      it.onerror = () => reject(new Error("refused"));
    }),
  fetchLoopback: ({ port }) => fetch(`http://127.0.0.1:${port}/`),
  fetchName: ({ port }) => fetch(`http://localhost:${port}/`),
  fetchElsewhere: () => fetch("https://example.com/"),
  unix: ({ unix }) => Deno.connect(to(unix)),
  client: ({ unix }) => Deno.createHttpClient({ proxy: { transport: "unix", path: unix } }),
  ownSocket: ({ sockets }) => Deno.connect(to(sockets[0])),
  otherSocket: ({ sockets }) => Deno.connect(to(sockets[1])),
  otherSocketByNode: ({ sockets }) =>
    import("node:net").then(
      ({ connect }) =>
        new Promise((resolve, reject) =>
          connect(typeof sockets[1] === "number" ? { host: "127.0.0.1", port: sockets[1] } : sockets[1])
            .on("connect", resolve)
            .on("error", reject),
        ),
    ),
  supervisor: ({ folder }) => Deno.readTextFile(`${folder}/supervisor.js`),
  listeningAgain: () => Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response()),
  input: async () => { if (await Deno.stdin.read(new Uint8Array(99)) === null) throw new Error("no input") },
  processes: () => Deno.readTextFile("/proc/self/environ"),
  asked: async () => {
    const { state } = await Deno.permissions.request({ name: "read" });
    if (state !== "granted") throw new Error(state);
  },
  worker: () => new Promise((resolve, reject) => {
    const reads = "try { postMessage([Deno.readTextFileSync('/etc/passwd')]) } catch (e) { postMessage(e.message) }";
    const it = new Worker(`data:text/javascript,${reads}`, { type: "module" });
    it.onmessage = ({ data }) => typeof data === "string" ? reject(new Error(data)) : resolve();
    it.onerror = (e) => { e.preventDefault(); reject(new Error(e.message)) };
  }),
  freeWorker: () =>
    new Worker("data:text/javascript,", { type: "module", deno: { permissions: "inherit", read: true } }) &&
    new Worker("data:text/javascript,", { type: "module", deno: { permissions: { read: true } } }),
  remote: () => import("https://example.com/x.js"),
  npm: () => import("npm:hono"),
  disk: async () => {
    if ("caches" in globalThis || ("localStorage" in globalThis && localStorage)) throw 0;
    throw new Error("no caches");
  },
  registry: async () => {
    const it = await valor.call("_plugins", "/");
    if (it.status !== 200) throw new Error(`status ${it.status}`);
  },
  registryByPath: async () => {
    const it = await valor.call("../_plugins", "/");
    if (it.status !== 200) throw new Error(`status ${it.status}`);
  },
};
export default {
  async fetch(request) {
    const given = await request.json();
    const got = {};
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        await attempt(given);
        got[name] = "done";
      } catch (error) {
        got[name] = String(error?.message ?? error);
      }
    }
    try { got.own = await Deno.readTextFile(new URL("./own.txt", import.meta.url)) } catch (e) { got.own = e.message }
    return Response.json(got);
  },
};"#;

#[test]
pub(crate) fn a_script_that_breaks_out_gets_nowhere() {
    // The things that it may not reach: a server, a socket, a secret, a vlugin in another process.
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    tcp.set_nonblocking(true).unwrap();
    let port = tcp.local_addr().unwrap().port();
    let house = House::with(
        &[
            ("in/burglar.js", BURGLAR),
            ("in/own.txt", "own"),
            ("in/other.txt", "another's"),
            ("in/other.js", "postMessage('other')"),
            (
                "in/imports-secret.js",
                "import it from '../secret.json' with { type: 'json' }; export default it;",
            ),
            ("secret.txt", "secret"),
            ("secret.json", "[7]"),
            ("node_modules/others.json", "[7]"),
            (
                "other.js",
                "export default { fetch() { return new Response('other') } }",
            ),
        ],
        |builder| builder.registry(valor_runtime::RegistryAccess::Loopback),
    );
    let unix = house.dir.path().join("socket");
    let _listener = UnixListener::bind(&unix).unwrap();
    block_on(async {
        house.load(json!({ "name": "other" })).await.unwrap();
        let burglar = json!({
            "name": "burglar", "path": "in/burglar.js", "files": ["own.txt"], "limits": { "cpu": 10 }
        });
        house.load(burglar).await.unwrap();
        let sockets = match OVER_TCP.get() {
            false => sockets(),
            true => ports(),
        };
        assert!(sockets.len() >= 2, "{sockets:?}");
        let given =
            json!({ "port": port, "unix": unix, "sockets": sockets, "folder": folders()[0] });
        let mut request = valor_runtime::Request::new("POST", "/burglar").unwrap();
        request.body = given.to_string().into();
        let response = house.ask(request).await;
        assert_eq!(response.head.status(), 200);
        let got: Value = serde_json::from_str(&crate::text(response.body).await).unwrap();
        let got = got.as_object().unwrap();
        assert_eq!(got["own"], "own", "{got:#?}");
        for (name, outcome) in got.iter().filter(|(name, _)| *name != "own") {
            let outcome = outcome.as_str().unwrap();
            let refused = [
                "Requires ",
                "may not be reached",
                "escalate",
                "denied",
                "prompt",
                "refused",
                "npm specifiers",
                "no caches",
                "no variables",
                "no input",
                "Command failed",
                "status 404",
                "NotCapable",
                "not a function",
            ];
            assert!(
                refused.iter().any(|it| outcome.contains(it)),
                "{name}: {outcome}"
            );
        }
        assert_eq!(house.get("/other").await, (200, "other".into()));
    });
    assert!(tcp.accept().is_err(), "somebody connected");
    let touched = house.dir.path().join("in/touched");
    assert!(!touched.exists(), "a program was run");
}

const KEEPS: &str = r#"
const keep = `caches.open('c')
  .then((it) => it.put('http://a.example/', new Response(new Uint8Array(1 << 20))))
  .then(() => postMessage('kept'), ({ name }) => postMessage(name))`;
export default {
  async fetch(request) {
    if (new URL(request.url).pathname === "/own") {
      const brand = Object.getOwnPropertySymbols(request).find((it) => String(it).includes("brand"));
      const storage = Object.create(CacheStorage.prototype);
      storage[brand] = brand;
      const put = async () => (await storage.open("c")).put("http://a.example/", new Response(new Uint8Array(1 << 20)));
      return new Response(await put().then(() => "kept", ({ name }) => name));
    }
    const worker = new Worker("data:text/javascript," + encodeURIComponent(keep), { type: "module" });
    return new Response(await new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data) }));
  },
};"#;

#[test]
fn a_script_keeps_nothing_on_the_disk() {
    let house = House::new(&[("keeps.js", KEEPS)]);
    block_on(async {
        house.load(json!({ "name": "keeps" })).await.unwrap();
        for path in ["/keeps/own", "/keeps/nested"] {
            assert_eq!(house.get(path).await, (200, "Error".into()), "{path}");
        }
    });
}

#[test]
fn in_a_group_each_has_its_own_folder_alone() {
    let reads = "export default { async fetch(request) {
        const { pathname } = new URL(request.url);
        return new Response(
          await Deno.readTextFile(new URL(`..${pathname}`, import.meta.url)).catch(({ name }) => name),
        );
    } };";
    let house = House::new(&[
        ("one/a.js", reads),
        ("one/own.txt", "one's"),
        ("two/a.js", reads),
        ("two/own.txt", "two's"),
    ]);
    block_on(async {
        for name in ["one", "two"] {
            let path = format!("{name}/a.js");
            let it = json!({ "name": name, "path": path, "group": "g", "files": ["."] });
            house.load(it).await.unwrap();
        }
        assert_eq!(house.get("/one/one/own.txt").await.1, "one's");
        assert_eq!(house.get("/two/two/own.txt").await.1, "two's");
        assert_eq!(house.get("/one/two/own.txt").await.1, "NotCapable");
        assert_eq!(house.get("/two/one/own.txt").await.1, "NotCapable");
    });
}

/// The folders of all running processes.
fn folders() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(std::env::temp_dir()).unwrap();
    let folders = folders.filter_map(|it| Some(it.ok()?.path()));
    let ours = folders.filter(|it| it.to_string_lossy().contains("valor-js-"));
    ours.filter(|it| it.join("supervisor.js").exists())
        .collect()
}

/// The sockets of all running scripts.
fn sockets() -> Vec<Value> {
    let sockets = folders().into_iter().map(|it| it.join("0"));
    let sockets = sockets.filter(|it| it.exists());
    sockets.map(|it| json!(it)).collect()
}

/// The ports of all running scripts.
fn ports() -> Vec<Value> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let processes = processes.filter_map(|it| it.ok()?.file_name().into_string().ok());
    let ours = processes.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("/valor-js-")
    });
    let ports = ours.flat_map(|pid| ports_of(&pid));
    ports.map(|port| json!(port)).collect()
}

#[test]
fn a_folder_may_have_a_comma_in_its_name() {
    const READS: &str = "
const read = (name) => {
  try {
    return Deno.readTextFileSync(new URL(name, import.meta.url));
  } catch (error) {
    return error.name;
  }
};
export default { fetch: () => Response.json([read('./own.txt'), read('../secret.txt')]) };";
    let house = House::new(&[
        ("a,b/reads.js", READS),
        ("a,b/own.txt", "own"),
        ("secret.txt", "secret"),
        ("secret.json", "[7]"),
        ("lib.js", "export default 7"),
        (
            "a,b/data.js",
            "import it from '../secret.json' with { type: 'json' };
export default { fetch: () => Response.json(it) };",
        ),
        (
            "a,b/code.js",
            "import it from '../lib.js'; export default { fetch: () => Response.json(it) };",
        ),
    ]);
    block_on(async {
        let reads = json!({ "name": "reads", "path": "a,b/reads.js", "files": ["own.txt"] });
        house.load(reads).await.unwrap();
        let expected = json!(["own", "NotCapable"]).to_string();
        assert_eq!(house.get("/reads").await, (200, expected));

        // Deno's own list has the folder above, but that gives no permission to read there. Code belongs to the
        // project.
        let data = json!({ "name": "data", "path": "a,b/data.js" });
        let line = house.load(data).await.unwrap_err().to_string();
        let refused = "secret.json, which is not code and outside of its folder ";
        assert!(line.contains(refused), "{line}");
        house
            .load(json!({ "name": "code", "path": "a,b/code.js" }))
            .await
            .unwrap();
        assert_eq!(house.get("/code").await, (200, "7".into()));
    });
}

#[test]
fn a_link_that_leads_out_of_the_folder_is_not_granted() {
    let house = House::new(&[
        (
            "in/it.js",
            "export default { fetch: () => new Response('x') };",
        ),
        ("secret.txt", "secret"),
    ]);
    let link = house.dir.path().join("in/link.txt");
    std::os::unix::fs::symlink(house.dir.path().join("secret.txt"), link).unwrap();
    let it = json!({ "name": "it", "path": "in/it.js", "files": ["link.txt"] });
    let line = block_on(house.load(it)).unwrap_err().to_string();
    assert!(
        line.contains("in/link.txt is not loaded: `files` names a link that leads out"),
        "{line}"
    );
}

#[test]
pub(crate) fn a_script_reads_what_its_definition_says() {
    const READS: &str = "
const read = (name) => Deno.readTextFile(new URL(name, import.meta.url)).catch((error) => error.name);
const names = ['plugins.json', 'data/words.txt', 'data/in/words.txt', 'more.txt', 'reads.js'];
export default { fetch: async () => Response.json(await Promise.all(names.map(read))) };";
    let house = House::new(&[
        ("reads.js", READS),
        ("plugins.json", "{}"),
        ("data/words.txt", "words"),
        ("data/in/words.txt", "more words"),
        ("more.txt", "more"),
    ]);
    let refused = "NotCapable";
    block_on(async {
        for (name, files, expected) in [
            (
                "none",
                json!([]),
                json!([refused, refused, refused, refused, refused]),
            ),
            (
                "some",
                json!(["data/", "more.txt"]),
                json!([refused, "words", "more words", "more", refused]),
            ),
            (
                "one",
                json!(["data/in"]),
                json!([refused, refused, "more words", refused, refused]),
            ),
            (
                "all",
                json!(["."]),
                json!(["{}", "words", "more words", "more", READS]),
            ),
        ] {
            let it = json!({ "name": name, "path": "reads.js", "files": files });
            house.load(it).await.unwrap();
            let (status, answer) = house.get(&format!("/{name}")).await;
            assert_eq!((status, answer), (200, expected.to_string()), "{name}");
        }
    });
}
