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
