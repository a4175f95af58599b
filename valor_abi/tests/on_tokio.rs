//! The feature `tokio`: one runtime for each mount, around everything that is the author's, until the mount's last
//! request has ended.

#![allow(missing_docs)] // It is written as authors write.

use futures_lite::Stream;
use std::{
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{self, Poll},
    thread,
    time::Duration,
};
use tokio::{runtime::Handle, time::sleep};
use valor::{testing::TestHost, *};

const MOMENT: Duration = Duration::from_millis(1);

/// How often the runtime was there when a value was dropped, and how often it was not.
static WITH: AtomicU32 = AtomicU32::new(0);
static WITHOUT: AtomicU32 = AtomicU32::new(0);

/// Needs the runtime when it is dropped, as a pool's connections do.
pub struct Pool;

impl Drop for Pool {
    fn drop(&mut self) {
        let count = match Handle::try_current() {
            Ok(_) => &WITH,
            Err(_) => &WITHOUT,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A body that needs the runtime at each piece.
struct Pieces(u32, Pool);

impl Stream for Pieces {
    type Item = std::io::Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let _ = Handle::current();
        self.0 += 1;
        Poll::Ready(Some(Ok(format!("piece {}\n", self.0))))
    }
}

#[vlugin]
pub async fn on_create(cx: &mut Context) -> Result<(), String> {
    sleep(MOMENT).await;
    if cx.config::<String>().is_some() {
        return Err("the config is wrong".into());
    }
    cx.set(Pool);
    Ok(())
}

pub async fn on_request(req: http::Request) -> http::Result<http::Response> {
    match req.url().path() {
        "/spawn" => {
            let spawned = tokio::spawn(async {
                // The host's sleep, on a thread of the runtime, and what is logged there.
                valor::sleep(MOMENT).await;
                log::info!("in a task");
                thread::current().name().unwrap_or_default().to_owned()
            });
            let spawned = spawned.await?;
            let blocked = tokio::task::spawn_blocking(|| {
                log::info!("blocking");
                thread::current().name().unwrap_or_default().to_owned()
            });
            Ok(format!("{spawned} {}", blocked.await?).into())
        }
        "/body" => {
            let mut response = http::Response::new(200);
            response.set_body(streaming(Pieces(0, Pool)));
            Ok(response)
        }
        "/task-panics" => {
            let panics = tokio::spawn(async { panic!("alone") });
            Ok(panics.await.is_err().to_string().into())
        }
        "/panic" => {
            sleep(MOMENT).await;
            panic!("it panicked")
        }
        _ => Ok(http::Response::new(204)),
    }
}

/// How many threads of this process have a name.
#[cfg(target_os = "linux")]
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|comm| comm.trim_end() == name).count()
}

/// Waits until so many threads have this name. A thread gives it to itself.
#[cfg(target_os = "linux")]
fn wait_for_threads(name: &str, count: usize) {
    let start = std::time::Instant::now();
    while threads(name) != count {
        let found = threads(name);
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {found}");
        thread::sleep(MOMENT);
    }
}

#[test]
fn tokio_is_there_wherever_the_authors_code_runs() {
    let vlugin = TestHost::new().name("a").create(VLUGIN);
    vlugin.get("/spawn").assert_body("tokio-a tokio-a");
    let mut body = vlugin.get("/body");
    for piece in ["piece 1\n", "piece 2\n"] {
        assert_eq!(body.chunk().unwrap().unwrap(), piece);
    }
    drop(body);
    vlugin
        .get("/panic")
        .assert_status(500)
        .assert_fault("it panicked");
}

/// A library may be mounted several times. What its tasks log has the name of their own mount.
#[test]
fn a_mounts_threads_are_its_own() {
    let first = TestHost::new().name("first").create(VLUGIN);
    let second = TestHost::new().name("second").create(VLUGIN);
    for (vlugin, name) in [(&second, "second"), (&first, "first")] {
        vlugin
            .get("/spawn")
            .assert_body(&format!("tokio-{name} tokio-{name}"));
        let log = vlugin.log();
        let lines: Vec<_> = log
            .iter()
            .map(|line| (&*line.vlugin, &*line.message))
            .collect();
        assert_eq!(lines, [(name, "in a task"), (name, "blocking")]);
    }
}

/// Nobody may wait for a task.
#[test]
fn a_panic_in_a_task_is_in_the_log() {
    let vlugin = TestHost::new().name("panics").create(VLUGIN);
    vlugin.get("/task-panics").assert_body("true");
    let [line] = vlugin.log().try_into().unwrap();
    assert_eq!(
        (&*line.target, line.level),
        ("valor::panic", log::Level::Error)
    );
    assert!(line.message.contains("alone"), "{line}");
    assert!(line.message.contains("on_tokio.rs:"), "{line}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_runtime_ends_with_the_last_request() {
    let vlugin = TestHost::new().name("ended").create(VLUGIN);
    wait_for_threads("tokio-ended", 2);
    let mut body = vlugin.get("/body");
    assert!(body.chunk().unwrap().is_some());
    // As when a new one takes its place: the response goes on.
    drop(vlugin);
    assert!(body.chunk().unwrap().is_some());
    assert_eq!(threads("tokio-ended"), 2);
    drop(body);
    wait_for_threads("tokio-ended", 0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_runtime_of_a_vlugin_that_cannot_be_created_ends() {
    let host = TestHost::new().name("refused").config("wrong");
    let fault = host.try_create(VLUGIN).err().unwrap();
    assert_eq!(fault.to_string(), "the config is wrong");
    wait_for_threads("tokio-refused", 0);
}

#[test]
fn what_is_dropped_may_need_the_runtime() {
    let vlugin = TestHost::new().name("dropped").create(VLUGIN);
    drop(vlugin.get("/body"));
    drop(vlugin);
    // At least those two: other tests drop some at the same time.
    assert!(WITH.load(Ordering::Relaxed) >= 2);
    assert_eq!(WITHOUT.load(Ordering::Relaxed), 0);
}
