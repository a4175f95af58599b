//! `"instance": "request"`: each request finds the vlugin as its creation left it.

use super::{
    by_hand::{HELLO, definition},
    fixture, get, guest, request,
    socket::{Answer, Connection, serve},
};
use futures_lite::{AsyncReadExt, StreamExt, future, future::block_on};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};
use valor_runtime::{
    Definition, Request, Runtime, account::Account, definition::Instance, from_http, http,
    loader::WasmLoader,
};

/// A guest whose answer is all of its memory as it finds it, except for the 28 bytes that say so. Before that it
/// copies a global there, and after that it leaves the request in as many places as it can, in memory that it has
/// grown too.
const OPEN: &str = include_str!("open.wat");

/// How long OPEN's memory is to begin with.
const PAGES: usize = 3 * 65536;

/// A definition whose requests each get an instance.
fn anew(definition: Definition) -> Definition {
    Definition {
        instance: Some(Instance::Request),
        ..definition
    }
}

/// A runtime with this vlugin and one that counts its requests, under `/counter`.
fn runtime(definition: &Definition) -> Result<(Arc<Runtime>, Arc<AtomicU32>), String> {
    let counted = Arc::new(AtomicU32::new(0));
    let runtime = Runtime::builder().build().unwrap();
    let counter = {
        let counted = counted.clone();
        from_http(move |req: http::Request| {
            let counted = counted.clone();
            async move {
                if req.url().path() == "/slow" {
                    future::pending::<()>().await;
                }
                (counted.fetch_add(1, Ordering::Relaxed) + 1).to_string()
            }
        })
    };
    runtime.add("counter", counter).unwrap();
    match block_on(runtime.load(definition)) {
        Ok(()) => Ok((runtime, counted)),
        Err(error) => Err(error.to_string()),
    }
}

fn of(definition: &Definition) -> Arc<Runtime> {
    runtime(definition).unwrap().0
}

/// The memory that OPEN found with this request.
fn found(runtime: &Runtime, secret: &str) -> Vec<u8> {
    let mut res = block_on(runtime.handle(request(&format!("/by_hand/{secret}"))));
    assert_eq!(u16::from(res.status()), 200);
    block_on(res.body_bytes()).unwrap()
}

fn has(memory: &[u8], secret: &str) -> bool {
    let mut parts = memory.windows(secret.len());
    parts.any(|part| part == secret.as_bytes())
}

/// OPEN, whose instances begin with each request.
static OPENED: LazyLock<(tempfile::TempDir, Arc<Runtime>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let runtime = of(&anew(definition(&folder, OPEN)));
    (folder, runtime)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever a request leaves in memory or in a global is nowhere in the memory of a later one.
    #[test]
    fn no_request_finds_the_secret_of_an_earlier_one(
        secrets in prop::collection::vec("[a-z]{12,300}", 2..6),
    ) {
        let runtime = &OPENED.1;
        for (at, secret) in secrets.iter().enumerate() {
            let memory = found(runtime, secret);
            prop_assert_eq!(memory.len(), PAGES - 28);
            // The host has just put it there.
            prop_assert!(has(&memory, secret));
            for earlier in &secrets[..at] {
                prop_assert!(!has(&memory, &earlier[..12]), "`{}` of an earlier request", earlier);
            }
        }
    }
}

