//! Which connections are made, kept, and closed.

use crate::{Fetcher, Server, eventually, fetch, fetcher, get, post, text};
use futures_lite::{FutureExt, future::block_on};
use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};
use valor_runtime::{
    Body,
    host::{allow::Allow, fetch::FetchConfig},
};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let server = Server::always(HELLO);
    let fetcher = fetcher();
    for _ in 0..50 {
        assert_eq!(
            text(fetch(&fetcher, get(&server.url("/"))).unwrap()),
            "hello"
        );
        let request = post(&server.url("/"), "some");
        assert_eq!(text(fetch(&fetcher.clone(), request).unwrap()), "hello");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_connection_goes_from_thread_to_thread() {
    let server = Server::always(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let fetcher = fetcher();
    for _ in 0..20 {
        let (fetcher, request) = (fetcher.clone(), get(&server.url("/")));
        let thread = std::thread::spawn(move || text(fetch(&fetcher, request).unwrap()));
        assert_eq!(thread.join().unwrap(), "hello");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn requests_at_once_have_connections_of_their_own() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let here = waiting.clone();
    let server = Server::start(move |_, conn| {
        while conn.head().is_some() {
            here.fetch_add(1, Ordering::SeqCst);
            eventually("all three are here", || here.load(Ordering::SeqCst) >= 3);
            conn.send(HELLO);
        }
    });
    let fetcher = fetcher();
    let allow = Allow::all();
    let one =
        || async { text_of(fetcher.fetch(get(&server.url("/")), &allow).await.unwrap()).await };
    for _ in 0..2 {
        let ((a, b), c) = block_on(futures_lite::future::zip(
            futures_lite::future::zip(one(), one()),
            one(),
        ));
        assert_eq!([a, b, c], ["hello"; 3]);
    }
    assert_eq!(server.accepted(), 3);
}

#[test]
fn no_more_connections_are_kept_than_asked_for() {
    for keep_per_host in [0, 1] {
        let (waiting, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (here, gone) = (waiting.clone(), closed.clone());
        let server = Server::start(move |_, conn| {
            conn.head();
            here.fetch_add(1, Ordering::SeqCst);
            eventually("all three are here", || here.load(Ordering::SeqCst) == 3);
            conn.send(HELLO);
            gone.fetch_add(usize::from(conn.is_closed_by_peer()), Ordering::SeqCst);
        });
        let config = FetchConfig {
            keep_per_host,
            ..FetchConfig::default()
        };
        let fetcher = Fetcher::new(config).unwrap();
        let threads = [(); 3].map(|()| {
            let (fetcher, request) = (fetcher.clone(), get(&server.url("/")));
            std::thread::spawn(move || text(fetch(&fetcher, request).unwrap()))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let most = 3 - keep_per_host;
        eventually("the others are closed", || {
            closed.load(Ordering::SeqCst) >= most
        });
        drop(fetcher);
        eventually("all are closed", || closed.load(Ordering::SeqCst) == 3);
    }
}

async fn text_of(response: valor_runtime::Response) -> String {
    String::from_utf8(response.body.bytes(100).await.unwrap().to_vec()).unwrap()
}

#[test]
fn a_connection_that_the_server_ends_is_not_used_again() {
    for last in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n\r\nhello",
    ] {
        let server = Server::start(move |_, conn| {
            conn.head();
            conn.send(last);
        });
        let fetcher = fetcher();
        for _ in 0..3 {
            assert_eq!(
                text(fetch(&fetcher, get(&server.url("/"))).unwrap()),
                "hello"
            );
        }
        assert_eq!(server.accepted(), 3, "{last:?}");
    }
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_is_replaced() {
    let (closes, close) = mpsc::channel::<()>();
    let (close, closed) = (Mutex::new(close), Arc::new(AtomicUsize::new(0)));
    let count = closed.clone();
    let server = Server::start(move |_, conn| {
        conn.head();
        conn.send(HELLO);
        close.lock().unwrap().recv().unwrap();
        conn.stream().shutdown(std::net::Shutdown::Both).unwrap();
        count.fetch_add(1, Ordering::SeqCst);
    });
    let fetcher = fetcher();
    for round in 1..=5 {
        // Not idempotent, and a stream. A new connection can take it, because nothing of it was sent yet.
        let chunks = futures_lite::stream::once(Ok(valor_runtime::Chunk::Data("body".into())));
        let request = post(&server.url("/"), Body::stream(None, chunks));
        assert_eq!(text(fetch(&fetcher, request).unwrap()), "hello");
        closes.send(()).unwrap();
        eventually("the server has closed", || {
            closed.load(Ordering::SeqCst) == round
        });
    }
    assert_eq!(server.accepted(), 5);
}

#[test]
fn an_idempotent_request_is_sent_again_where_a_kept_connection_closes_on_it() {
    let server = || {
        Server::start(|number, conn| {
            conn.head();
            conn.send(HELLO);
            // The first connection takes a second request, and closes without an answer.
            while conn.head().is_some() && number > 1 {
                conn.send(HELLO);
            }
        })
    };
    let fetcher = fetcher();
    let (get_from, post_to) = (server(), server());
    for _ in 0..2 {
        assert_eq!(
            text(fetch(&fetcher, get(&get_from.url("/"))).unwrap()),
            "hello"
        );
    }
    assert_eq!(get_from.accepted(), 2);

    text(fetch(&fetcher, post(&post_to.url("/"), "x")).unwrap());
    let fault = fetch(&fetcher, post(&post_to.url("/"), "x")).unwrap_err();
    assert_eq!(fault.status, 502, "{fault}");
    assert_eq!(post_to.accepted(), 1);
}

#[test]
fn a_request_that_a_fresh_connection_closes_on_is_sent_once() {
    let server = Server::start(|_, conn| {
        conn.head();
    });
    let fault = fetch(&fetcher(), get(&server.url("/"))).unwrap_err();
    assert_eq!(fault.status, 502, "{fault}");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn connections_that_wait_for_too_long_are_closed() {
    let closed = Arc::new(AtomicBool::new(false));
    let flag = closed.clone();
    let server = Server::start(move |_, conn| {
        conn.head();
        conn.send(HELLO);
        flag.store(conn.is_closed_by_peer(), Ordering::SeqCst);
    });
    let fetcher = Fetcher::new(FetchConfig {
        keep_timeout: Duration::from_millis(50),
        ..FetchConfig::default()
    });
    let fetcher = fetcher.unwrap();
    text(fetch(&fetcher, get(&server.url("/"))).unwrap());
    eventually("the connection is closed", || closed.load(Ordering::SeqCst));
}

#[test]
fn a_request_that_is_dropped_closes_its_connection() {
    let (begun, closed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let (begins, closes) = (begun.clone(), closed.clone());
    let server = Server::start(move |_, conn| {
        conn.head();
        begins.store(true, Ordering::SeqCst);
        closes.store(conn.is_closed_by_peer(), Ordering::SeqCst);
    });
    let fetcher = fetcher();
    let allow = Allow::all();
    let fetching = async {
        let _ = fetcher.fetch(get(&server.url("/")), &allow).await;
        panic!("nobody answers");
    };
    let given_up = async {
        while !begun.load(Ordering::SeqCst) {
            smol::Timer::after(Duration::from_millis(2)).await;
        }
    };
    block_on(fetching.or(given_up));
    eventually("the server sees the end", || closed.load(Ordering::SeqCst));
}

#[test]
fn a_response_that_is_dropped_halfway_closes_its_connection() {
    let closed = Arc::new(AtomicBool::new(false));
    let flag = closed.clone();
    let server = Server::start(move |_, conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        flag.store(conn.is_closed_by_peer(), Ordering::SeqCst);
    });
    let fetcher = fetcher();
    let mut response = fetch(&fetcher, get(&server.url("/"))).unwrap();
    assert!(block_on(response.body.chunk()).unwrap().is_ok());
    assert!(!closed.load(Ordering::SeqCst));
    drop(response);
    eventually("the server sees the end", || closed.load(Ordering::SeqCst));
}

#[test]
fn a_server_that_is_not_there_is_named_with_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let fault = fetch(&fetcher(), get(&format!("http://{address}/"))).unwrap_err();
    assert_eq!(fault.status, 502, "{fault}");
    assert!(fault.message.contains(&address.to_string()), "{fault}");
    assert!(fault.message.to_lowercase().contains("refused"), "{fault}");
}

#[test]
fn a_name_that_does_not_resolve_is_said_so() {
    // Longer than a label may be, so no name server is asked.
    let host = format!("{}.invalid", "a".repeat(64));
    let fault = fetch(&fetcher(), get(&format!("http://{host}/"))).unwrap_err();
    assert_eq!(fault.status, 502, "{fault}");
    assert!(fault.message.contains(&format!("{host}:80")), "{fault}");
    assert!(fault.message.contains("resolve"), "{fault}");
}

#[test]
fn every_address_of_a_name_is_tried() {
    // `localhost` is often ::1 first, where nobody listens.
    let server = Server::always(HELLO);
    let url = format!("http://localhost:{}/", server.address.port());
    assert_eq!(text(fetch(&fetcher(), get(&url)).unwrap()), "hello");
}
