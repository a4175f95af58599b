//! What crosses the link between Valor and its scripts: heads of every size, and what a script does with the link.

use crate::{
    House,
    ends::{metric, until},
    keep_log, logged,
    outbound::server::Server,
    text,
};
use serde_json::json;
use smol::block_on;
use valor_runtime::{Body, Request, Response};

const LARGE: &str = "
const sizes = (headers) => {
  let [count, size] = [0, 0];
  for (const [name, value] of headers)
    if (/^x-/.test(name) && !/^x-(valor|corr)/.test(name)) {
      count++;
      size += value.length;
    }
  return [count, size];
};
const many = (count) => Array.from({ length: count }, (_, i) => [`x-${i}`, 'v']);
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const number = Number(url.searchParams.get('n'));
    try {
      switch (url.pathname) {
        case '/seen':
          return Response.json([
            request.method,
            request.url,
            ...sizes(request.headers),
            (await request.bytes()).length,
          ]);
        case '/many':
          return new Response('many', { headers: many(number) });
        case '/long':
          return new Response('long', { headers: { 'x-long': 'h'.repeat(number) } });
        case '/call': {
          const it = await env.call('callee', '/' + 'p'.repeat(number), {
            method: 'POST',
            headers: many(number / 1000),
            body: 'b'.repeat(number),
          });
          return Response.json([it.status, ...sizes(it.headers), await it.text()]);
        }
        case '/url': {
          const it = await fetch(env.config + '/?' + 'p'.repeat(number));
          return Response.json([it.status, await it.text()]);
        }
        case '/head': {
          const it = await fetch(env.config, { headers: { 'x-long': 'h'.repeat(number) } });
          return Response.json([it.status, await it.text()]);
        }
      }
    } catch (error) {
      return new Response(`${error.name} ${error.status} ${error.message.slice(0, 100)}`);
    }
  },
};";

