//! How a script ends, and what happens to the requests that were running, and to the next ones.

use crate::{House, keep_log, logged};
use serde_json::{Value, json};
use smol::{Timer, block_on};
use std::time::Duration;
use valor_runtime::Request;

const FRAGILE: &str = r#"
let count = 0;
export default {
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/loop":
        while (true) {}
      case "/kill":
        Deno.kill(Deno.pid, "SIGKILL");
        return new Promise(() => {});
      case "/heap": {
        const all = [];
        while (true) all.push(new Array(1000).fill(0.5));
      }
      case "/buffers": {
        const all = [];
        while (true) { all.push(new Uint8Array(1 << 24).fill(1)); await new Promise((r) => setTimeout(r, 1)) }
      }
      case "/wait":
        await new Promise((r) => setTimeout(r, Number(new URL(request.url).searchParams.get("ms") ?? 300)));
        return new Response("waited");
      case "/fail":
        throw Object.assign(new Error("as asked"), { status: 418 });
      case "/stream": {
        let left = Number(new URL(request.url).searchParams.get("ms"));
        return new Response(new ReadableStream({
          async pull(controller) {
            if (left <= 0) return controller.close();
            await new Promise((r) => setTimeout(r, 100));
            left -= 100;
            controller.enqueue(new Uint8Array(1));
          },
        }));
      }
      case "/hang":
        return new Promise(() => {});
      case "/pid":
        return new Response(String(Deno.pid));
    }
    return new Response(String(++count));
  },
};"#;

pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
        if is_so().await {
            return;
        }
        Timer::after(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

fn is_alive(pid: &str) -> bool {
    // A zombie has no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

pub(crate) async fn metric(house: &House, line: &str) -> String {
    let text = house.get("/_metrics").await.1;
    let found = text.lines().find_map(|it| it.strip_prefix(line));
    found.unwrap_or_default().trim().to_owned()
}

#[test]
pub(crate) fn a_loop_ends_its_script_and_nobody_else() {
    keep_log();
    let house = House::new(&[("loops.js", FRAGILE)]);
    block_on(async {
        for name in ["loops", "calm"] {
            let it = json!({ "name": name, "path": "loops.js", "limits": { "cpu": 0.5 } });
            house.load(it).await.unwrap();
        }
        assert_eq!(house.get("/loops").await.1, "1");
        assert_eq!(house.get("/calm").await.1, "1");
        let beside = house.get("/loops/hang");
        let (status, other) = {
            let looping = async {
                Timer::after(Duration::from_millis(50)).await;
                house.get("/loops/loop").await
            };
            let calm = async {
                Timer::after(Duration::from_millis(200)).await;
                assert_eq!(house.get("/calm").await.1, "2");
            };
            let both = futures_lite::future::zip(looping, beside);
            let ((first, second), ()) = futures_lite::future::zip(both, calm).await;
            let why = "the vlugin `loops` ran for more than 0.5 s without a pause (`limits.cpu`)";
            assert!(first.1.contains(why), "{}", first.1);
            (first.0, second.0)
        };
        assert_eq!((status, other), (504, 504));
        // A fresh one, with new state.
        assert_eq!(house.get("/loops").await, (200, "1".into()));
        assert_eq!(house.get("/calm").await.1, "3");
        logged(&["ERROR loops", "without a pause"]);
        assert_eq!(
            metric(&house, "valor_restarts_total{vlugin=\"loops\"}").await,
            "1"
        );
    });
}

#[test]
pub(crate) fn killed_and_out_of_memory_are_502_and_then_a_fresh_process() {
    keep_log();
    let house = House::new(&[("fragile.js", FRAGILE)]);
    block_on(async {
        for (name, path) in [("a", "/kill"), ("b", "/heap"), ("c", "/buffers")] {
            let limits = json!({ "memory": 64 << 20, "cpu": 20 });
            let it = json!({ "name": name, "path": "fragile.js", "limits": limits });
            house.load(it).await.unwrap();
            let before = house.get(&format!("/{name}/pid")).await.1;
            let beside = house.get("/a/hang");
            let target = format!("/{name}{path}");
            let ended = house.get(&target);
            if name == "a" {
                let both = futures_lite::future::zip(beside, async {
                    Timer::after(Duration::from_millis(100)).await;
                    ended.await
                });
                let (beside, ended) = both.await;
                assert_eq!((beside.0, ended.0), (502, 502));
            } else {
                assert_eq!(ended.await.0, 502, "{path}");
            }
            // Nobody has to ask for it first.
            let running = format!("valor_script_running{{vlugin=\"{name}\"}}");
            let has_ended = async || metric(&house, &running).await == "0";
            until("it counts as ended", has_ended).await;
            let (status, after) = house.get(&format!("/{name}/pid")).await;
            assert_eq!(status, 200);
            assert_ne!(before, after);
            assert_eq!(metric(&house, &running).await, "1");
            assert!(!is_alive(&before));
        }
        logged(&["ERROR a", "signal: 9"]);
        logged(&["ERROR b", "needed more memory"]);
        logged(&["ERROR c", "needed more memory"]);
    });
}

#[test]
pub(crate) fn who_ends_again_and_again_is_waited_for() {
    let house = House::new(&[("fragile.js", FRAGILE)]);
    block_on(async {
        house.load(json!({ "name": "fragile" })).await.unwrap();
        house.runtime.set_ready(true);
        assert_eq!(
            metric(&house, "valor_script_running{vlugin=\"fragile\"}").await,
            "1"
        );
        for _ in 0..3 {
            assert_eq!(house.get("/fragile/kill").await.0, 502);
        }
        let response = house.ask(Request::new("GET", "/fragile").unwrap()).await;
        assert_eq!(response.head.status(), 503);
        assert!(response.head.header_str("retry-after").is_some());
        let health: Value = serde_json::from_str(&house.get("/_health").await.1).unwrap();
        assert_eq!(health["status"], "degraded");
        assert_eq!(health["unavailable"]["fragile"], "ended too often");
        assert_eq!(
            metric(&house, "valor_script_running{vlugin=\"fragile\"}").await,
            "0"
        );
        // And comes back.
        let is_back = async || house.get("/fragile").await.0 == 200;
        until("it is back", is_back).await;
        assert_eq!(
            metric(&house, "valor_restarts_total{vlugin=\"fragile\"}").await,
            "3"
        );
        let health = house.get("/_health").await.1;
        assert!(!health.contains("fragile"), "{health}");
        // The wait doubles: 2 s, and then 4 s. Some of it may already be over.
        assert_eq!(house.get("/fragile/kill").await.0, 502);
        until("it is back", is_back).await;
        assert_eq!(house.get("/fragile/kill").await.0, 502);
        let response = house.ask(Request::new("GET", "/fragile").unwrap()).await;
        assert_eq!(response.head.status(), 503);
        let wait = response.head.header_str("retry-after").unwrap_or_default();
        assert!(wait == "4" || wait == "3", "{wait}");
    });
}

#[test]
pub(crate) fn a_lazy_one_is_started_by_a_request_and_stopped_again() {
    let house = House::with(
        &[("lazy.js", FRAGILE), ("broken.js", "export")],
        |builder| builder.script_idle(Duration::from_millis(300)),
    );
    block_on(async {
        house
            .load(json!({ "name": "eager", "path": "lazy.js" }))
            .await
            .unwrap();
        let eager = house.get("/eager/pid").await;
        let running = "valor_script_running{vlugin=\"lazy\"}";
        house
            .load(json!({ "name": "lazy", "start": "lazy" }))
            .await
            .unwrap();
        assert_eq!(metric(&house, running).await, "0");
        let (status, pid) = house.get("/lazy/pid").await;
        assert_eq!((status, is_alive(&pid)), (200, true));
        assert_eq!(house.get("/lazy/wait").await.1, "waited");
        until("it is stopped", async || !is_alive(&pid)).await;
        assert_eq!(metric(&house, running).await, "0");
        // The eager one still runs, although it has been idle even longer.
        assert_eq!(
            metric(&house, "valor_script_running{vlugin=\"eager\"}").await,
            "1"
        );
        assert_eq!(house.get("/eager/pid").await, eager);
        assert_eq!(house.get("/lazy").await, (200, "1".into()));
        assert_eq!(
            metric(&house, "valor_restarts_total{vlugin=\"lazy\"}").await,
            "0"
        );
        // Its fault is known by then, and it is not tried again for ever.
        house
            .load(json!({ "name": "broken", "start": "lazy" }))
            .await
            .unwrap();
        for _ in 0..3 {
            assert_eq!(house.get("/broken").await.0, 502);
        }
        assert_eq!(house.get("/broken").await.0, 503);
    });
}

/// Each runs for longer than a lazy script may be idle, and is idle for less than half of that.
#[test]
fn a_lazy_one_that_is_used_is_not_stopped() {
    let house = House::with(&[("used.js", FRAGILE)], |builder| {
        builder.script_idle(Duration::from_secs(4))
    });
    let pause = || Timer::after(Duration::from_millis(1800));
    let pids = async || {
        let mut pids = Vec::new();
        for name in ["asked", "failing", "waiting", "streaming"] {
            pids.push(house.get(&format!("/{name}/pid")).await);
        }
        pids
    };
    block_on(async {
        for name in ["asked", "failing", "waiting", "streaming"] {
            let it = json!({ "name": name, "path": "used.js", "start": "lazy" });
            house.load(it).await.unwrap();
        }
        let before = pids().await;
        let asked = async {
            for count in 1..5 {
                pause().await;
                assert_eq!(house.get("/asked").await, (200, count.to_string()));
            }
        };
        let failing = async {
            for _ in 0..4 {
                pause().await;
                assert_eq!(house.get("/failing/fail").await.0, 418);
            }
        };
        let waiting = async {
            assert_eq!(house.get("/waiting/wait?ms=5400").await.1, "waited");
            pause().await;
        };
        let streaming = async {
            let stream = house.get("/streaming/stream?ms=5400").await;
            assert_eq!((stream.0, stream.1.len()), (200, 54));
            pause().await;
        };
        use futures_lite::future::zip;
        zip(zip(asked, failing), zip(waiting, streaming)).await;
        assert_eq!(pids().await, before);
    });
}

#[test]
pub(crate) fn a_group_shares_a_process_and_its_end() {
    keep_log();
    let house = House::new(&[("one.js", FRAGILE), ("sub/two.js", FRAGILE)]);
    block_on(async {
        house
            .load(json!({ "name": "one", "group": "g" }))
            .await
            .unwrap();
        let two =
            json!({ "name": "two", "path": "sub/two.js", "group": "g", "limits": { "cpu": 0.5 } });
        house.load(two).await.unwrap();
        house
            .load(json!({ "name": "apart", "path": "one.js" }))
            .await
            .unwrap();
        let pid = async |name: &str| house.get(&format!("/{name}/pid")).await.1;
        let first = pid("one").await;
        assert_eq!(first, pid("two").await);
        let apart = pid("apart").await;
        assert_ne!(first, apart);
        // A loop in one is the end of both.
        let (looping, hanging) =
            futures_lite::future::zip(house.get("/two/loop"), house.get("/one/hang")).await;
        assert_eq!((looping.0, hanging.0), (504, 502));
        logged(&["ERROR one", "`two`, of its group, was in a loop"]);
        let first = pid("one").await;
        assert_eq!(pid("two").await, first);
        let hanging = house.get("/two/hang");
        let killing = async {
            Timer::after(Duration::from_millis(100)).await;
            house.get("/one/kill").await
        };
        let (hanging, killing) = futures_lite::future::zip(hanging, killing).await;
        assert_eq!((hanging.0, killing.0), (502, 502));
        let again = pid("one").await;
        assert_ne!(again, first);
        assert_eq!(pid("two").await, again);
        assert_eq!(pid("apart").await, apart);
    });
}

#[test]
pub(crate) fn a_vlugin_that_is_taken_out_finishes_and_its_process_ends() {
    let house = House::new(&[("a.js", FRAGILE)]);
    block_on(async {
        house.load(json!({ "name": "a" })).await.unwrap();
        let pid = house.get("/a/pid").await.1;
        let waiting = house.get("/a/wait");
        let removing = async {
            Timer::after(Duration::from_millis(100)).await;
            house.runtime.remove("a").unwrap();
            assert_eq!(house.get("/a").await.0, 404);
        };
        let (waited, ()) = futures_lite::future::zip(waiting, removing).await;
        assert_eq!(waited, (200, "waited".into()));
        until("its process has ended", async || !is_alive(&pid)).await;
    });
}

#[test]
fn a_group_has_at_most_64_vlugins() {
    let house = House::new(&[(
        "a.js",
        "export default { fetch() { return new Response('a') } }",
    )]);
    block_on(async {
        let limits = json!({ "memory": 1u64 << 32, "cpu": 60 });
        for slot in 0..64 {
            let it = json!({ "name": format!("v{slot}"), "path": "a.js", "group": "g", "limits": limits });
            house.load(it).await.unwrap();
        }
        let one_more = json!({ "name": "more", "path": "a.js", "group": "g" });
        let line = house.load(one_more.clone()).await.unwrap_err().to_string();
        assert!(line.ends_with("a group has at most 64 vlugins"), "{line}");
        // There is room again once one goes.
        house.runtime.remove("v7").unwrap();
        until("there is room", async || {
            house.load(one_more.clone()).await.is_ok()
        })
        .await;
        assert_eq!(house.get("/more").await, (200, "a".into()));
        assert_eq!(house.get("/v63").await, (200, "a".into()));
    });
}

const NESTS: &str = r#"
const nested = (code) => new Worker("data:text/javascript," + encodeURIComponent(code), { type: "module" });
export default {
  async fetch(request) {
    switch (new URL(request.url).pathname) {
      case "/works": {
        // It computes for longer than it may at once, with pauses.
        const it = nested(
          "onmessage = () => { const end = Date.now() + 200; while (Date.now() < end); postMessage('done') }",
        );
        for (let i = 0; i < 8; i++) {
          await new Promise((resolve) => { it.onmessage = resolve; it.postMessage(i) });
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
        it.terminate();
        return new Response("worked");
      }
      case "/loop":
        nested("while (true) {}");
        return new Promise(() => {});
      case "/derives": {
        // Deno does that on a thread that is no Worker's, and could be at it for an hour.
        const key = await crypto.subtle.importKey("raw", new Uint8Array(8), "PBKDF2", false, ["deriveBits"]);
        const how = { name: "PBKDF2", hash: "SHA-512", salt: new Uint8Array(8) };
        const bits = (iterations) => crypto.subtle.deriveBits({ ...how, iterations }, key, 512);
        await bits(1000);
        bits(2000000000);
        return new Response("derives");
      }
      case "/memory":
        nested("const all = []; setInterval(() => all.push(new Uint8Array(1 << 24).fill(1)), 1)");
        return new Promise(() => {});
      case "/pid":
        return new Response(String(Deno.pid));
    }
  },
};"#;

#[cfg(target_os = "linux")]
#[test]
fn a_worker_of_a_scripts_counts_as_the_script() {
    keep_log();
    let house = House::new(&[("nests.js", NESTS)]);
    block_on(async {
        let limits = json!({ "memory": 64 << 20, "cpu": 0.5 });
        house
            .load(json!({ "name": "nests", "limits": limits }))
            .await
            .unwrap();
        let before = house.get("/nests/pid").await.1;
        assert_eq!(house.get("/nests/works").await, (200, "worked".into()));
        assert_eq!(house.get("/nests/pid").await.1, before);
        assert_eq!(house.get("/nests/loop").await.0, 504);
        logged(&["ERROR nests", "without a pause"]);
        until("its process has ended", async || !is_alive(&before)).await;
        // The same for Deno's work for the script, which may take ten times as long.
        let limits = json!({ "cpu": 0.2 });
        let derives = json!({ "name": "derives", "path": "nests.js", "limits": limits });
        house.load(derives).await.unwrap();
        let before_it = house.get("/derives/pid").await.1;
        assert_eq!(house.get("/derives/derives").await, (200, "derives".into()));
        until("its process has ended", async || !is_alive(&before_it)).await;
        logged(&["ERROR derives", "without a pause"]);
        let before = house.get("/nests/pid").await.1;
        assert_eq!(house.get("/nests/memory").await.0, 502);
        logged(&["ERROR nests", "needed more memory"]);
        assert_ne!(house.get("/nests/pid").await.1, before);
    });
}
