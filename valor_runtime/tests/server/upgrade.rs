//! Connections that go on in another protocol: raw bytes on one side, vlugins on the other.

use crate::harness::{Client, PATIENCE, Running, eventually, mirror, text};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, stream};
use std::{
    io::{ErrorKind, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use valor::{http::upgrade::Connection, upgrade};
use valor_runtime::{
    Body, Chunk, Limits, Place, Request, Response, Runtime, Vlugin, from_fn, from_http, http,
    server::ServerConfig,
};

const OFFER: &str =
    "GET /raw HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: raw\r\n\r\n";

/// A vlugin that goes on in the protocol `raw`.
fn raw<F, Fut>(serve: F) -> Arc<dyn Vlugin>
where
    F: Fn(Connection) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = http::Result<()>> + Send + 'static,
{
    from_http(move |_: http::Request| {
        let serve = serve.clone();
        async move { upgrade("raw", serve) }
    })
}

/// Sends back what it reads.
async fn echo(mut connection: Connection) -> http::Result<()> {
    let mut buf = [0; 1000];
    loop {
        match connection.read(&mut buf).await? {
            0 => return Ok(()),
            amount => connection.write_all(&buf[..amount]).await?,
        }
    }
}

fn switched(server: &Running) -> Client {
    let mut client = server.connect();
    let answer = client.send(OFFER).answer();
    assert_eq!(
        (answer.status, answer.header("upgrade")),
        (101, Some("raw"))
    );
    client
}

/// Becomes true when this is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn what_follows_the_switch_passes_both_ways() {
    let server = Running::start(raw(echo));
    for step in [OFFER.len() + 5, 1, 7] {
        let mut client = server.connect();
        // The bytes that already follow the head are not lost.
        for part in [OFFER, "early"].concat().as_bytes().chunks(step) {
            client.send(part);
        }
        let answer = client.answer();
        assert_eq!(
            (answer.status, &*answer.reason),
            (101, "Switching Protocols")
        );
        assert_eq!(answer.header("connection"), Some("upgrade"));
        assert_eq!(answer.header("upgrade"), Some("raw"));
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.header("transfer-encoding"), None);
        assert_eq!(client.exactly(5).unwrap(), b"early");
        assert_eq!(client.send(" GET / ").exactly(7).unwrap(), b" GET / ");
        client.finish_sending();
        assert!(client.is_closed());
    }
    assert_eq!(server.stop().cut_off, 0);
}

#[test]
fn an_offer_that_nobody_takes_up_is_ignored() {
    let server = Running::start(mirror());
    let mut client = server.connect();
    // As `curl --http2` asks. The vlugin reads a body to its end, and there is none.
    client.send(
        "GET /1 HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
         http2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    for target in ["/1", "/2"] {
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("upgrade")), (200, None));
        assert_eq!(answer.text(), format!("GET {target} host=a body="));
    }
}

#[test]
fn only_what_was_offered_can_be_switched_to() {
    let server = Running::start(raw(echo));
    let two = "host: a\r\nconnection: upgrade\r\nupgrade: irc/6.9, RAW\r\n";
    let request = |rest: &str| format!("GET / {rest}\r\n");
    let mut client = server.connect();
    assert_eq!(
        client
            .send(request(&format!("HTTP/1.1\r\n{two}")))
            .answer()
            .status,
        101
    );
    for refused in [
        "HTTP/1.1\r\nhost: a\r\n",
        "HTTP/1.1\r\nhost: a\r\nupgrade: raw\r\n",
        "HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n",
        "HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: raw2\r\n",
        "HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade:\r\n",
        "HTTP/1.0\r\nconnection: upgrade\r\nupgrade: raw\r\n",
    ] {
        let answer = server.connect().send(request(refused)).answer();
        assert_eq!(answer.status, 500, "{refused}");
        assert_eq!(answer.header("upgrade"), None);
    }
    // A request with a body offers no upgrade.
    let with_body = "POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: raw\r\ncontent-length: 1\r\n\r\nx";
    assert_eq!(server.connect().send(with_body).answer().status, 500);
}

