//! Requests and responses: what a script is given, and what of its answer arrives.

use crate::{House, keep_log, logged, text};
use futures_lite::StreamExt;
use serde_json::{Value, json};
use smol::block_on;
use valor_runtime::{Body, Chunk, Request, Response};

#[test]
pub(crate) fn both_forms_answer() {
    let house = House::new(&[
        (
            "a.js",
            "export default { fetch(request) { return new Response(`a at ${new URL(request.url).pathname}`) } }",
        ),
        (
            "b.ts",
            "addEventListener('fetch', (event: any) => event.respondWith(new Response(`b ${event.request.method as string}`)));",
        ),
        (
            "c.js",
            "self.addEventListener('fetch', { handleEvent(event) { if (event.request.url.endsWith('/1')) event.respondWith(new Response('first')) } });
            addEventListener('fetch', (event) => { if (!event.request.url.endsWith('/none')) event.respondWith(Promise.resolve(new Response(`second, ${event.env.config}`))) });",
        ),
    ]);
    block_on(async {
        house.load(json!({ "name": "a" })).await.unwrap();
        let b = json!({ "name": "b", "prefix": "/x/b" });
        house.load(b).await.unwrap();
        let c = json!({ "name": "c", "config": "well" });
        house.load(c).await.unwrap();
        assert_eq!(house.get("/a/b/c?d").await, (200, "a at /b/c".into()));
        assert_eq!(house.get("/x/b").await, (200, "b GET".into()));
        assert_eq!(house.get("/c/1").await, (200, "first".into()));
        assert_eq!(house.get("/c/2").await, (200, "second, well".into()));
        assert_eq!(house.get("/c/none").await.0, 502);
    });
}

/// RFC 9110, section 10.1.1, and row 24 of the book's page on HTTP.
#[test]
pub(crate) fn a_body_is_asked_for_when_a_script_first_reads_it() {
    use std::io::{Read, Write};
    let house = House::new(&[(
        "a.js",
        "const late = (request) => new ReadableStream({
            async start(controller) {
                controller.enqueue(new TextEncoder().encode('first,'));
                await new Promise((done) => setTimeout(done, 100));
                controller.enqueue(new Uint8Array(await request.arrayBuffer()));
                controller.close();
            },
        });
        export default { async fetch(request) {
            switch (new URL(request.url).pathname) {
                case '/reads': return new Response(await request.text());
                case '/echo': return new Response(request.body);
                case '/late': return new Response(late(request));
                default: return new Response('deaf');
            }
        } };",
    )]);
    block_on(house.load(json!({ "name": "a" }))).unwrap();
    let serving = crate::socket::serve(house.runtime.clone());
    let post = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&serving.addr).unwrap();
        let patience = std::time::Duration::from_secs(60);
        stream.set_read_timeout(Some(patience)).unwrap();
        let head = "host: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
        write!(stream, "POST /a{path} HTTP/1.1\r\n{head}").unwrap();
        stream
    };
    let until = |stream: &mut std::net::TcpStream, part: &str| {
        let mut text = String::new();
        while !text.contains(part) {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect(&text);
            text.push(byte[0].into());
        }
        text
    };
    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    let mut stream = post("/reads");
    assert_eq!(until(&mut stream, "\r\n\r\n"), CONTINUE);
    stream.write_all(b"hi").unwrap();
    let answer = until(&mut stream, "\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    until(&mut stream, "hi");
    // Of an answer that is made of the body, the head may come first: that says as much.
    let mut stream = post("/echo");
    let first = until(&mut stream, "\r\n\r\n");
    assert!(
        first == CONTINUE || first.starts_with("HTTP/1.1 200 "),
        "{first}"
    );
    stream.write_all(b"hi").unwrap();
    until(&mut stream, "hi");
    // Whether the body comes then is anybody's guess, so that nothing can come behind it.
    let mut answer = String::new();
    post("/deaf").read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\ndeaf"),
        "{answer}"
    );
    // No interim response comes behind a head, which says as well that the body may come.
    let mut stream = post("/late");
    let answer = until(&mut stream, "first,");
    assert!(answer.contains("HTTP/1.1 200 "), "{answer}");
    stream.write_all(b"hi").unwrap();
    until(&mut stream, "hi");
    // A client that does not wait.
    let mut stream = post("/reads");
    stream.write_all(b"hi").unwrap();
    until(&mut stream, "hi");
    drop(serving);
}

