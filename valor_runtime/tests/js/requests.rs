//! Requests: what a script receives.

use crate::{House, text};
use serde_json::{Value, json};
use smol::block_on;
use valor_runtime::{Body, Request, Response};

#[test]
pub(crate) fn both_forms_answer() {
    let house = House::new(&[
        (
            "a.js",
            "export default { fetch(request) { return new Response(`a at ${new URL(request.url).pathname}`) } }",
        ),
        (
            "b.ts",
            "addEventListener('fetch', (event: any) => event.respondWith(new Response(`b ${event.request.method as \
             string}`)));",
        ),
        (
            "c.js",
            "self.addEventListener('fetch', { handleEvent(event) {
              if (event.request.url.endsWith('/1')) event.respondWith(new Response('first'));
            } });
            addEventListener('fetch', (event) => {
              if (event.request.url.endsWith('/none')) return;
              event.respondWith(Promise.resolve(new Response(`second, ${event.env.config}`)));
            });",
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
    // If an answer is made from the body, the head may come first: that tells the client to go on.
    let mut stream = post("/echo");
    let first = until(&mut stream, "\r\n\r\n");
    assert!(
        first == CONTINUE || first.starts_with("HTTP/1.1 200 "),
        "{first}"
    );
    stream.write_all(b"hi").unwrap();
    until(&mut stream, "hi");
    // Nobody knows if the body will come then, so nothing can follow it.
    let mut answer = String::new();
    post("/deaf").read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\ndeaf"),
        "{answer}"
    );
    // No interim response may follow a head. The head itself says that the body may come.
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

/// The URL stays the client's, whatever header comes along with it.
#[test]
pub(crate) fn the_clients_address_is_known() {
    let house = House::new(&[
        (
            "a.js",
            "export default { fetch({ url }, env, { peer, waitUntil }) {
               waitUntil(0);
               return Response.json([url, peer, Object.isFrozen(peer)]);
             } }",
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
                // With a head of this size, the request crosses as a message.
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

/// As in a service worker and in a page: a listener can be removed, is added only once, and `onfetch` is one of them.
#[test]
pub(crate) fn listeners_are_those_of_a_service_worker() {
    let house = House::new(&[
        (
            "removed.js",
            "const first = (event) => event.respondWith(new Response('removed'));
            addEventListener('fetch', first);
            removeEventListener('fetch', first);
            let asked = 0;
            const second = (event) => {
              asked++;
              if (event.request.url.endsWith('/asked')) event.respondWith(new Response(String(asked)));
            };
            addEventListener('fetch', second);
            addEventListener('fetch', second);
            addEventListener('fetch', (event) => event.respondWith(new Response('second')));",
        ),
        (
            "onfetch.js",
            "self.onfetch = (event) => event.respondWith(new Response('replaced'));
            self.onfetch = (event) => {
              if (event.request.url.endsWith('/on')) event.respondWith(new Response(typeof onfetch));
            };
            addEventListener('fetch', (event) => {
              onfetch = null;
              event.respondWith(new Response('next'));
            });",
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

/// Reports as JSON what it was asked.
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
        // In the standard, a GET has no body.
        request.body = Body::from("lost".to_owned());
        let seen = json_of(house.ask(request).await).await;
        assert_eq!(seen["url"], "https://example.com/");
        assert_eq!(seen["body"], "");
    });
}

/// Reports how its request looks in several ways, and what it may do with it.
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
      inspected: /unix|[0-9a-f]{32}/.test(
        (Deno.inspect(request) + Deno.inspect(request.clone()) + JSON.stringify({ ...request })).replaceAll(
          request.headers.get('x-request-id'),
          '',
        ),
      ),
      others: [
        new Request('https://a.example/x?y').url,
        new Request('http://a.example/', { redirect: 'manual' }).redirect,
      ],
    });
  },
};";

/// The URL has the form of the URL standard, as in a browser, and shows no trace of how it came.
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
        // Form alone does not make a request one of Valor's own.
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
