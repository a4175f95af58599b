//! The upgrade of a connection between a handler and the wire, without a server: the response's stream while the
//! handler's future runs inside it.

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future::block_on, stream};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
};
use valor::{http, upgrade};
use valor_abi_http::{self as convert};
use valor_abi_wire::{Body, Chunk, Fault, Request, Response};

/// A request that offers `raw`, whose client sends this.
fn offer(said: Vec<io::Result<Chunk>>) -> Request {
    let mut request = Request::new("GET", "/").unwrap();
    request
        .head
        .push("connection", b"keep-alive, Upgrade")
        .unwrap();
    request.head.push("upgrade", b"raw").unwrap();
    request.body = Body::stream(None, stream::iter(said).chain(stream::pending()));
    request
}

fn data(text: &'static str) -> io::Result<Chunk> {
    Ok(Chunk::Data(text.into()))
}

fn answer<Fut>(
    request: Request,
    handler: impl FnOnce(http::Request) -> Fut,
) -> Result<Response, Fault>
where
    Fut: Future<Output = http::Result<http::Response>>,
{
    block_on(convert::answer(request, handler))
}

fn poll(body: &mut Body) -> Poll<Option<io::Result<Chunk>>> {
    body.poll_chunk(&mut Context::from_waker(Waker::noop()))
}

/// Everything that a body returns without waiting.
fn ready(body: &mut Body) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let last = match poll(body) {
            Poll::Ready(Some(Ok(Chunk::Data(data)))) => {
                all.push(data.escape_ascii().to_string());
                continue;
            }
            Poll::Ready(Some(Ok(Chunk::Trailers(_)))) => {
                all.push("the end of sending".into());
                continue;
            }
            Poll::Ready(Some(Err(error))) => format!("error: {error}"),
            Poll::Ready(None) => "the end".into(),
            Poll::Pending => "more to come".into(),
        };
        all.push(last);
        return all;
    }
}

#[test]
fn what_a_request_offers() {
    assert!(offer(vec![]).offers_upgrade());
    let mut whole = offer(vec![]);
    whole.body = Body::empty();
    assert!(!whole.offers_upgrade());
    let mut framed = offer(vec![]);
    framed.head.push("transfer-encoding", b"chunked").unwrap();
    assert!(!framed.offers_upgrade());
    for header in ["connection", "upgrade"] {
        let mut part = offer(vec![]);
        part.head.remove(header);
        assert!(!part.offers_upgrade(), "without {header}");
    }
}

#[test]
fn the_handler_sees_a_request_without_a_body() {
    let res = answer(offer(vec![data("not for the handler")]), async |mut req| {
        assert_eq!(req.header("upgrade").unwrap().as_str(), "raw");
        assert_eq!(req.is_empty(), Some(true));
        assert_eq!(req.body_string().await?, "");
        Ok("no, thanks".into())
    });
    let response = res.unwrap();
    assert_eq!(response.head.status(), 200);
    assert_eq!(block_on(response.body.bytes(100)).unwrap(), "no, thanks");
}

#[test]
fn both_directions_and_their_ends() {
    let response = answer(offer(vec![data("a"), data("b")]), async |_| {
        Ok(upgrade("raw", |mut connection| async move {
            let mut buf = [0; 2];
            connection.read_exact(&mut buf).await?;
            connection.write_all(&buf).await?;
            connection.write_all(b"c").await?;
            connection.close().await?;
            // It still listens.
            connection.read_exact(&mut buf).await?;
            Ok(())
        }))
    });
    let mut response = response.unwrap();
    assert_eq!(response.head.status(), 101);
    assert_eq!(response.head.header_str("upgrade"), Some("raw"));
    assert_eq!(response.head.header("content-type"), None);
    assert_eq!(
        ready(&mut response.body),
        ["abc", "the end of sending", "more to come"]
    );

    let response = answer(offer(vec![]), async |_| {
        Ok(upgrade("raw", |mut connection| async move {
            connection.write_all(b"bye").await?;
            Ok(())
        }))
    });
    assert_eq!(ready(&mut response.unwrap().body), ["bye", "the end"]);

    let response = answer(offer(vec![]), async |_| {
        Ok(upgrade("raw", |_| async {
            Err(http::Error::from_str(500, "broken"))
        }))
    });
    assert_eq!(ready(&mut response.unwrap().body), ["error: broken"]);
}

