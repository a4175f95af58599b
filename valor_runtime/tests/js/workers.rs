//! Workers that a script makes: what is refused of them is said in Valor's words, and is seen if the script does not
//! look.

use crate::{House, keep_log, lines, logged};
use serde_json::json;
use smol::block_on;

const MAIN: &str = r#"
const inner = new URL("./inner.js", import.meta.url);
const make = (url) => new Worker(url, { type: "module" });
const thrown = (text) => `data:text/javascript,throw new Error("${text}")`;
const said = (worker, prevents) =>
  new Promise((done) => {
    worker.onerror = (event) => {
      if (prevents) event.preventDefault();
      done(`${event.constructor.name}: ${event.message}`);
    };
  });
export default {
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/caught": return new Response(await said(make(inner), true));
      case "/elsewhere": return new Response(await said(make("https://a.example/it.js"), true));
      case "/thrown": return new Response(await said(make(thrown("caught")), true));
      case "/seen": return new Response(await said(make(thrown("seen and let through")), false));
      case "/unseen": make(inner); break;
      case "/uncaught": make(thrown("uncaught")); break;
      case "/realm": {
        const event = new Promise((done) => addEventListener("error", done, { once: true }));
        make(thrown("of the realm"));
        return new Response((await event).message);
      }
      case "/works": {
        const worker = make("data:text/javascript,onmessage = ({ data }) => postMessage(data + 1)");
        const answer = new Promise((done) => { worker.onmessage = ({ data }) => done(data); });
        worker.postMessage(6);
        return Response.json([await answer, worker instanceof Worker, Worker.name]);
      }
    }
    return new Response("begun");
  },
};"#;

#[test]
fn what_is_refused_of_a_worker_is_said_and_seen() {
    keep_log();
    let house = House::new(&[("nesting.js", MAIN), ("inner.js", "postMessage(1)")]);
    block_on(async {
        house.load(json!({ "name": "nesting" })).await.unwrap();
        let get = async |path: &str| house.get(&format!("/nesting{path}")).await.1;
        assert_eq!(get("/works").await, "[7,true,\"Worker\"]");
        let read = "inner.js\", which `files` in its definition grants";
        for (path, part) in [
            ("/caught", read),
            ("/elsewhere", "and nothing is loaded from elsewhere"),
            ("/thrown", "Error: caught"),
            ("/seen", "Error: seen and let through"),
            ("/realm", "in the Worker `data:"),
        ] {
            let text = get(path).await;
            assert!(
                text.contains(part) && !text.contains("--"),
                "{path}: {text}"
            );
        }
        for path in ["/unseen", "/uncaught"] {
            assert_eq!(get(path).await, "begun");
        }
    });
    logged(&[
        "ERROR nesting",
        "uncaught: in the Worker `inner.js`: Requires read access to ",
        "grants",
    ]);
    logged(&[
        "ERROR nesting",
        "uncaught: in the Worker `data:",
        "Error: uncaught",
    ]);
    logged(&[
        "ERROR nesting",
        "uncaught: in the Worker `data:",
        "Error: seen and let through",
    ]);
    logged(&[
        "ERROR nesting",
        "uncaught: in the Worker `data:",
        "Error: of the realm",
    ]);
    let errors = lines("ERROR nesting");
    // A line each, and none for what was caught.
    assert_eq!(errors.len(), 4, "{errors:#?}");
}

/// What `import()` rejects with is made by Deno alone. Where it leaves the script, it has Valor's words all the same.
const REJECTED: &str = r#"
const name = ["./gone", "js"].join(".");
const inner = `
  console.error("inner", await import("https://a.example/it.js").catch((error) => error));
  await import("https://a.example/other.js");
`;
export default {
  async fetch(request) {
    const path = new URL(request.url).pathname;
    if (path === "/worker") new Worker(`data:text/javascript,${encodeURIComponent(inner)}`, { type: "module" });
    if (path === "/unhandled") import(name);
    if (path === "/thrown") await import(name);
    const error = await import(name).catch((error) => error);
    if (path === "/answered") throw Object.assign(error, { status: 404 });
    if (path === "/failed") throw Object.assign(error, { status: 503 });
    if (path === "/cause") throw new Error("because", { cause: error });
    if (path === "/logged") {
      console.error("caught", error);
      console.warn(error.message);
      console.info(`${error.stack}`);
    }
    return new Response("ok");
  },
};"#;

#[test]
fn what_an_import_is_rejected_with_leaves_the_script_in_valors_words() {
    keep_log();
    let house = House::new(&[("rejected.js", REJECTED)]);
    let files = "which `files` in its definition grants";
    let granted = "which `files` in its definition grants, or an import whose text has the name";
    block_on(async {
        house.load(json!({ "name": "rejected" })).await.unwrap();
        for (path, status) in [
            ("/worker", 200),
            ("/unhandled", 200),
            ("/logged", 200),
            ("/thrown", 500),
            ("/failed", 503),
            ("/cause", 500),
            ("/answered", 404),
        ] {
            let (found, text) = house.get(&format!("/rejected{path}")).await;
            assert_eq!(found, status, "{path}: {text}");
            assert!(!text.contains("--allow"), "{path}: {text}");
            assert_eq!(text.contains(files), status == 404, "{path}: {text}");
        }
    });
    for start in ["ERROR rejected", "WARN rejected", "INFO rejected"] {
        logged(&[start, files]);
    }
    for part in ["caught", "uncaught, in a promise", "Error: because at "] {
        logged(&["ERROR rejected", part, granted]);
    }
    for part in ["inner", "uncaught: in the Worker `data:"] {
        logged(&[" rejected ", part, "nothing is loaded from elsewhere"]);
    }
    for level in ["ERROR", "WARN", "INFO", "DEBUG"] {
        let said = lines(&format!("{level} rejected"));
        assert!(said.iter().all(|it| !it.contains("--allow")), "{said:#?}");
    }
}