#[test]
fn memory_is_the_same_for_each_request_down_to_the_last_byte() {
    let runtime = &OPENED.1;
    let [first, second] = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"].map(|secret| found(runtime, secret));
    // Only the request differs, which is here.
    let (from, to) = (4096 - 28, 8192 - 28);
    assert!(first[from..to] != second[from..to]);
    assert!(first[..from] == second[..from] && first[to..] == second[to..]);
    // What the creation left is there.
    assert_eq!(first[196_600 - 28..196_604 - 28], 77_u32.to_le_bytes());
    assert!(has(&first, r#""name":"by_hand""#));
}

#[test]
fn a_shared_instance_keeps_them_which_this_test_would_notice() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = of(&definition(&folder, OPEN));
    assert!(!has(&found(&runtime, "a-first-secret"), "a-second-secret"));
    let memory = found(&runtime, "a-second-secret");
    assert!(has(&memory, "a-first-secret") && memory.len() > PAGES);
}

#[test]
fn each_request_finds_what_the_creation_set_and_no_other_request() {
    let runtime = of(&anew(guest(json!("good morning"))));
    block_on(async {
        for _ in 0..3 {
            assert_eq!(get(&runtime, "/guest").await, (200, "good morning".into()));
            assert_eq!(get(&runtime, "/guest/count").await.1, "1");
            assert_eq!(get(&runtime, "/guest/created").await.1, "1 1 Some(1)");
        }
        // Several at once.
        let sleeping = get(&runtime, "/guest/sleep?n=20");
        let (slept, counted) = future::zip(sleeping, get(&runtime, "/guest/count")).await;
        assert_eq!((&*slept.1, &*counted.1), ("slept", "1"));
    });
}

#[test]
fn creation_runs_once() {
    for config in ["ask", "ask"] {
        let (runtime, counted) = runtime(&anew(guest(json!(config)))).unwrap();
        block_on(async {
            for _ in 0..5 {
                assert_eq!(get(&runtime, "/guest/count").await.1, "1");
            }
            assert_eq!(get(&runtime, "/guest/panic").await.0, 500);
            assert_eq!(get(&runtime, "/guest/count").await.1, "1");
        });
        assert_eq!(counted.load(Ordering::Relaxed), 1);
    }
    // It may wait, and it may fail.
    assert_eq!(
        block_on(get(&of(&anew(guest(json!("wait")))), "/guest")).0,
        200
    );
    for (config, why) in [("fail", "no luck today"), ("panic", "no luck at all")] {
        let error = runtime(&anew(guest(json!(config)))).err().unwrap();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn what_the_creation_leaves_running_is_refused() {
    for (config, what) in [
        ("keep a timer", "it left a timer when it was created"),
        (
            "keep a request",
            "it left a request to a server or to another vlugin",
        ),
    ] {
        let error = runtime(&anew(guest(json!(config)))).err().expect(config);
        for part in [what, "`on_create`", r#"`"instance": "shared"`"#] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
        // In a shared instance it goes on.
        assert_eq!(block_on(get(&of(&guest(json!(config))), "/guest")).0, 200);
    }
}

#[test]
fn what_cannot_be_frozen_is_refused_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let text = OPEN.replacen(
        "(func (export \"valor_poll\"))",
        "(table 1 funcref)
         (func (export \"valor_poll\") (table.set (i32.const 0) (ref.null func)))",
        1,
    );
    let definition = definition(&folder, &text);
    let error = runtime(&anew(definition.clone())).err().unwrap();
    for part in ["by_hand.wasm", "`table.set`", r#"`"instance": "shared"`"#] {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    of(&definition);
}

#[test]
fn a_trap_harms_one_request() {
    let runtime = of(&anew(guest(Value::Null)));
    block_on(async {
        let sleeping = get(&runtime, "/guest/sleep?n=50");
        let trapping = async {
            for (path, status) in [("deep", 502), ("panic", 500), ("grow?n=100", 502)] {
                assert_eq!(
                    get(&runtime, &format!("/guest/{path}")).await.0,
                    status,
                    "{path}"
                );
            }
        };
        let (slept, ()) = future::zip(sleeping, trapping).await;
        assert_eq!(slept, (200, "slept".into()));
        assert_eq!(get(&runtime, "/guest/count").await.1, "1");
    });
}

#[test]
fn streams_calls_and_timers_work() {
    let (runtime, _) = runtime(&anew(guest(Value::Null))).unwrap();
    block_on(async {
        let (status, all) = get(&runtime, "/guest/stream?n=5000").await;
        assert_eq!((status, all.len()), (200, 5_000_000));
        let ticks = get(&runtime, "/guest/ticks?n=20").await;
        assert_eq!(ticks, (200, "tick\n".repeat(20)));
        assert_eq!(get(&runtime, "/guest/call?to=counter/").await.1, "1");
        // It calls itself: another instance answers.
        assert_eq!(get(&runtime, "/guest/call?to=guest/count").await.1, "1");
        let (one, other) = (
            get(&runtime, "/guest/random").await.1,
            get(&runtime, "/guest/random").await.1,
        );
        assert_ne!(one, other);

        let sent: Vec<u8> = (0..1 << 20).map(|at| (at * 7) as u8).collect();
        for path in ["echo", "length"] {
            let mut req = request(&format!("/guest/{path}"));
            req.set_method(http::Method::Post);
            let reader = futures_lite::io::Cursor::new(sent.clone());
            req.set_body(http::Body::from_reader(
                futures_lite::io::BufReader::new(reader),
                None,
            ));
            let mut res = runtime.handle(req).await;
            let body = res.body_bytes().await.unwrap();
            match path {
                "echo" => assert!(body == sent),
                _ => assert_eq!(body, b"1048576"),
            }
        }

        // Nobody takes the rest of a body.
        let mut res = runtime.handle(request("/guest/stream?n=5000")).await;
        let mut part = vec![0; 1000];
        res.take_body().read_exact(&mut part).await.unwrap();
        assert!(part.ends_with(b"  0\n"));
    });
}

#[test]
fn other_servers_can_be_reached() {
    let upstream = serve(from_http(|_: http::Request| async {
        "from another server"
    }));
    let mut definition = guest(Value::Null);
    definition.allow = Some(vec![upstream.addr.clone()]);
    let runtime = of(&anew(definition));
    for _ in 0..2 {
        let path = format!("/guest/fetch?to=http://{}/", upstream.addr);
        assert_eq!(
            block_on(get(&runtime, &path)),
            (200, "from another server".into())
        );
    }
}

#[test]
fn an_upgrade_lasts_as_long_as_its_instance() {
    let serving = serve(of(&anew(guest(Value::Null))));
    let mut switched: Vec<_> = (0..2)
        .map(|_| {
            let mut connection = Connection::to(&serving.addr);
            let headers = [("connection", "Upgrade"), ("upgrade", "echo")];
            let answer = connection.send("GET", "/guest/switch", &headers, b"");
            assert_eq!(answer.unwrap().status, 101);
            connection.into_stream()
        })
        .collect();
    for (number, stream) in (0..).zip(&mut switched) {
        let sent = vec![number; 10_000];
        stream.write_all(&sent).unwrap();
        let mut came = vec![9; sent.len()];
        stream.read_exact(&mut came).unwrap();
        assert!(came == sent);
    }
    let answer: Answer = serving.get("/guest/count");
    assert_eq!(answer.body, b"1");
    drop(switched);
}

#[test]
fn nothing_stays_of_an_instance_that_has_answered() {
    // More than a process has at once.
    let folder = tempfile::tempdir().unwrap();
    let runtime = of(&anew(definition(&folder, HELLO)));
    for _ in 0..4200 {
        assert_eq!(block_on(get(&runtime, "/by_hand")), (200, "hi".into()));
    }

    let definition = anew(guest(Value::Null));
    let host = fixture::TestHost::new("guest");
    let account = Account::new(&definition.limits);
    let loader = WasmLoader::new(folder.path());
    let loaded = block_on(loader.load(&definition, false, host.clone(), &account)).unwrap();
    let ask = || Request::new("GET", "/stream?n=5000").unwrap();
    let answers = [(); 2].map(|()| block_on(loaded.vlugin.clone().on_request(ask())).unwrap());
    // The vlugin is taken away, and they go on.
    drop(loaded);
    for response in answers {
        assert!(Arc::strong_count(&host) > 1);
        let valor_runtime::Body::Stream { mut chunks, .. } = response.body else {
            panic!("a body that was not made as it is taken");
        };
        assert!(block_on(chunks.next()).unwrap().is_ok());
    }
    assert_eq!(Arc::strong_count(&host), 1);
    assert!(account.is_empty());
}

#[test]
fn a_vlugin_is_replaced_and_taken_away_while_a_request_runs() {
    let runtime = of(&anew(guest(Value::Null)));
    block_on(async {
        let sleeping = get(&runtime, "/guest/sleep?n=50");
        let replacing = async {
            runtime.replace(&anew(guest(json!("new")))).await.unwrap();
            assert_eq!(get(&runtime, "/guest").await.1, "new");
        };
        let (slept, ()) = future::zip(sleeping, replacing).await;
        assert_eq!(slept, (200, "slept".into()));
        let sleeping = get(&runtime, "/guest/sleep?n=50");
        let removing = async {
            runtime.remove("guest").unwrap();
            assert_eq!(get(&runtime, "/guest").await.0, 404);
        };
        let (slept, ()) = future::zip(sleeping, removing).await;
        assert_eq!(slept, (200, "slept".into()));
    });
}