#[test]
fn a_bare_101_is_500() {
    for upgrade in [None, Some("other")] {
        let server = Running::start(from_fn(move |_| async move {
            let mut response = Response::new(101);
            if let Some(upgrade) = upgrade {
                response.head.push("upgrade", upgrade.as_bytes()).unwrap();
            }
            Ok(response)
        }));
        let mut client = server.connect();
        assert_eq!(client.send(OFFER).answer().status, 500);
        // The connection is as good as before.
        assert_eq!(client.send(OFFER).answer().status, 500);
    }
}

#[test]
fn what_upgrade_is_required_is_told() {
    let server = Running::start(from_fn(|_| async {
        let mut response = Response::new(426);
        response.head.push("upgrade", b"raw").unwrap();
        Ok(response)
    }));
    let mut client = server.connect();
    for (request, connection) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "upgrade"),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "upgrade, close",
        ),
    ] {
        let answer = client.send(request).answer();
        assert_eq!(
            (answer.status, answer.header("upgrade")),
            (426, Some("raw"))
        );
        assert_eq!(answer.header("connection"), Some(connection));
    }
}

#[test]
fn each_direction_has_an_end_of_its_own() {
    // It answers once the client has sent everything.
    let server = Running::start(raw(|mut connection| async move {
        let mut all = Vec::new();
        connection.read_to_end(&mut all).await?;
        connection.write_all(&all).await?;
        Ok(())
    }));
    let mut client = switched(&server);
    client.send("all of it").finish_sending();
    assert_eq!(client.rest().unwrap(), b"all of it");

    // It sends everything, and goes on listening.
    let (heard, hears) = std::sync::mpsc::channel();
    let server = Running::start(raw(move |mut connection| {
        let heard = heard.clone();
        async move {
            connection.write_all(b"that is all").await?;
            connection.close().await?;
            assert!(connection.write_all(b"more").await.is_err());
            let mut all = String::new();
            connection.read_to_string(&mut all).await?;
            heard.send(all).unwrap();
            Ok(())
        }
    }));
    let mut client = switched(&server);
    assert_eq!(client.rest().unwrap(), b"that is all");
    client.send("understood").finish_sending();
    assert_eq!(hears.recv_timeout(PATIENCE).unwrap(), "understood");
}

