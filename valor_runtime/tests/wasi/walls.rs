//! What a component cannot do to its host, and to the requests of others.

use super::{answer, get, logged, runtime, with_both};
use crate::fixture;
use futures_lite::future::{block_on, zip};
use serde_json::json;
use valor_runtime::Request;

/// A handle counts as much as its headers, so nothing else of it is long.
#[test]
fn what_a_handle_holds_is_short() {
    with_both(json!({}), async |it, _| {
        let said = [1024, 1025].map(|bytes| format!("/long?{bytes}"));
        assert_eq!(get(it, &said[0]).await, (200, "Ok(()) Ok(())".into()));
        assert_eq!(get(it, &said[1]).await, (200, "Err(()) Err(())".into()));
    });
}

/// Not even on this machine, and nothing learns which names there are.
#[test]
fn no_component_has_sockets() {
    let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = here.local_addr().unwrap();
    with_both(json!({ "allow": ["*"] }), async |it, is_v3| {
        for path in [
            &*format!("/connect?{here}"),
            "/listen?127.0.0.1:0",
            "/bind?127.0.0.1:0",
            "/resolve?localhost:80",
        ] {
            let (status, said) = get(it, path).await;
            assert_eq!(status, 200, "{path}: {said}");
            let refusals = ["PermissionDenied", "Uncategorized"];
            assert!(refusals.contains(&&*said), "{path}: {said}");
        }
        if is_v3 {
            let denied = "Err(ErrorCode::AccessDenied)";
            let said = get(it, "/sockets3").await.1;
            assert_eq!(said, [denied; 3].join(" "));
        }
    });
}

/// A shared instance of 0.2 answers one request after the other. Those that it has not heard of get another one.
#[test]
fn a_trap_costs_no_request_that_waits() {
    block_on(async {
        let it = runtime(&fixture::components()[0], json!({ "instance": "shared" })).await;
        // They come while it answers another one.
        let doomed = zip(get(&it, "/sleep"), get(&it, "/doomed"));
        let served = zip(get(&it, "/served"), get(&it, "/served"));
        let (doomed, served) = zip(doomed, served).await;
        assert_eq!((doomed.0.0, doomed.1.0), (200, 502));
        assert_eq!((served.0.0, served.1.0), (200, 200));
    });
}

/// Opening a pipe waits until somebody opens its other end.
#[test]
#[cfg(unix)]
fn only_files_and_folders_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let granted = folder.path().join("data");
    std::fs::create_dir(&granted).unwrap();
    std::fs::write(granted.join("file"), "text").unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, granted.join("pipe"), mode).unwrap();
    std::os::unix::fs::symlink("pipe", granted.join("link")).unwrap();
    for (component, read) in fixture::components()
        .iter()
        .flat_map(|it| [(it, "/read"), (it, "/read3")])
        .filter(|(it, read)| *read == "/read" || it.ends_with("component_v3.wasm"))
    {
        let here = folder.path().join(component.file_name().unwrap());
        std::fs::copy(component, &here).unwrap();
        block_on(async {
            let limits = json!({ "files": ["data"], "limits": { "timeout": 5 } });
            let it = runtime(&here, limits).await;
            let of = |name: &str| match read {
                "/read" => format!("{read}?/data/{name}"),
                _ => format!("{read}?{name}"),
            };
            assert_eq!(get(&it, &of("file")).await, (200, "text".into()));
            for name in ["pipe", "link"] {
                let (status, said) = get(&it, &of(name)).await;
                assert_eq!(status, 200, "{name}: {said}");
                // The interface of 0.3 is called so that it follows no link.
                let refusals = ["PermissionDenied", "ErrorCode::Access", "ErrorCode::Loop"];
                assert!(refusals.contains(&&*said), "{said}");
            }
        });
    }
}

#[test]
fn a_body_without_an_end_is_explained() {
    block_on(async {
        let it = runtime(&fixture::components()[0], json!({})).await;
        let request = Request::new("GET", "/it/unfinished").unwrap();
        assert_eq!(answer(&it, request).await, (200, String::new()));
        assert!(logged(&[
            "ERROR",
            "`it` broke off",
            "dropped its body without `finish`"
        ]));
    });
}

/// A shared instance that always has a request is not one that runs without a pause.
#[test]
fn the_time_of_one_request_is_not_that_of_the_next() {
    let limits = json!({ "instance": "shared", "limits": { "cpu": 0.1 } });
    with_both(limits, async |it, _| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let it = it.clone();
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        let (status, said) = block_on(get(&it, "/served"));
                        assert_eq!(status, 200, "{said}");
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    });
}
