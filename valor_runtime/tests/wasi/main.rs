//! Components as vlugins on the server: both versions of WASI, each limit, and what a component does wrong. The
//! conversations of `conformance` hold what they answer; here it is what the host does about them.
#![cfg(feature = "wasi")]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../server/harness.rs"]
mod harness;
mod trailers;
mod walls;

use futures_lite::future::{block_on, or, yield_now, zip};
use serde_json::{Value, json};
use std::{
    sync::{Mutex, Once},
    time::Duration,
};
use valor_runtime::{Body, Chunk, Definition, Request, Response, Runtime, Vlugin};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {} {}", record.level(), record.target(), record.args());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// Whether the log has a line with all of these.
fn logged(parts: &[&str]) -> bool {
    let lines = LINES.lock().unwrap();
    lines
        .iter()
        .any(|line| parts.iter().all(|part| line.contains(part)))
}

/// A runtime with one vlugin at `/it`, and the vlugin `other`, which says its path.
async fn runtime(component: &std::path::Path, more: Value) -> std::sync::Arc<Runtime> {
    static LOG: Once = Once::new();
    LOG.call_once(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    let mut definition = json!({ "type": "wasi", "name": "it", "path": component });
    let keys = more.as_object().unwrap().clone();
    definition.as_object_mut().unwrap().extend(keys);
    let definition: Definition = serde_json::from_value(definition).unwrap();
    let other = valor_runtime::from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        if request.head.target() == "/later" {
            smol::Timer::after(Duration::from_millis(30)).await;
        }
        response.body = request.head.target().to_owned().into();
        if request.head.target() == "/slow" {
            let begins = smol::Timer::after(Duration::from_millis(30));
            let part = async move {
                begins.await;
                Ok(Chunk::Data("slow".into()))
            };
            response.body = Body::stream(Some(4), futures_lite::stream::once_future(part));
            return Ok(response);
        }
        if request.head.target() == "/trailers" {
            let sum = ("x-sum".to_owned(), b"9".to_vec());
            return Ok(harness::chunks(None, vec![Ok(Chunk::Trailers(vec![sum]))]));
        }
        Ok(response)
    });
    let runtime = Runtime::builder().build().unwrap();
    runtime.add("other", other).unwrap();
    for outcome in runtime.load_all(&[definition]).await {
        outcome.unwrap();
    }
    runtime
}

/// The status and the body of an answer.
async fn get(runtime: &std::sync::Arc<Runtime>, path: &str) -> (u16, String) {
    let mut request = Request::new("GET", &format!("/it{path}")).unwrap();
    request.head.push("host", b"localhost").unwrap();
    answer(runtime, request).await
}