/// The URL stays the client's, whatever crosses with it.
#[test]
pub(crate) fn the_clients_address_is_known() {
    let house = House::new(&[
        (
            "a.js",
            "export default { fetch: ({ url }, env, { peer, waitUntil }) => (waitUntil(0), Response.json([url, peer, Object.isFrozen(peer)])) }",
        ),
        (
            "b.js",
            "addEventListener('fetch', (event) => event.respondWith(Response.json([event.request.url, event.peer])))",
        ),
    ]);
    let peers = [
        (None, Value::Null),
        (Some("0.0.0.0:0"), Value::Null),
        (
            Some("192.0.2.7:50000"),
            json!({ "address": "192.0.2.7", "port": 50000 }),
        ),
        (
            Some("[2001:db8::7]:80"),
            json!({ "address": "2001:db8::7", "port": 80 }),
        ),
    ];
    block_on(async {
        house
            .load(json!({ "name": "a", "prefix": "/a" }))
            .await
            .unwrap();
        house
            .load(json!({ "name": "b", "prefix": "/b" }))
            .await
            .unwrap();
        for (peer, expected) in peers {
            for https in [false, true] {
                // With a head of this size the request crosses as a message.
                for large in ["", &"x".repeat(40_000)] {
                    for path in ["/a/x;y?z=;", "/b/~/+;"] {
                        let mut request = Request::new("GET", path).unwrap();
                        let head = &mut request.head;
                        head.push("host", b"example.com").unwrap();
                        head.push("x-large", large.as_bytes()).unwrap();
                        head.set_https(https);
                        if let Some(peer) = peer {
                            head.set_peer(peer);
                        }
                        let url = format!(
                            "http{}://example.com{}",
                            if https { "s" } else { "" },
                            &path[2..]
                        );
                        let told = json_of(house.ask(request).await).await;
                        assert_eq!(
                            (&told[0], &told[1]),
                            (&url.into(), &expected),
                            "{peer:?} {https} {path}"
                        );
                    }
                }
            }
        }
    });
}

/// As in a service worker and in a page: a listener can be taken out and put in once, and `onfetch` is one of them.
#[test]
pub(crate) fn listeners_are_those_of_a_service_worker() {
    let house = House::new(&[
        (
            "removed.js",
            "const first = (event) => event.respondWith(new Response('removed'));
            addEventListener('fetch', first);
            removeEventListener('fetch', first);
            let asked = 0;
            const second = (event) => { asked++; if (event.request.url.endsWith('/asked')) event.respondWith(new Response(String(asked))) };
            addEventListener('fetch', second);
            addEventListener('fetch', second);
            addEventListener('fetch', (event) => event.respondWith(new Response('second')));",
        ),
        (
            "onfetch.js",
            "self.onfetch = (event) => event.respondWith(new Response('replaced'));
            self.onfetch = (event) => { if (event.request.url.endsWith('/on')) event.respondWith(new Response(typeof onfetch)) };
            addEventListener('fetch', (event) => { onfetch = null; event.respondWith(new Response('next')) });",
        ),
    ]);
    block_on(async {
        for name in ["removed", "onfetch"] {
            house.load(json!({ "name": name })).await.unwrap();
        }
        assert_eq!(house.get("/removed").await, (200, "second".into()));
        assert_eq!(house.get("/removed/asked").await, (200, "2".into()));
        assert_eq!(house.get("/onfetch/on").await, (200, "function".into()));
        assert_eq!(house.get("/onfetch").await, (200, "next".into()));
        assert_eq!(house.get("/onfetch/on").await, (200, "next".into()));
    });
}

