//! A script's own requests: to other servers, within its `allow`, and to other vlugins.

#[expect(dead_code, reason = "the tests of the client use all of it")]
#[path = "../fetch/server.rs"]
pub(crate) mod server;

use crate::{House, keep_log, logged};
use serde_json::json;
use server::Server;
use smol::block_on;
use valor_runtime::{Request, from_http, http};

const ASKS: &str = r#"
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const to = env.config;
    switch (url.pathname) {
      case "/get": {
        const it = await fetch(to + "/x?y#z", { headers: { "x-a": "1" } });
        return Response.json([it.status, it.url, it.headers.getSetCookie(), await it.text(), it.redirected]);
      }
      case "/post":
        return fetch(to, { method: "POST", body: "four" });
      case "/manual": {
        const it = await fetch(to + "/redirect", { redirect: "manual" });
        return Response.json([it.status, it.headers.get("location")]);
      }
      case "/follow": {
        const it = await fetch(to + "/redirect");
        const copy = it.clone();
        const [one, other] = await Promise.all([it.text(), copy.text()]);
        return Response.json([
          it.status,
          it.redirected,
          copy.redirected,
          copy.type,
          copy.url === it.url,
          one === other,
        ]);
      }
      case "/error":
        return fetch(to + "/redirect", { redirect: "error" });
      case "/refused":
        return fetch("http://example.com/");
      case "/own":
        try {
          return await fetch("http://example.com/");
        } catch (e) {
          throw Object.assign(new Error("not for you"), { status: e.status });
        }
      case "/caught":
        try {
          await fetch("http://example.com/");
        } catch (e) {
          return Response.json([e instanceof TypeError, e.status]);
        }
      case "/gone":
        return fetch("http://127.0.0.1:1/");
      case "/url":
        try { await fetch("no url"); } catch (e) { return Response.json([e instanceof TypeError, e.status]) }
      case "/scheme":
        return fetch("ftp://example.com/");
      case "/passed":
        return fetch(to + "/broken");
      case "/waits":
        return env.call("waits", "/");
      case "/broken": {
        const it = await fetch(to + "/broken");
        try { await it.text(); } catch (e) { return new Response(e.message) }
      }
      case "/late": {
        const it = await fetch(to + "/broken");
        // Long after the end, all that came before it is there.
        await new Promise((resolve) => setTimeout(resolve, 700));
        const reader = it.body.getReader();
        let text = "";
        try {
          for (;;) text += new TextDecoder().decode((await reader.read()).value);
        } catch (e) { return new Response(`${text}, ${e.name}`) }
      }
      case "/abort": {
        const control = new AbortController();
        setTimeout(() => control.abort(), 20);
        try { await fetch(to + "/hang", { signal: control.signal }); } catch (e) { return new Response(e.name) }
      }
      case "/call": {
        const it = await env.call("callee", "/a/b?c", { method: "PUT", body: request.body });
        return new Response(it.body, { status: it.status, headers: it.headers });
      }
      case "/self":
        return valor.call("asks", "/get-nothing");
      case "/nobody":
        return valor.call("nobody", "/");
      case "/data":
        return fetch(new Request("data:text/plain,data", { method: "POST", body: "unread" }));
    }
    return new Response("nothing", { status: 404 });
  },
};"#;

fn upstream() -> Server {
    Server::start(|_, conn| {
        while let Some(head) = conn.head() {
            let length = head.header("content-length");
            let length = length.map_or(0, |text| text.parse().unwrap());
            conn.exact(length);
            let lines = head.0.clone();
            if lines.contains("/hang") {
                continue;
            }
            if lines.contains("/broken") {
                conn.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbegun");
                return;
            }
            if lines.contains("/redirect") {
                conn.send("HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n");
                continue;
            }
            conn.send(format!(
                "HTTP/1.1 201 Created\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 4\r\nx-length: \
                 {length}\r\n\r\nbody"
            ));
        }
    })
}

