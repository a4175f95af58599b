//! The test kit itself: its clock, its host, and that its assertions can fail.

use futures_lite::future;
use std::{panic::catch_unwind, time::Duration};
use valor::{testing::TestHost, *};

/// Asks its host for what the path says.
#[vlugin]
pub async fn on_request(cx: &Context, req: http::Request) -> http::Result<String> {
    let seconds = |number| sleep(Duration::from_secs(number));
    Ok(match req.url().path() {
        "/late" => {
            let patience = async {
                seconds(5).await;
                "gave up"
            };
            let answer = async {
                seconds(9).await;
                "answered"
            };
            future::race(answer, patience).await.into()
        }
        "/both" => {
            future::zip(seconds(2), seconds(3)).await;
            format!("{:?}", now().duration_since(std::time::UNIX_EPOCH)?)
        }
        "/thread" => {
            let (done, wait) = async_channel::bounded(1);
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                done.send_blocking("from a thread")
            });
            wait.recv().await?.into()
        }
        "/random" => {
            let mut bytes = [0; 11];
            random(&mut bytes);
            format!("{bytes:?}")
        }
        "/log" => {
            log::trace!(target: "here", "a {}", "trace");
            log::error!("an error");
            cx.name().into()
        }
        "/ask" => {
            let url = "http://x/log";
            let mut answer = cx.call("other", http::Request::get(url)).await?;
            answer.body_string().await?
        }
        "/fetch" => cx
            .fetch(http::Request::get("http://far.example/"))
            .await?
            .status()
            .to_string(),
        path => path.into(),
    })
}

#[test]
fn the_shortest_sleep_ends_first() {
    let vlugin = testing::create(VLUGIN, ());
    let start = vlugin.now();
    vlugin.get("/late").assert_body("gave up");
    assert_eq!(vlugin.now(), start + Duration::from_secs(5));

    // The one that was left waiting does not hold the clock.
    vlugin.get("/both").assert_status(200);
    assert_eq!(vlugin.now(), start + Duration::from_secs(8));
}

#[test]
fn the_clock_starts_where_the_test_says() {
    TestHost::new()
        .now(std::time::UNIX_EPOCH)
        .create(VLUGIN)
        .get("/both")
        .assert_body("3s");
}

#[test]
fn a_wake_from_another_thread_is_waited_for() {
    testing::create(VLUGIN, ())
        .get("/thread")
        .assert_body("from a thread");
}

#[test]
fn random_numbers_are_the_same_each_time() {
    let (one, two) = (testing::create(VLUGIN, ()), testing::create(VLUGIN, ()));
    let first = one.get("/random").text();
    assert_eq!(first, two.get("/random").text());
    assert_ne!(first, one.get("/random").text());
}

#[test]
fn other_vlugins_have_names_and_the_same_log() {
    let vlugin = TestHost::new()
        .name("asks")
        .vlugin("other", VLUGIN, ())
        .create(VLUGIN);
    vlugin.get("/ask").assert_body("other");
    let log: Vec<_> = vlugin.log().iter().map(ToString::to_string).collect();
    assert_eq!(log, ["TRACE other: a trace", "ERROR other: an error"]);
    assert_eq!(vlugin.log()[0].target, "here");
    vlugin.get("/log").assert_body("asks");
}

#[test]
fn what_nobody_answers_is_refused() {
    let vlugin = testing::create(VLUGIN, ());
    // It passes on refusals, which name things that a client should not see.
    for path in ["/ask", "/fetch"] {
        let response = vlugin.get(path).assert_status(500);
        assert_eq!(response.fault().expect("a fault").status, 500);
    }
}

#[test]
fn a_vlugin_beside_it_that_cannot_be_created_is_told() {
    let broken = Entry::of::<Broken>("broken", "0.1.0");
    let fault = TestHost::new()
        .vlugin("broken", broken, ())
        .try_create(VLUGIN);
    assert_eq!(fault.err().unwrap().message, "not today");
}

struct Broken;

impl Vlugin for Broken {
    type Config = ();

    async fn on_create(_: (), _: &mut Context) -> http::Result<Self> {
        panic!("not today")
    }

    async fn on_request(&self, _: &Context, _: http::Request) -> http::Result<http::Response> {
        Ok("never".into())
    }
}

#[test]
fn expectations_fail_with_what_was_asked_and_what_came() {
    let message = |expect: fn(testing::TestResponse)| {
        let asked = || expect(testing::create(VLUGIN, ()).get("/path?query"));
        *catch_unwind(asked)
            .unwrap_err()
            .downcast::<String>()
            .unwrap()
    };
    let failed = message(|response| drop(response.assert_status(404)));
    assert!(failed.contains("the status of GET /path?query"), "{failed}");
    assert!(failed.contains("200") && failed.contains("404"), "{failed}");

    for expect in [
        (|response| drop(response.assert_body("another"))) as fn(testing::TestResponse),
        |response| drop(response.assert_header("x-none", "a")),
        |response| drop(response.assert_json(1.into())),
        |response| drop(response.assert_fault("none")),
    ] {
        assert!(message(expect).contains("GET /path?query"));
    }
}