/// Says in JSON what it was asked.
const MIRROR: &str = "
let count = 0;
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    if (url.pathname === '/count') return new Response(String(++count));
    return Response.json({
      method: request.method, url: request.url, headers: [...request.headers],
      body: await request.text(), env: env.config, name: [env.name, valor.name],
      frozen: [env, valor].map(Object.isFrozen), ctx: Object.keys(ctx),
    });
  },
};";

async fn json_of(response: Response) -> Value {
    serde_json::from_str(&text(response.body).await).unwrap()
}

#[test]
pub(crate) fn a_script_sees_the_request_as_it_is() {
    let house = House::new(&[("mirror.js", MIRROR)]);
    block_on(async {
        let mirror =
            json!({ "name": "m", "path": "mirror.js", "prefix": "/a/b", "config": { "x": [1] } });
        house.load(mirror).await.unwrap();
        let mut request = Request::new("PUT", "/a/b/%C3%A9%20/?q=%25&r").unwrap();
        for (name, value) in [
            ("host", "example.com:81"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("cookie", "a=b"),
        ] {
            request.head.push(name, value.as_bytes()).unwrap();
        }
        request.body = Body::from("the body".to_owned());
        let response = house.ask(request).await;
        assert_eq!(response.head.header_str("x-valor-plugin"), Some("m"));
        let seen = json_of(response).await;
        assert_eq!(seen["method"], "PUT");
        assert_eq!(seen["url"], "http://example.com:81/%C3%A9%20/?q=%25&r");
        assert_eq!(seen["body"], "the body");
        assert_eq!(seen["env"], json!({ "x": [1] }));
        assert_eq!(seen["name"], json!(["m", "m"]));
        assert_eq!(seen["frozen"], json!([true, true]));
        let header = |name: &str| {
            let headers = seen["headers"].as_array().unwrap();
            let found = headers.iter().find(|it| it[0] == name);
            found.map(|it| it[1].as_str().unwrap().to_owned())
        };
        assert_eq!(header("x-two").as_deref(), Some("1, 2"));
        assert_eq!(header("x-forwarded-prefix").as_deref(), Some("/a/b"));
        assert_eq!(header("cookie").as_deref(), Some("a=b"));
        assert!(header("x-request-id").is_some());
        for strange in ["x-valor-head", "user-agent"] {
            assert_eq!(header(strange), None, "{strange}");
        }

        let mut request = Request::new("GET", "/a/b").unwrap();
        request.head.push("host", b"example.com").unwrap();
        request.head.set_https(true);
        // Standard requests have none.
        request.body = Body::from("lost".to_owned());
        let seen = json_of(house.ask(request).await).await;
        assert_eq!(seen["url"], "https://example.com/");
        assert_eq!(seen["body"], "");
    });
}

/// Says what several ways to look at its request tell, and what it may do with it.
const COPIES: &str = "
const attempt = (what) => { try { what(); return 'done' } catch (error) { return error.name } };
export default {
  fetch(request) {
    const copy = new Request(request, { method: 'POST', headers: { 'x-own': '1' }, body: 'x' });
    return Response.json({
      urls: [request.url, request.clone().url, copy.url, new Request(copy).url],
      seen: Object.prototype.toString.call(request) + request.redirect + copy.redirect,
      change: attempt(() => request.headers.set('x-own', '1')), copied: [...copy.headers].map(([name]) => name),
      is: [request instanceof Request, request.constructor === Request, 'url' in Request.prototype],
      inspected: /unix|[0-9a-f]{32}/.test((Deno.inspect(request) + Deno.inspect(request.clone()) + JSON.stringify({ ...request })).replaceAll(request.headers.get('x-request-id'), '')),
      others: [new Request('https://a.example/x?y').url, new Request('http://a.example/', { redirect: 'manual' }).redirect],
    });
  },
};";

/// The form that the URL standard gives it, which is a browser's, and never a trace of how it came.
#[test]
pub(crate) fn a_requests_url_is_what_a_browser_would_say() {
    let house = House::new(&[("copies.js", COPIES)]);
    block_on(async {
        let copies = json!({ "name": "c", "path": "copies.js", "prefix": "/" });
        house.load(copies).await.unwrap();
        for (is_https, host, target, url) in [
            (false, "localhost", "/x?y=1&z", "http://localhost/x?y=1&z"),
            (true, "localhost", "/x?y=1&z", "https://localhost/x?y=1&z"),
            (false, "a.b:60001", "/", "http://a.b:60001/"),
            (false, "127.0.0.1:81", "/a.b", "http://127.0.0.1:81/a.b"),
            (true, "A.example:443", "/A", "https://a.example/A"),
            (false, "127.1:80", "/", "http://127.0.0.1/"),
            (false, "a.b", "/x/.b?'", "http://a.b/x/.b?%27"),
            (true, "a.b", "/x/|?|", "https://a.b/x/|?|"),
            (true, "[::1]:5", "//x//y", "https://[::1]:5//x//y"),
            (false, "", "/~x", "http://localhost/~x"),
            (true, "a.b", "/~/x", "https://a.b/~/x"),
        ] {
            let mut request = Request::new("GET", target).unwrap();
            request.head.push("host", host.as_bytes()).unwrap();
            request.head.set_https(is_https);
            let seen = json_of(house.ask(request).await).await;
            assert_eq!(seen["urls"], json!([url, url, url, url]));
            assert_eq!(seen["seen"], "[object Request]followfollow");
            assert_eq!(seen["change"], "TypeError", "{url}");
            assert_eq!(seen["copied"], json!(["content-type", "x-own"]));
            assert_eq!(seen["is"], json!([true, true, true]));
            assert_eq!(seen["inspected"], false);
            assert_eq!(seen["others"], json!(["https://a.example/x?y", "manual"]));
        }
        // Valor's own requests are known by more than their form.
        for path in [
            "/!poll",
            "/!result",
            "/0123456789abcdef0123456789abcdef!poll",
        ] {
            let (status, seen) = house.get(path).await;
            assert_eq!(status, 200, "{seen}");
            assert!(seen.contains(path), "{seen}");
        }
    });
}

#[test]
pub(crate) fn each_mount_is_an_instance_of_its_own() {
    let house = House::new(&[("mirror.js", MIRROR)]);
    block_on(async {
        for name in ["a", "b"] {
            let mirror = json!({ "name": name, "path": "mirror.js" });
            house.load(mirror).await.unwrap();
        }
        assert_eq!(house.get("/a/count").await.1, "1");
        assert_eq!(house.get("/a/count").await.1, "2");
        assert_eq!(house.get("/b/count").await.1, "1");
    });
}

const ANSWERS: &str = "
const answers = {
  '/headers': () => new Response('x'.repeat(5000), { status: 207, headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-latin', 'caf\\u00e9']] }),
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
  '/503': () => { throw Object.assign(new Error('secret'), { status: 503 }) },
  '/throwing-body': () => new Response(new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode('begun')) }, pull(c) { throw new Error('no more') } })),
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
        // A stream's length is not known, and is not said to be 0.
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
        for path in ["/throws", "/nothing", "/number", "/read", "/gone"] {
            assert_eq!(ask("GET", path).await.head.status(), 500, "{path}");
        }
        logged(&[
            "ERROR answers",
            "ReferenceError: nowhere is not defined at answers.js:17:20, answers.js:9:",
        ]);
        logged(&["ERROR answers", "the answer is undefined, not a Response"]);
        logged(&["ERROR answers", "threw 7"]);

        let response = ask("GET", "/throwing-body").await;
        assert_eq!(response.head.status(), 200);
        assert!(response.body.bytes(100).await.is_err());
        logged(&["ERROR answers", "broke off"]);
        // All of that was one failed response each.
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
        // A part of the request that comes after a part of the response: nothing is gathered.
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