#[test]
fn the_end_of_the_vlugin_is_the_end_of_the_connection() {
    let server = Running::start(raw(|mut connection| async move {
        connection.read_exact(&mut [0]).await?;
        connection.write_all(b"bye").await?;
        Ok(())
    }));
    let mut client = switched(&server);
    // Unread bytes must not turn the end into a reset.
    let mut sender = client.stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        let sent = sender.write_all(&[b'x'; 1 << 20]);
        sent.and_then(|()| sender.shutdown(std::net::Shutdown::Write))
    });
    assert_eq!(client.rest().unwrap(), b"bye");
    sending.join().unwrap().unwrap();

    // If the vlugin fails or panics, that is no proper end. The reset may overtake the response.
    for panics in [false, true] {
        let runtime = Runtime::builder().build().unwrap();
        let fails = raw(move |_| async move {
            assert!(!panics, "on purpose");
            Err(http::Error::from_str(500, "on purpose"))
        });
        runtime.add(Place::new("raw"), fails).unwrap();
        let server = Running::start(runtime);
        let mut client = server.connect();
        let seen = client.send(OFFER).try_answer(false);
        let error = seen.and_then(|_| client.rest()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_client_that_goes_away_takes_the_vlugin_with_it() {
    for reads in [true, false] {
        let gone = Arc::new(AtomicBool::new(false));
        let flag = gone.clone();
        let server = Running::start(raw(move |mut connection| {
            let dropped = Dropped(flag.clone());
            async move {
                if reads {
                    let mut buf = [0; 10];
                    while connection.read(&mut buf).await? > 0 {}
                } else {
                    std::future::pending::<()>().await;
                }
                drop((connection, dropped));
                Ok(())
            }
        }));
        let client = switched(&server);
        // A reset, as from a program that dies with unread bytes.
        let socket = socket2::SockRef::from(&client.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        eventually("the end of the vlugin", || gone.load(Ordering::SeqCst));
    }
}

#[test]
fn neither_side_is_read_faster_than_the_other_takes_it() {
    const ALL: usize = 64 * 1024 * 1024;
    /// How much the system's buffers and ours may hold.
    const HELD: usize = 16 * 1024 * 1024;
    let written = Arc::new(AtomicUsize::new(0));
    let go = Arc::new(AtomicBool::new(false));
    let shared = (written.clone(), go.clone());
    let server = Running::start(raw(move |mut connection| {
        let (count, go) = shared.clone();
        async move {
            let piece = [b'x'; 10_000];
            let mut left = ALL;
            while left > 0 {
                let amount = left.min(piece.len());
                connection.write_all(&piece[..amount]).await?;
                left -= amount;
                count.fetch_add(amount, Ordering::SeqCst);
            }
            while !go.load(Ordering::SeqCst) {
                smol::Timer::after(Duration::from_millis(5)).await;
            }
            let mut buf = vec![0; 100_000];
            while connection.read(&mut buf).await? > 0 {}
            Ok(())
        }
    }));
    let mut client = switched(&server);
    let mut before = 0;
    eventually("a halt", || {
        let now = written.load(Ordering::SeqCst);
        let halted = now > 0 && now == std::mem::replace(&mut before, now);
        thread::sleep(Duration::from_millis(200));
        halted
    });
    assert!(before < HELD, "{before} bytes were taken of a vlugin");
    assert_eq!(client.exactly(ALL).unwrap().len(), ALL);

    // The vlugin does not read yet.
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut sent = 0;
    while sent < ALL {
        match client.stream.write(&[b'y'; 100_000]) {
            Ok(amount) => sent += amount,
            Err(_) => break,
        }
    }
    assert!(sent < HELD, "{sent} bytes were taken of a client");
    go.store(true, Ordering::SeqCst);
    client.finish_sending();
    assert!(client.is_closed());
}

#[test]
fn a_peer_that_takes_nothing_or_says_nothing_is_cut_off() {
    let short = Duration::from_millis(300);
    let config = |upgraded_timeout, write_timeout| ServerConfig {
        upgraded_timeout,
        write_timeout,
        ..ServerConfig::default()
    };
    let server = Running::with(raw(echo), config(short, PATIENCE));
    let mut silent = switched(&server);
    let mut busy = switched(&server);
    for _ in 0..8 {
        thread::sleep(short / 4);
        assert_eq!(busy.send("x").exactly(1).unwrap(), b"x");
    }
    assert!(silent.is_closed());

    let gone = Arc::new(AtomicBool::new(false));
    let flag = gone.clone();
    let endless = raw(move |mut connection| {
        let dropped = Dropped(flag.clone());
        async move {
            while connection.write_all(&[b'x'; 10_000]).await.is_ok() {}
            drop(dropped);
            Ok(())
        }
    });
    let server = Running::with(endless, config(PATIENCE * 9, short));
    let client = switched(&server);
    eventually("the end of the vlugin", || gone.load(Ordering::SeqCst));
    drop(client);
}

#[test]
fn a_server_that_leaves_lets_vlugins_say_goodbye() {
    let mut server = Running::start(raw(|mut connection| async move {
        let mut all = Vec::new();
        connection.read_to_end(&mut all).await?;
        connection.write_all(b"goodbye").await?;
        Ok(())
    }));
    let mut client = switched(&server);
    server.leave();
    assert_eq!(client.rest().unwrap(), b"goodbye");
    drop(client);
    // Long before the limit of draining, otherwise this would be cut off.
    assert_eq!(server.stop().cut_off, 0);

    let deaf = raw(|connection| async move {
        std::future::pending::<()>().await;
        drop(connection);
        Ok(())
    });
    let config = ServerConfig {
        drain: Duration::from_millis(300),
        ..ServerConfig::default()
    };
    let server = Running::with(deaf, config);
    let mut client = switched(&server);
    assert_eq!(server.stop().cut_off, 1);
    assert!(client.is_closed());
}

#[test]
fn the_limits_of_requests_do_not_hold_behind_the_switch() {
    let runtime = Runtime::builder()
        .limits(Limits {
            timeout: Some(0.2),
            body: Some(10),
            concurrency: Some(1),
            ..Limits::default()
        })
        .build()
        .unwrap();
    runtime.add(Place::new("raw"), raw(echo)).unwrap();
    let server = Running::start(runtime.clone());
    let metrics = || {
        let answer = server
            .connect()
            .send("GET /_metrics HTTP/1.1\r\nhost: a\r\n\r\n")
            .answer();
        answer.text()
    };
    let mut client = switched(&server);
    assert!(metrics().contains("valor_requests_in_flight{vlugin=\"raw\"} 1"));
    // It counts as one of the requests that the vlugin may run at once.
    assert_eq!(server.connect().send(OFFER).answer().status, 503);
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(100));
        assert_eq!(client.send([b'x'; 100]).exactly(100).unwrap(), [b'x'; 100]);
    }
    assert!(!metrics().contains("status=\"101\""));
    client.finish_sending();
    assert!(client.is_closed());
    eventually("the end in the metrics", || {
        let text = metrics();
        text.contains("valor_requests_total{status=\"101\",vlugin=\"raw\"} 1")
            && text.contains("valor_requests_in_flight{vlugin=\"raw\"} 0")
    });
}

#[test]
fn the_wire_carries_upgrades_by_itself() {
    let server = Running::start(from_fn(|mut request: Request| async move {
        if !request.offers_upgrade() {
            return Ok(text("no offer"));
        }
        let mut response = Response::new(101);
        response.head.push("upgrade", b"raw").unwrap();
        let upper = futures_lite::stream::poll_fn(move |cx| request.body.poll_chunk(cx));
        response.body = Body::stream(
            None,
            upper.map(|chunk| {
                chunk.map(|chunk| match chunk {
                    Chunk::Data(data) => Chunk::Data(data.to_ascii_uppercase().into()),
                    other => other,
                })
            }),
        );
        Ok(response)
    }));
    let mut client = switched(&server);
    assert_eq!(client.send("quiet").exactly(5).unwrap(), b"QUIET");
    client.finish_sending();
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

struct Caller;

impl valor::Vlugin for Caller {
    type Config = ();

    async fn on_create(_: (), _: &mut valor::Context) -> http::Result<Self> {
        Ok(Self)
    }

    /// Passes a body on, with headers that refer to another connection.
    async fn on_request(
        &self,
        cx: &valor::Context,
        _: http::Request,
    ) -> http::Result<http::Response> {
        let mut asked = http::Request::post("http://localhost/");
        asked.insert_header("connection", "upgrade");
        asked.insert_header("upgrade", "raw");
        asked.set_body(valor::streaming(stream::iter([Ok("all of it")])));
        cx.call("reader", asked).await
    }
}

#[test]
fn a_call_of_another_vlugin_offers_nothing() {
    let runtime = Runtime::builder().build().unwrap();
    let reader = from_http(|mut req: http::Request| async move {
        let offers = valor::offers_upgrade(&req, "raw");
        http::Result::Ok(format!("{offers} {}", req.body_string().await?))
    });
    runtime.add(Place::new("reader"), reader).unwrap();
    let entry = valor::Entry::of::<Caller>("caller", "0.1.0");
    smol::block_on(runtime.add_entry("caller", entry, serde_json::Value::Null)).unwrap();
    let server = Running::start(runtime);
    let asked = OFFER.replace("/raw", "/caller");
    assert_eq!(
        server.connect().send(asked).answer().text(),
        "false all of it"
    );
}