#[test]
pub(crate) fn heads_of_every_size_cross() {
    keep_log();
    let upstream = Server::start(|_, conn| {
        while let Some(head) = conn.head() {
            let body = format!("{}", head.0.len() > 60_000);
            let length = body.len();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
            ));
        }
    });
    let house = House::new(&[("large.js", LARGE)]);
    // Answers with the number of headers it got, and adds one as long as its body.
    let callee = valor_runtime::from_fn(|request: Request| async move {
        let path = request.head.path().len();
        let count = request
            .head
            .headers()
            .filter(|(name, _)| *name != "x-request-id");
        let count = count.filter(|(name, _)| name.starts_with("x-")).count();
        let body = request.body.bytes(1 << 20).await.unwrap();
        let mut response = Response::new(200);
        for i in 0..count {
            response.head.push(&format!("x-{i}"), b"v").unwrap();
        }
        response.head.push("x-long", &body).unwrap();
        response.body = format!("{path} {}", body.len()).into();
        Ok(response)
    });
    block_on(async {
        house.runtime.add("callee", callee).unwrap();
        let address = upstream.address.to_string();
        let config = format!("http://{address}");
        let large =
            json!({ "name": "l", "path": "large.js", "config": config, "allow": [address] });
        house.load(large).await.unwrap();

        // A client's request: one that fits goes to Deno's server unchanged, the rest as a message.
        for (count, size, body) in [
            (78, 1, 10),
            (90, 1, 10),
            (300, 1, 200_000),
            (1, 70_000, 0),
            (3, 40_000, 7),
        ] {
            for is_https in [false, true] {
                let mut request = Request::new("PUT", "/l/seen?a=b").unwrap();
                request.head.push("host", b"a.example").unwrap();
                request.head.push("connection", b"x-dropped").unwrap();
                request.head.push("x-dropped", b"1").unwrap();
                request.head.set_https(is_https);
                for i in 0..count {
                    let name = format!("x-{i}");
                    request
                        .head
                        .push(&name, "v".repeat(size).as_bytes())
                        .unwrap();
                }
                request.body = Body::from(vec![b'x'; body]);
                let seen = text(house.ask(request).await.body).await;
                let url = format!(
                    "http{}://a.example/seen?a=b",
                    if is_https { "s" } else { "" }
                );
                let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
                // The two headers that Valor adds, the prefix and the id, count too.
                assert_eq!(seen[2], count + 2, "{seen}");
                assert_eq!(seen[3], count * size + "/l".len() + 32, "{seen}");
                assert_eq!(seen[4], body, "{seen}");
                assert_eq!((&seen[0], &seen[1]), (&json!("PUT"), &json!(url)));
            }
        }

        // A script's answer.
        for count in [99, 120, 1000] {
            let response = house.ask(Request::new("GET", &format!("/l/many?n={count}")).unwrap());
            let head = response.await.head;
            assert_eq!(head.status(), 200, "{count}");
            let is_its = |name: &str| {
                name.strip_prefix("x-")
                    .is_some_and(|it| it.parse::<u32>().is_ok())
            };
            let its = head.headers().filter(|(name, _)| is_its(name));
            assert_eq!(its.count(), count);
        }
        let response = house.ask(Request::new("GET", "/l/long?n=300000").unwrap());
        assert_eq!(
            response.await.head.header("x-long").map(<[u8]>::len),
            Some(300_000)
        );

        // A script's call, and the answer to it.
        for number in [1000, 70_000, 300_000] {
            let got = house.get(&format!("/l/call?n={number}")).await;
            let count = number / 1000 + 1;
            let size = number + number / 1000;
            let body = format!("{} {number}", number + 1);
            assert_eq!(got, (200, json!([200, count, size, body]).to_string()));
        }
        // A script's fetch: a head of 70,000 bytes arrives. A longer one than anything takes is an error that says so.
        assert_eq!(
            house.get("/l/head?n=70000").await,
            (200, r#"[200,"true"]"#.into())
        );
        let (status, line) = house.get("/l/url?n=500000").await;
        assert_eq!(status, 200);
        assert!(line.starts_with("TypeError 400 "), "{line}");
        let (_, line) = house.get("/l/url?n=2000000").await;
        assert!(line.contains("at most 1048576 can be sent"), "{line}");
        assert_eq!(
            house.get("/l/url?n=5").await,
            (200, r#"[200,"false"]"#.into())
        );
        let restarts = metric(&house, "valor_restarts_total{vlugin=\"l\"}").await;
        assert_eq!(restarts, "0");
    });
}

const BREAKS: &str = "
let count = 0;
export default {
  fetch(request) {
    switch (new URL(request.url).pathname) {
      case '/closes': {
        // What it asks for is the answer to a request of Valor's, which is another one from here on.
        const other = new Response('no list of entries');
        Object.defineProperty(Object.prototype, 'then', {
          configurable: true,
          get() { return this instanceof Response && this !== other ? (resolve) => resolve(other) : undefined },
        });
        console.log('something');
        return new Response('closed');
      }
      case '/catches': {
        globalThis.caught ??= [];
        const { postMessage } = MessagePort.prototype;
        const { dispatchEvent } = EventTarget.prototype;
        MessagePort.prototype.postMessage = function (...args) {
          caught.push('port');
          return postMessage.apply(this, args);
        };
        EventTarget.prototype.dispatchEvent = function (...args) {
          if (this instanceof MessagePort) caught.push('port');
          return dispatchEvent.apply(this, args);
        };
        for (const method of ['call', 'apply', 'bind']) {
          const native = Function.prototype[method];
          Object.defineProperty(Function.prototype, method, { configurable: true, value: function (...args) {
            if (args.some((it) => it instanceof MessagePort) || /![a-z]/.test(this.toString())) caught.push(method);
            return Reflect.apply(native, this, args);
          } });
        }
        for (const method of ['startsWith', 'slice', 'indexOf']) {
          const native = String.prototype[method];
          String.prototype[method] = function (...args) {
            if (/[0-9a-f]{32}!/.test(this)) caught.push(method);
            return Reflect.apply(native, this, args);
          };
        }
        return new Promise((resolve) => setTimeout(() => resolve(Response.json(caught)), 1000));
      }
    }
    return new Response(String(++count));
  },
};";

#[test]
pub(crate) fn a_script_that_breaks_its_link_is_ended_and_started_again() {
    keep_log();
    let house = House::new(&[("breaks.js", BREAKS)]);
    block_on(async {
        house.load(json!({ "name": "breaks" })).await.unwrap();
        assert_eq!(house.get("/breaks").await, (200, "1".into()));
        assert_eq!(house.get("/breaks").await, (200, "2".into()));
        let closes = Request::new("GET", "/breaks/closes").unwrap();
        house.ask(closes).await;
        until("it is a fresh one", async || {
            house.get("/breaks").await == (200, "1".into())
        })
        .await;
        logged(&["ERROR breaks : the vlugin `breaks` ended: it"]);
    });
}

#[test]
pub(crate) fn what_a_script_changes_does_not_bring_it_the_link() {
    let house = House::new(&[("breaks.js", BREAKS)]);
    block_on(async {
        // It is checked ten times per second.
        let catches = json!({ "name": "c", "path": "breaks.js", "limits": { "cpu": 0.2 } });
        house.load(catches).await.unwrap();
        assert_eq!(house.get("/c/catches").await, (200, "[]".into()));
    });
}

const FLOODS: &str = "
export default {
  async fetch(request) {
    const count = Number(new URL(request.url).searchParams.get('n'));
    switch (new URL(request.url).pathname) {
      case '/console':
        for (let i = 0; i < count; i++) console.info('a line');
        break;
      case '/output': {
        const lines = new TextEncoder().encode('\\n.'.repeat(count));
        for (let at = 0; at < lines.length;) at += Deno.stdout.writeSync(lines.subarray(at));
        break;
      }
      case '/long':
        console.info('x'.repeat(count));
        break;
    }
    return new Response('said');
  },
};";

const PRETENDS: &str = "
const seen = [];
Object.defineProperty(Object.prototype, 'data', {
  configurable: true,
  set(value) {
    if (this instanceof MessageEvent) seen.push(this);
    Object.defineProperty(this, 'data', { value, writable: true, configurable: true, enumerable: true });
  },
});
const loop = (turn) => {
  for (const end = Date.now() + 20000; Date.now() < end; turn()) for (let i = 0; i < 1e5; i++);
};
export default {
  async fetch(request) {
    const it = seen.find((it) => it.target instanceof MessagePort)?.target ?? globalThis;
    switch (new URL(request.url).pathname) {
      case '/answers': {
        // Whatever it has been asked so far, and what it could be asked.
        const said = seen.map((it) => it.data).filter((it) => typeof it !== 'object');
        const all = ['pong', 'ping', ...said, ...said.map((pong) => ({ event: 'pong', pong }))];
        loop(() => { for (const one of all) it.postMessage(one) });
        return new Response('looped');
      }
      case '/stops':
        it.postMessage({ event: 'stopped' });
        it.postMessage(null);
        it.postMessage({ event: 'ready', message: { toString: 1, valueOf: 1 } });
        await new Promise((resolve) => setTimeout(resolve, 200));
        loop(() => {});
        return new Response('looped');
      default:
        return new Response(String(Deno.pid));
    }
  },
};";

#[test]
pub(crate) fn a_loop_ends_whatever_a_script_says_of_itself() {
    let house = House::new(&[("pretends.js", PRETENDS)]);
    block_on(async {
        let pretends = json!({ "name": "p", "path": "pretends.js", "limits": { "cpu": 0.5 } });
        house.load(pretends).await.unwrap();
        for path in ["/p/answers", "/p/stops"] {
            let before = house.get("/p").await;
            assert_eq!(before.0, 200);
            // It has been asked a few times by now.
            smol::Timer::after(std::time::Duration::from_secs(1)).await;
            assert_eq!(house.get(path).await.0, 504, "{path}");
            until("it is a fresh one", async || {
                let now = house.get("/p").await;
                now.0 == 200 && now != before
            })
            .await;
        }
    });
}

#[test]
fn what_a_script_says_is_held_to_a_rate() {
    keep_log();
    let house = House::new(&[("floods.js", FLOODS)]);
    block_on(async {
        for name in ["floods", "prints"] {
            let it = json!({ "name": name, "path": "floods.js", "limits": { "cpu": 100, "timeout": 100 } });
            house.load(it).await.unwrap();
        }
        assert_eq!(house.get("/floods/console?n=20000").await.0, 200);
        logged(&["WARN floods", " lines of `floods` were left out"]);
        assert_eq!(house.get("/prints/output?n=3000000").await.0, 200);
        logged(&["WARN prints", " lines of `prints` were left out"]);
        assert_eq!(house.get("/prints/long?n=3000000").await.0, 200);
        let line = logged(&["INFO prints", "xxxx"]);
        assert!(line.len() < 20_000, "{}", line.len());
    });
}

const HOARDS: &str = "
let count = 0;
export default {
  async fetch(request, env) {
    switch (new URL(request.url).pathname) {
      case '/calls':
        // Heads and bodies that a vlugin keeps waiting.
        for (let i = 0; i < 40; i++)
          env.call('waits', '/', {
            method: 'POST',
            headers: { 'x-long': 'h'.repeat(60000) },
            body: 'b'.repeat(60000),
          });
        return new Promise(() => {});
      case '/answer':
        return new Response('large', { headers: { 'x-long': 'h'.repeat(200000) } });
      case '/large':
        return (await env.call('large', '/')).body.cancel().then(() => new Response('had it'));
    }
    return new Response(String(++count));
  },
};";

#[test]
fn what_the_host_holds_for_a_script_is_the_scripts() {
    keep_log();
    let house = House::new(&[("hoards.js", HOARDS)]);
    let waits = valor_runtime::from_fn(|request: Request| async move {
        let _held = request;
        std::future::pending().await
    });
    let large = valor_runtime::from_fn(|_| async {
        let mut response = Response::new(200);
        response.body = vec![b'x'; 3 << 20].into();
        Ok(response)
    });
    block_on(async {
        house.runtime.add("waits", waits).unwrap();
        house.runtime.add("large", large).unwrap();
        let limits = json!({ "host_memory": 1 << 20 });
        let hoards = json!({ "name": "hoards", "limits": limits });
        house.load(hoards).await.unwrap();
        for path in ["calls", "large"] {
            assert_eq!(house.get("/hoards").await, (200, "1".into()));
            assert_eq!(house.get("/hoards").await, (200, "2".into()));
            assert_eq!(house.get(&format!("/hoards/{path}")).await.0, 502, "{path}");
        }
        logged(&["ERROR hoards", "than `limits.host_memory`"]);

        // Answers that clients do not take count too. While they are large, no new ones begin.
        let hoards = json!({ "name": "answers", "path": "hoards.js", "limits": limits });
        house.load(hoards).await.unwrap();
        let mut waiting = Vec::new();
        let response = loop {
            let answer = Request::new("GET", "/answers/answer").unwrap();
            let response = house.ask(answer).await;
            if response.head.status() != 200 || waiting.len() > 10 {
                break response;
            }
            waiting.push(response);
        };
        assert_eq!(response.head.status(), 503);
        assert!(response.head.header("retry-after").is_some());
        assert_eq!(waiting.len(), 4);
        drop(waiting);
        assert_eq!(house.get("/answers").await, (200, "1".into()));
    });
}