async fn answer(runtime: &std::sync::Arc<Runtime>, request: Request) -> (u16, String) {
    let response = runtime.clone().on_request(request).await.unwrap();
    let status = response.head.status();
    let body = response.body.bytes(1 << 24).await.unwrap_or_default();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Plays this with a component of each version.
fn with_both(more: Value, play: impl AsyncFn(&std::sync::Arc<Runtime>, bool)) {
    for (component, is_v3) in fixture::components().iter().zip([false, true]) {
        block_on(async {
            play(&runtime(component, more.clone()).await, is_v3).await;
        });
    }
}

#[test]
fn components_of_both_versions_answer() {
    let config = json!({ "config": { "greeting": "hi", "list": [1] } });
    with_both(config, async |it, _| {
        assert_eq!(
            get(it, "/x?y").await,
            (200, "Hello, Method::Get /x?y!".into())
        );
        assert_eq!(get(it, "/random").await, (200, "16".into()));
        assert_eq!(get(it, "/sleep").await, (200, "slept".into()));
        let environment = r#"[("VALOR_NAME", "it"), ("greeting", "hi"), ("list", "[1]")]"#;
        assert_eq!(get(it, "/env").await, (200, environment.into()));
        assert_eq!(get(it, "/count").await, (200, "0\n1\n2\n3\n4\n".into()));
        let mut request = Request::new("POST", "/it/echo").unwrap();
        request.body = vec![b'x'; 300_000].into();
        assert_eq!(answer(it, request).await, (200, "x".repeat(300_000)));
    });
}

/// wasmtime's WASI would start a runtime of tokio's for its first timer or request.
#[test]
#[cfg(target_os = "linux")]
fn no_runtime_of_tokio_is_started() {
    with_both(json!({}), async |it, _| {
        for path in ["/sleep", "/log", "/count", "/random"] {
            assert_eq!(get(it, path).await.0, 200, "{path}");
        }
        let called = get(it, "/fetch?http://other.vlugin.internal/a").await;
        assert_eq!(called, (200, "/a".into()));
    });
    no_tokio();
}

/// No thread of this process is one of tokio's.
fn no_tokio() {
    #[cfg(target_os = "linux")]
    {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        let tokio: Vec<_> = names.filter(|name| name.contains("tokio")).collect();
        assert!(tokio.is_empty(), "{tokio:?}");
    }
}

#[test]
fn an_instance_of_0_2_has_one_request_and_one_of_0_3_has_all() {
    with_both(json!({}), async |it, is_v3| {
        for number in 1..4 {
            let expected = if is_v3 { number } else { 1 };
            assert_eq!(get(it, "/served").await, (200, expected.to_string()));
        }
    });
}

#[test]
fn other_vlugins_are_hosts_and_servers_need_to_be_allowed() {
    with_both(
        json!({ "callees": ["other"], "allow": [] }),
        async |it, _| {
            let path = "/fetch?http://other.vlugin.internal/a/../b?c";
            assert_eq!(get(it, path).await, (200, "/b?c".into()));
            for refused in ["http://it.vlugin.internal/", "http://example.com/"] {
                let (status, said) = get(it, &format!("/fetch?{refused}")).await;
                assert!(
                    status == 502 && said.contains("HttpRequestDenied"),
                    "{refused}: {said}"
                );
                // The component knows a code alone.
                let server = refused.trim_start_matches("http://").trim_end_matches('/');
                let name = server.trim_end_matches(".vlugin.internal");
                assert!(logged(&["WARN vlugin::it", "has no response", name]));
            }
            let (_, said) = get(it, "/fetch?http://nobody.vlugin.internal/").await;
            assert!(said.contains("HttpRequestDenied"), "{said}");
        },
    );
}

#[test]
fn what_a_component_prints_is_logged_under_its_name() {
    with_both(json!({}), async |it, _| {
        assert_eq!(get(it, "/log").await.0, 200);
        assert!(logged(&["INFO vlugin::it", "to stdout"]));
        assert!(logged(&["WARN vlugin::it", "to stderr"]));
    });
}

#[test]
fn a_trap_is_a_502_and_the_next_request_is_answered() {
    with_both(json!({}), async |it, _| {
        for (path, why) in [("/panic", "on purpose"), ("/exit", "it ended itself")] {
            assert_eq!(get(it, path).await.0, 502, "{path}");
            assert!(
                logged(&["ERROR valor::wasi", "`it` trapped", why]),
                "{path}"
            );
            assert_eq!(get(it, "/x").await.0, 200);
        }
        assert_eq!(get(it, "/wrong").await.0, 500);
        assert!(logged(&["`it` failed: as asked"]));
    });
}

#[test]
fn memory_has_a_limit() {
    with_both(json!({ "limits": { "memory": 8 << 20 } }), async |it, _| {
        assert_eq!(get(it, "/grow?2").await.0, 200);
        assert_eq!(get(it, "/grow?16").await.0, 502);
        assert!(logged(&[
            "`it` trapped",
            "8388608 bytes of memory (`limits.memory`)"
        ]));
        assert_eq!(get(it, "/x").await.0, 200);
    });
}

#[test]
fn time_on_the_processor_has_a_limit_and_others_have_their_turn_meanwhile() {
    with_both(json!({ "limits": { "cpu": 0.2 } }), async |it, _| {
        let others = async {
            // It gives its thread back all the time.
            for _ in 0..20 {
                yield_now().await;
            }
        };
        let ((status, _), ()) = zip(get(it, "/spin"), others).await;
        assert_eq!(status, 504);
        assert!(logged(&[
            "`it` trapped",
            "0.2 s without a pause, its limit (`limits.cpu`)"
        ]));
        assert_eq!(get(it, "/x").await.0, 200);
    });
}

#[test]
fn a_request_has_a_time_limit() {
    with_both(json!({ "limits": { "timeout": 0.02 } }), async |it, _| {
        assert_eq!(get(it, "/sleep").await.0, 504);
        assert_eq!(get(it, "/x").await.0, 200);
    });
}

#[test]
fn timers_have_a_limit() {
    let limits = json!({ "limits": { "timers": 1, "instances": 1 } });
    with_both(limits, async |it, is_v3| {
        let ((first, _), (second, _)) = zip(get(it, "/sleep"), get(it, "/sleep")).await;
        // Instances of 0.2 come one after the other.
        let expected = if is_v3 { (502, 502) } else { (200, 200) };
        assert_eq!((first, second), expected);
        assert!(!is_v3 || logged(&["`it` trapped", "more than 1 timers (`limits.timers`)"]));
        assert_eq!(get(it, "/sleep").await.0, 200);
    });
}

/// A call that has ended counts no more.
#[test]
fn calls_have_a_limit() {
    with_both(json!({ "limits": { "calls": 1 } }), async |it, _| {
        let path = "/fetch?http://other.vlugin.internal/later";
        for _ in 0..2 {
            assert_eq!(get(it, path).await.0, 200);
        }
        let ((_, first), (_, second)) = zip(get(it, path), get(it, path)).await;
        // One of them comes first.
        let mut both = [&*first, &*second];
        both.sort_unstable();
        assert_eq!(both, ["/later", "ErrorCode::ConnectionLimitReached"]);
    });
}

#[test]
fn bodies_and_requests_at_once_have_limits() {
    let limits = json!({ "limits": { "body": 10, "concurrency": 1 } });
    with_both(limits, async |it, _| {
        let mut request = Request::new("POST", "/it/echo").unwrap();
        request.body = vec![b'x'; 11].into();
        assert_eq!(answer(it, request).await.0, 413);
        let ((first, _), (second, _)) = zip(get(it, "/sleep"), get(it, "/sleep")).await;
        assert_eq!((first, second), (200, 503));
    });
}

/// A client that leaves takes its request along: an instance of 0.2 ends at once.
#[test]
fn a_request_that_nobody_waits_for_ends() {
    let limits = json!({ "limits": { "instances": 1 } });
    with_both(limits, async |it, _| {
        let leaves = or(async { Some(get(it, "/spin").await) }, async {
            smol::Timer::after(Duration::from_millis(50)).await;
            None
        });
        assert_eq!(leaves.await, None);
        assert_eq!(get(it, "/x").await.0, 200);
    });
}

/// A folder for a component, with a copy of it in `app`.
struct Place(tempfile::TempDir);

impl Place {
    fn new(component: &std::path::Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("app/data/words.txt", "words"),
            ("app/more/other.txt", "other"),
            ("secret.txt", "secret"),
        ] {
            let file = dir.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        std::fs::create_dir(dir.path().join("app/own")).unwrap();
        std::fs::copy(component, dir.path().join("app/it.wasm")).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    async fn runtime(&self, more: Value) -> std::sync::Arc<Runtime> {
        runtime(&self.file("app/it.wasm"), more).await
    }

    /// Why a definition with this is refused.
    fn refusal(&self, more: Value) -> String {
        let mut definition =
            json!({ "type": "wasi", "name": "it", "path": self.file("app/it.wasm") });
        let keys = more.as_object().unwrap().clone();
        definition.as_object_mut().unwrap().extend(keys);
        let definition: Definition = serde_json::from_value(definition).unwrap();
        let runtime = Runtime::builder()
            .base_dir(self.file("app"))
            .build()
            .unwrap();
        let mut outcomes = block_on(runtime.load_all(&[definition]));
        outcomes.remove(0).unwrap_err().to_string()
    }
}

#[test]
fn a_component_reads_and_changes_the_folders_that_it_is_granted() {
    let grants = json!({ "files": ["data"], "writable": ["own"] });
    for (component, is_v3) in fixture::components().iter().zip([false, true]) {
        let place = Place::new(component);
        block_on(async {
            let it = &place.runtime(grants.clone()).await;
            let said = async |path: &str| get(it, path).await.1;
            assert_eq!(said("/read?data/words.txt").await, "words");
            assert_eq!(said("/read?/data/words.txt").await, "words");
            assert_eq!(said("/list?/data").await, "words.txt");
            for refused in [
                "/read?/more/other.txt",
                "/read?data/../more/other.txt",
                "/read?data/../../secret.txt",
                "/read?/etc/passwd",
                "/write?data/words.txt",
                "/write?data/new.txt",
                "/remove?data/words.txt",
                "/write?new.txt",
                "/link?data/x:words.txt",
            ] {
                let said = said(refused).await;
                assert!(
                    !said.contains("done") && !said.contains("other"),
                    "{refused}: {said}"
                );
                assert!(
                    !said.contains("secret") && !said.contains("root"),
                    "{refused}: {said}"
                );
            }
            assert_eq!(said("/write?own/new.txt").await, "done");
            assert_eq!(said("/read?own/new.txt").await, "written".repeat(30_000));
            assert_eq!(
                std::fs::read(place.file("app/own/new.txt")).unwrap().len(),
                210_000
            );
            if !is_v3 {
                let said = said("/scribble?words.txt").await;
                assert!(said.contains("not-permitted"), "{said}");
            }
            // A link leads nowhere outside.
            said("/link?own/out:../../secret.txt").await;
            let out = said("/read?own/out").await;
            assert!(!out.contains("secret"), "{out}");
            assert_eq!(said("/remove?own/new.txt").await, "done");
            if is_v3 {
                assert_eq!(said("/list3").await, "out");
            }
            assert_eq!(
                std::fs::read(place.file("app/data/words.txt")).unwrap(),
                b"words"
            );
            let open: usize = said("/open?data/words.txt").await.parse().unwrap();
            assert!((1..=64).contains(&open), "{open}");
            assert_eq!(said("/read?data/words.txt").await, "words");
        });
        no_tokio();
    }
}

#[test]
fn folders_by_the_interface_of_0_3() {
    let place = Place::new(&fixture::components()[1]);
    block_on(async {
        let it = &place.runtime(json!({ "files": ["data"] })).await;
        assert_eq!(get(it, "/list3").await.1, "words.txt");
        assert_eq!(get(it, "/read3?words.txt").await.1, "words");
        assert_eq!(
            get(it, "/read3?../more/other.txt").await.1,
            "ErrorCode::NotPermitted"
        );
        let open: usize = get(it, "/open3?words.txt").await.1.parse().unwrap();
        assert_eq!(open, 64);
        assert_eq!(get(it, "/read3?words.txt").await.1, "words");
    });
    no_tokio();
}

#[test]
fn folders_that_a_component_cannot_have_are_refused() {
    let place = Place::new(&fixture::components()[0]);
    #[cfg(unix)]
    std::os::unix::fs::symlink("..", place.file("app/up")).unwrap();
    for (more, why) in [
        (
            json!({ "files": ["nope"] }),
            "`files` names `nope`, which is not in its folder",
        ),
        (
            json!({ "writable": ["nope"] }),
            "`writable` names `nope`, which is not in its folder",
        ),
        (json!({ "files": ["it.wasm"] }), "which is not a folder"),
        (
            json!({ "writable": ["."] }),
            "where the component itself is",
        ),
        (json!({ "writable": ["own", "own"] }), "in the same place"),
        (
            json!({ "writable": ["own"], "files": ["."] }),
            "in the same place",
        ),
        #[cfg(unix)]
        (
            json!({ "files": ["up"] }),
            "a link that leads out of its folder",
        ),
    ] {
        let said = place.refusal(more.clone());
        assert!(said.contains(why), "{more}: {said}");
    }
    let _it = block_on(place.runtime(json!({ "files": ["."] })));
}

#[test]
fn a_definition_says_what_an_instance_answers() {
    with_both(json!({ "instance": "request" }), async |it, _| {
        for _ in 0..3 {
            assert_eq!(get(it, "/served").await, (200, "1".into()));
        }
    });
    with_both(json!({ "instance": "shared" }), async |it, _| {
        for number in 1..4 {
            assert_eq!(get(it, "/served").await, (200, number.to_string()));
        }
        // One of 0.2 answers them one after the other.
        let (first, second) = zip(get(it, "/sleep"), get(it, "/sleep")).await;
        assert_eq!((&*first.1, &*second.1), ("slept", "slept"));
        assert_eq!(get(it, "/panic").await.0, 502);
        assert_eq!(get(it, "/served").await, (200, "1".into()));
    });
    // What it has not heard of when it ends, another one answers.
    let two = block_on(runtime(
        &fixture::components()[0],
        json!({ "instance": "shared" }),
    ));
    assert_eq!(block_on(get(&two, "/served")), (200, "1".into()));
    let (first, second) = block_on(zip(get(&two, "/doomed"), get(&two, "/served")));
    assert_eq!((first.0, second), (502, (200, "1".into())));
}