#[test]
fn writing_waits_for_the_server() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let response = answer(offer(vec![]), async |_| {
        Ok(upgrade("raw", |mut connection| async move {
            loop {
                connection.write_all(&[b'x'; 1000]).await?;
                count.fetch_add(1000, Ordering::Relaxed);
            }
        }))
    });
    let mut body = response.unwrap().body;
    assert_eq!(
        written.load(Ordering::Relaxed),
        0,
        "nothing runs before it is asked for"
    );
    for round in 1..10 {
        let Poll::Ready(Some(Ok(Chunk::Data(data)))) = poll(&mut body) else {
            panic!("no data in round {round}");
        };
        assert_eq!(data.len(), 64 * 1024);
    }
    assert!(written.load(Ordering::Relaxed) <= 9 * 64 * 1024);
}

#[test]
fn nothing_runs_before_the_response_is_asked_for_and_nothing_after_it_is_dropped() {
    let alive = Arc::new(());
    let held = alive.clone();
    let response = answer(offer(vec![]), async |_| {
        Ok(upgrade("raw", |connection| async move {
            std::future::pending::<()>().await;
            drop((connection, held));
            Ok(())
        }))
    });
    let mut body = response.unwrap().body;
    assert!(poll(&mut body).is_pending());
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(body);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_thread_of_the_vlugins_own_may_have_the_connection() {
    let response = answer(offer(vec![data("over there")]), async |_| {
        let mut res = http::Response::new(http::StatusCode::SwitchingProtocols);
        res.insert_header("upgrade", "raw");
        let receiver = res.recv_upgrade().await;
        thread::spawn(|| {
            block_on(async {
                let mut connection = receiver.await.unwrap();
                let mut buf = [0; 10];
                connection.read_exact(&mut buf).await.unwrap();
                connection
                    .write_all(&buf.map(|b| b.to_ascii_uppercase()))
                    .await
                    .unwrap();
            });
        });
        Ok(res)
    });
    let mut body = response.unwrap().body;
    let mut all = Vec::new();
    while let Some(chunk) = block_on(body.next()) {
        match chunk.unwrap() {
            Chunk::Data(data) => all.extend_from_slice(&data),
            Chunk::Trailers(_) => {}
        }
    }
    assert_eq!(all, b"OVER THERE");
}

#[test]
fn a_101_that_cannot_be_is_a_fault() {
    let no_offer = Request::new("GET", "/").unwrap();
    let fault = answer(no_offer, async |_| Ok(upgrade("raw", |_| async { Ok(()) }))).unwrap_err();
    assert_eq!(fault.status, 500);
    assert!(fault.message.contains("offers no upgrade"), "{fault}");

    let bare = async |_| Ok(http::StatusCode::SwitchingProtocols.into());
    let fault = answer(offer(vec![]), bare).unwrap_err();
    assert!(fault.message.contains("valor::upgrade"), "{fault}");

    // The body of a 101 is the connection.
    let response = answer(offer(vec![]), async |_| {
        let mut res = upgrade("raw", |_| async { Ok(()) });
        res.set_body("text");
        Ok(res)
    });
    let ready = ready(&mut response.unwrap().body);
    assert!(ready[0].contains("has no body"), "{ready:?}");
}

#[test]
fn an_upgrade_that_is_not_sent_ends() {
    let response = answer(offer(vec![]), async |_| {
        let mut res = upgrade("raw", |_| async { panic!("there is no connection") });
        res.set_status(http::StatusCode::Ok);
        Ok(res)
    });
    assert!(block_on(response.unwrap().body.next()).is_none());
}