#[test]
pub(crate) fn a_script_fetches_and_calls() {
    keep_log();
    let server = upstream();
    let house = House::new(&[("asks.js", ASKS)]);
    let callee = from_http(|mut req: http::Request| async move {
        let body = req.body_string().await.unwrap_or_default();
        let mut res = http::Response::new(203);
        res.set_body(format!(
            "{} {} {body}",
            req.method(),
            &req.url()[http::url::Position::BeforePath..]
        ));
        res
    });
    // Reports when a request to it has gone.
    let (gone, left) = smol::channel::bounded::<()>(1);
    let waits = valor_runtime::from_fn(move |_| {
        let gone = gone.clone();
        async move {
            let _gone = OnDrop(gone);
            std::future::pending().await
        }
    });
    block_on(async {
        house.runtime.add("waits", waits).unwrap();
        house.runtime.add("callee", callee).unwrap();
        let address = server.address.to_string();
        let config = format!("http://{address}");
        let asks = json!({ "name": "asks", "config": config, "allow": [address, "127.0.0.1:1"] });
        house.load(asks).await.unwrap();
        let got = house.get("/asks/get").await;
        let expected = json!([201, format!("{config}/x?y"), ["a", "b"], "body", false]);
        assert_eq!(got, (200, expected.to_string()));
        let response = house.ask(Request::new("GET", "/asks/post").unwrap()).await;
        assert_eq!(response.head.status(), 201);
        assert_eq!(response.head.header_str("x-length"), Some("4"));
        let got = house.get("/asks/manual").await;
        assert_eq!(got, (200, r#"[302,"/there"]"#.into()));
        let got = house.get("/asks/follow").await;
        let expected = r#"[201,true,true,"basic",true,true]"#;
        assert_eq!(got, (200, expected.into()));
        assert_eq!(house.get("/asks/error").await.0, 500);
        let (status, body) = house.get("/asks/refused").await;
        assert_eq!(status, 500, "{body}");
        // The forbidden address is only for the log.
        assert!(!body.contains("example.com"), "{body}");
        logged(&[
            "ERROR",
            "`asks` failed: ",
            "add \"example.com:80\" to this vlugin's `allow`",
        ]);
        assert_eq!(house.get("/asks/own").await.0, 403);
        assert_eq!(house.get("/asks/caught").await, (200, "[true,403]".into()));
        assert_eq!(house.get("/asks/gone").await.0, 502);
        assert_eq!(house.get("/asks/abort").await, (200, "AbortError".into()));
        assert_eq!(house.get("/asks/url").await, (200, "[true,400]".into()));
        assert_eq!(house.get("/asks/scheme").await.0, 500);
        let broken = house.get("/asks/broken").await;
        assert!(broken.1.ends_with("/broken broke off"), "{broken:?}");
        assert_eq!(
            house.get("/asks/late").await,
            (200, "begun, TypeError".into())
        );
        let passed = house
            .ask(Request::new("GET", "/asks/passed").unwrap())
            .await;
        assert_eq!(passed.head.status(), 200);
        assert!(passed.body.bytes(2000).await.is_err());
        assert_eq!(house.get("/asks/data").await, (200, "data".into()));
        assert_eq!(house.get("/asks/self").await, (404, "nothing".into()));
        assert_eq!(house.get("/asks/nobody").await.0, 404);

        // Work that began for a client ends with that client.
        let waiting = house.get("/asks/waits");
        let away = async {
            smol::Timer::after(std::time::Duration::from_millis(200)).await;
            (0, String::new())
        };
        assert_eq!(futures_lite::future::or(waiting, away).await.0, 0);
        left.recv().await.unwrap();

        let mut request = Request::new("POST", "/asks/call").unwrap();
        request.body = "sent".to_owned().into();
        let response = house.ask(request).await;
        assert_eq!(response.head.status(), 203);
        assert_eq!(crate::text(response.body).await, "PUT /a/b?c sent");
    });
}

struct OnDrop(smol::channel::Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}
