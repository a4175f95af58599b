//! Responses: which parts of a script's answer arrive, and bodies that stream both ways.

use crate::{House, keep_log, logged, text};
use futures_lite::StreamExt;
use serde_json::json;
use smol::block_on;
use valor_runtime::{Body, Chunk, Request};

const ANSWERS: &str = "
const answers = {
  '/headers': () => {
    const headers = [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-latin', 'caf\\u00e9']];
    return new Response('x'.repeat(5000), { status: 207, headers });
  },
  '/stream': () => new Response(new Blob(['streamed']).stream()),
  '/empty': () => new Response(null, { status: 204 }),
  '/redirect': () => Response.redirect('http://example.com/', 303),
  '/cached': () => new Response(null, { status: 304, headers: { etag: '\"1\"' } }),
  '/teapot': () => { throw Object.assign(new Error('short and stout'), { status: 418 }) },
  '/throws': async () => { await 0; inner() },
  '/nothing': () => {},
  '/number': () => { throw 7 },
  '/read': async () => { const it = new Response('x'); await it.text(); return it },
  '/gone': () => Response.error(),
  '/long': () => new Response('long', { headers: { 'x-long': 'x'.repeat(409_400) } }),
  '/too-long': () => new Response('x', { headers: { 'x-long': 'x'.repeat(410_000) } }),
  '/far-too-long': () => new Response('x', { headers: { 'x-long': 'x'.repeat(2_000_000) } }),
  '/locked': () => { const it = new Response('x'); it.body.getReader(); return it },
  '/piped': () => { const it = new Response('x'); it.body.pipeTo(new WritableStream()); return it },
  '/locked-stream': () => { const it = new Response(new Blob(['x']).stream()); it.body.getReader(); return it },
  '/let-go': () => { const it = new Response('let go'); it.body.getReader().releaseLock(); return it },
  '/503': () => { throw Object.assign(new Error('secret'), { status: 503 }) },
  '/throwing-body': () => new Response(new ReadableStream({
    start(c) { c.enqueue(new TextEncoder().encode('begun')) },
    pull(c) { throw new Error('no more') },
  })),
};
function inner() { nowhere.to.be.found }
export default { fetch: (request) => answers[new URL(request.url).pathname]() };
";

#[test]
pub(crate) fn what_a_script_answers_arrives() {
    keep_log();
    let house = House::new(&[("answers.js", ANSWERS)]);
    block_on(async {
        house.load(json!({ "name": "answers" })).await.unwrap();
        let ask = async |method, path: &str| {
            let mut request = Request::new(method, &format!("/answers{path}")).unwrap();
            request.head.push("accept-encoding", b"gzip, br").unwrap();
            house.ask(request).await
        };
        let response = ask("GET", "/headers").await;
        assert_eq!(response.head.status(), 207);
        let cookies: Vec<_> = response
            .head
            .headers()
            .filter(|(name, _)| *name == "set-cookie")
            .map(|(_, value)| value.to_owned())
            .collect();
        assert_eq!(cookies, [b"a=1", b"b=2"]);
        assert_eq!(response.head.header("x-latin"), Some(&b"caf\xe9"[..]));
        assert_eq!(response.head.header("content-encoding"), None);
        assert_eq!(text(response.body).await.len(), 5000);
        let response = ask("HEAD", "/headers").await;
        assert_eq!(response.head.status(), 207);
        assert_eq!(response.head.header_str("content-length"), Some("5000"));
        assert_eq!(text(response.body).await, "");
        // A stream's length is unknown, and is not reported as 0.
        let response = ask("HEAD", "/stream").await;
        assert_eq!(response.head.header("content-length"), None);
        assert_eq!(response.body.len(), None);
        assert_eq!(text(response.body).await, "");
        assert_eq!(text(ask("GET", "/stream").await.body).await, "streamed");
        assert_eq!(ask("GET", "/empty").await.head.status(), 204);
        let response = ask("GET", "/redirect").await;
        assert_eq!(response.head.status(), 303);
        assert_eq!(
            response.head.header_str("location"),
            Some("http://example.com/")
        );
        let response = ask("GET", "/cached").await;
        assert_eq!(response.head.status(), 304);
        assert_eq!(response.head.header_str("etag"), Some("\"1\""));

        let response = ask("GET", "/teapot").await;
        assert_eq!(response.head.status(), 418);
        assert!(text(response.body).await.contains("short and stout"));
        let response = ask("GET", "/503").await;
        assert_eq!(response.head.status(), 503);
        assert!(!text(response.body).await.contains("secret"));
        for path in [
            "/throws",
            "/nothing",
            "/number",
            "/read",
            "/gone",
            "/locked",
            "/piped",
            "/locked-stream",
            "/too-long",
            "/far-too-long",
        ] {
            assert_eq!(ask("GET", path).await.head.status(), 500, "{path}");
        }
        logged(&[
            "ERROR answers",
            "ReferenceError: nowhere is not defined at answers.js:30:20, answers.js:12:",
        ]);
        logged(&["ERROR answers", "the answer is undefined, not a Response"]);
        logged(&["ERROR answers", "threw 7"]);
        logged(&[
            "ERROR answers",
            "its head has 410",
            " bytes, more than 409600",
        ]);
        logged(&[
            "ERROR answers",
            "its head has more than 1024 headers or 409600 bytes",
        ]);
        assert_eq!(text(ask("GET", "/long").await.body).await, "long");
        logged(&["ERROR answers", "the body of the Response is locked"]);
        assert_eq!(text(ask("GET", "/let-go").await.body).await, "let go");

        let response = ask("GET", "/throwing-body").await;
        assert_eq!(response.head.status(), 200);
        assert!(response.body.bytes(100).await.is_err());
        logged(&["ERROR answers", "broke off"]);
        // Each of these was only one failed response.
        assert_eq!(ask("GET", "/empty").await.head.status(), 204);
    });
}

const STREAMS: &str = "
const seen = [];
export default {
  async fetch(request, env, ctx) {
    switch (new URL(request.url).pathname) {
      case '/echo':
        return new Response(request.body);
      case '/ticks':
        request.signal.addEventListener('abort', () => seen.push('aborted'));
        return new Response(new ReadableStream({
          pull(c) { c.enqueue(new TextEncoder().encode('tick')); return new Promise((r) => setTimeout(r, 5)) },
          cancel() { seen.push('cancelled') },
        }));
      case '/hangs':
        request.signal.addEventListener('abort', () => seen.push('aborted ' + request.signal.reason.name));
        return new Promise(() => {});
      case '/later':
        ctx.waitUntil(new Promise((r) => setTimeout(r, 50)).then(() => seen.push('later')));
        ctx.waitUntil(Promise.reject(new Error('promised too much')));
        return new Response('now');
      default:
        return Response.json(seen);
    }
  },
};";

#[test]
pub(crate) fn bodies_stream_both_ways_and_end_with_the_client() {
    keep_log();
    let house = House::new(&[("streams.js", STREAMS)]);
    block_on(async {
        house.load(json!({ "name": "streams" })).await.unwrap();
        // A part of the request comes after a part of the response, so nothing is collected first.
        let (send, receive) = smol::channel::unbounded::<std::io::Result<Chunk>>();
        let mut request = Request::new("POST", "/streams/echo").unwrap();
        request.body = Body::stream(None, Box::pin(receive));
        send.try_send(Ok(Chunk::Data("one".into()))).unwrap();
        let mut body = house.ask(request).await.body;
        let first = body.next().await.unwrap().unwrap();
        assert_eq!(first, Chunk::Data("one".into()));
        send.try_send(Ok(Chunk::Data("two".into()))).unwrap();
        assert_eq!(
            body.next().await.unwrap().unwrap(),
            Chunk::Data("two".into())
        );
        drop(send);
        assert!(body.next().await.is_none());

        let big = "0123456789".repeat(500_000);
        let mut request = Request::new("POST", "/streams/echo").unwrap();
        request.body = Body::from(big.clone());
        let back = house
            .ask(request)
            .await
            .body
            .bytes(big.len())
            .await
            .unwrap();
        assert!(back == big.as_bytes());

        let mut ticks = house
            .ask(Request::new("GET", "/streams/ticks").unwrap())
            .await
            .body;
        assert!(ticks.next().await.unwrap().is_ok());
        drop(ticks);
        let seen = async |what: &str| {
            for _ in 0..1000 {
                if house.get("/streams").await.1.contains(what) {
                    return;
                }
                smol::Timer::after(std::time::Duration::from_millis(20)).await;
            }
            panic!("never {what}: {}", house.get("/streams").await.1);
        };
        seen("cancelled").await;
        let hangs = house.ask(Request::new("GET", "/streams/hangs").unwrap());
        let away = smol::Timer::after(std::time::Duration::from_millis(200));
        futures_lite::future::or(async { drop(hangs.await) }, async {
            away.await;
        })
        .await;
        seen("aborted AbortError").await;

        assert_eq!(house.get("/streams/later").await, (200, "now".into()));
        seen("later").await;
        logged(&[
            "ERROR streams",
            "waitUntil: Error: promised too much at streams.js:",
        ]);
    });
}
