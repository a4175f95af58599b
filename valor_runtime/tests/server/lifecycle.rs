//! Binding, Unix sockets, blocked workers, and shutting down.

use crate::harness::{Client, PATIENCE, Running, data, eventually, mirror, text};
use futures_lite::{StreamExt, stream};
use std::{
    net::TcpStream,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use valor_runtime::{
    Body, Request, Response, Vlugin, from_fn,
    server::{Listen, Server, ServerConfig},
};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn refusal(listen: &[Listen]) -> String {
    let bound = smol::block_on(Server::bind(listen, ServerConfig::default()));
    bound.expect_err("a refusal").to_string()
}

#[test]
fn several_addresses_are_one_server() {
    let mut listen: Vec<Listen> = vec![
        "127.0.0.1:0".parse().unwrap(),
        "localhost:0".parse().unwrap(),
    ];
    if TcpStream::connect("[::1]:9")
        .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
    {
        listen.push("[::1]:0".parse().unwrap());
    }
    let server = Running::on(&listen, mirror(), ServerConfig::default());
    assert_eq!(server.addrs.len(), listen.len());
    for addr in &server.addrs {
        let Listen::Tcp(addr) = addr else {
            panic!("{addr}")
        };
        assert_ne!(addr.port(), 0);
        assert_eq!(Client::to(*addr).send(GET).answer().status, 200);
    }
}

#[test]
fn what_cannot_be_bound_is_named_with_a_remedy() {
    assert!(refusal(&[]).contains("name at least one"));
    let server = Running::start(mirror());
    let taken = server.addr();
    let error = refusal(&["127.0.0.1:0".parse().unwrap(), taken.into()]);
    assert!(
        error.contains(&format!("cannot listen on {taken}")),
        "{error}"
    );
    assert!(error.contains("stop the program that uses it"), "{error}");
    let error = refusal(&["192.0.2.1:8080".parse().unwrap()]);
    assert!(error.contains("an address of this machine"), "{error}");
}

#[cfg(not(unix))]
#[test]
fn there_are_no_unix_sockets_here() {
    let error = refusal(&["unix:valor.sock".parse().unwrap()]);
    assert!(error.contains("choose an IP address"), "{error}");
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::{
        io::{Read, Write},
        os::unix::net::{UnixListener, UnixStream},
        path::Path,
    };

    fn converse(path: &Path) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_unix_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("valor.sock");
        let listen = Listen::Unix(path.clone());
        let server = Running::on(
            std::slice::from_ref(&listen),
            mirror(),
            ServerConfig::default(),
        );
        assert_eq!(server.addrs, std::slice::from_ref(&listen));
        assert!(converse(&path).contains("GET /x host=a"));

        // The path is taken while somebody answers on it …
        let error = refusal(std::slice::from_ref(&listen));
        assert!(
            error.contains(&format!("cannot listen on {listen}")),
            "{error}"
        );
        assert!(converse(&path).contains("GET /x host=a"));
        server.stop();
        assert!(!path.exists());

        // … and free once it was left behind.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let server = Running::on(&[listen], mirror(), ServerConfig::default());
        assert!(converse(&path).contains("GET /x host=a"));
        drop(server);
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "text").unwrap();
        let error = refusal(&[Listen::Unix(path.clone())]);
        assert!(error.contains("choose another address"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        let error = refusal(&[Listen::Unix(folder.path().join("no/such"))]);
        assert!(error.contains("create the folder"), "{error}");
    }
}

/// Something to wait on, with a thread or without one.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn block(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let open = self.open.lock().unwrap();
        let waited = self
            .opened
            .wait_timeout_while(open, PATIENCE, |open| !*open);
        assert!(!waited.unwrap().1.timed_out(), "the gate stayed closed");
    }

    async fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while !*self.open.lock().unwrap() {
            smol::Timer::after(Duration::from_millis(10)).await;
        }
    }

    fn await_waiting(&self, count: usize) {
        eventually("the request", || {
            self.waiting.load(Ordering::SeqCst) == count
        });
    }
}

/// Blocks its thread at `/block`, waits at `/wait`, streams without end at `/events`.
fn gated(gate: Arc<Gate>) -> Arc<dyn Vlugin> {
    from_fn(move |request: Request| {
        let gate = gate.clone();
        async move {
            match request.head.path() {
                "/block" => gate.block(),
                "/wait" => gate.pass().await,
                "/events" => {
                    let mut response = Response::new(200);
                    let chunks = stream::once(data("event")).chain(stream::pending());
                    response.body = Body::stream(None, chunks);
                    return Ok(response);
                }
                _ => {}
            }
            Ok(text(request.head.path().to_owned()))
        }
    })
}

fn at(server: &Running, path: &str) -> Client {
    let mut client = server.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    client
}

#[test]
fn a_blocked_thread_does_not_stop_the_other() {
    let gate = Arc::new(Gate::default());
    let server = Running::start(gated(gate.clone()));
    let mut blocked = at(&server, "/block");
    gate.await_waiting(1);
    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for number in 0..200 {
        let client = &mut clients[number % 20];
        assert_eq!(client.send(GET).answer().text(), "/");
    }
    gate.open();
    assert_eq!(blocked.answer().text(), "/block");
}

#[test]
fn spare_workers_stand_in_for_blocked_ones() {
    let gate = Arc::new(Gate::default());
    let server = Running::start(gated(gate.clone()));
    let mut blocked = [at(&server, "/block"), at(&server, "/block")];
    gate.await_waiting(2);
    eventually("a spare", || server.workers.relieve() > 0);
    let mut client = server.connect();
    for _ in 0..100 {
        assert_eq!(client.send(GET).answer().text(), "/");
    }
    gate.open();
    for client in &mut blocked {
        assert_eq!(client.answer().text(), "/block");
    }
    eventually("the end of the spare", || server.workers.spares() == 0);
    assert_eq!(client.send(GET).answer().text(), "/");
}

#[test]
fn a_request_on_its_way_when_the_server_leaves_is_answered() {
    let mut server = Running::start(mirror());
    let mut kept = server.connect();
    assert_eq!(kept.send(GET).answer().header("connection"), None);
    let mut fresh = server.connect();
    let mut begun = server.connect();
    begun.send(&GET[..9]);
    let mut gone = server.connect();

    server.leave();
    // It has left, and accepts nobody else.
    let addr = server.addr();
    eventually("the end of accepting", || TcpStream::connect(addr).is_err());
    begun.send(&GET[9..]);
    for client in [&mut kept, &mut fresh] {
        client.send(GET);
    }
    for client in [&mut kept, &mut fresh, &mut begun] {
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, Some("close"))
        );
        assert!(client.is_closed());
    }
    assert!(gone.is_closed());
    assert_eq!(server.stop().cut_off, 0);
}

#[test]
fn a_response_that_has_begun_when_the_server_leaves_does_not_end_its_connection() {
    let (more, comes) = smol::channel::bounded::<()>(1);
    let mut server = Running::start(from_fn(move |_| {
        let comes = comes.clone();
        let last = stream::once(()).then(move |()| {
            let comes = comes.clone();
            async move {
                let _ = comes.recv().await;
                data("last")
            }
        });
        let mut response = Response::new(200);
        response.body = Body::stream(None, stream::once(data("first")).chain(last));
        async { Ok(response) }
    }));
    let mut client = server.connect();
    client.send(GET);
    let mut head = Vec::new();
    while !head.ends_with(b"first\r\n") {
        head.extend(client.exactly(1).unwrap());
    }
    assert!(!String::from_utf8(head).unwrap().contains("connection"));
    server.leave();
    let addr = server.addr();
    eventually("the end of accepting", || TcpStream::connect(addr).is_err());
    // Nobody has told the client not to send another request.
    client.send(GET);
    more.close();
    assert_eq!(client.exactly(14).unwrap(), b"4\r\nlast\r\n0\r\n\r\n");
    assert_eq!(client.answer().header("connection"), Some("close"));
    assert_eq!(server.stop().cut_off, 0);
}

#[test]
fn a_client_that_waits_to_be_accepted_when_the_server_leaves_is_answered() {
    let gate = Arc::new(Gate::default());
    let mut server = Running::start(gated(gate.clone()));
    // With both workers blocked, nobody accepts.
    let mut blocked = [at(&server, "/block"), at(&server, "/block")];
    gate.await_waiting(2);
    let mut waiting: Vec<_> = (0..20).map(|_| at(&server, "/x")).collect();
    server.leave();
    // Nothing shows when it begins to leave. If it has not begun by now, the test shows less.
    thread::sleep(Duration::from_millis(100));
    gate.open();
    for client in blocked.iter_mut().chain(&mut waiting) {
        assert_eq!(client.answer().status, 200);
    }
    assert_eq!(server.stop().cut_off, 0);
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let gate = Arc::new(Gate::default());
    let config = ServerConfig {
        drain: Duration::from_millis(300),
        ..ServerConfig::default()
    };
    let server = Running::with(gated(gate.clone()), config);
    let mut working = at(&server, "/wait");
    let mut events = at(&server, "/events");
    gate.await_waiting(1);
    assert_eq!(events.exactly(15).unwrap(), b"HTTP/1.1 200 OK");
    assert_eq!(server.stop().cut_off, 2);
    assert!(working.is_closed());
    let rest = events.rest().unwrap_or_default();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", rest.escape_ascii());
}

#[test]
fn a_blocked_thread_does_not_stop_the_shutdown() {
    let gate = Arc::new(Gate::default());
    let config = ServerConfig {
        drain: Duration::from_millis(300),
        ..ServerConfig::default()
    };
    let server = Running::with(gated(gate.clone()), config);
    let clients = [
        at(&server, "/block"),
        at(&server, "/block"),
        at(&server, "/block"),
    ];
    gate.await_waiting(2);
    assert!(server.stop().cut_off >= 2);
    gate.open();
    drop(clients);
}

#[test]
fn a_server_that_is_dropped_cuts_everything_off() {
    let server = smol::block_on(Server::bind(
        &["127.0.0.1:0".parse().unwrap()],
        ServerConfig::default(),
    ));
    let server = server.unwrap();
    let Listen::Tcp(addr) = server.local_addrs()[0].clone() else {
        panic!()
    };
    let gate = Arc::new(Gate::default());
    let running = smol::spawn(server.run(gated(gate.clone()), 1, std::future::pending()));
    let mut client = Client::to(addr);
    client.send("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n");
    gate.await_waiting(1);
    smol::block_on(running.cancel());
    assert!(client.is_closed());
    eventually("the end of accepting", || TcpStream::connect(addr).is_err());
}

#[test]
fn many_connections_come_and_go() {
    let server = Running::start(mirror());
    let addr = server.addr();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..50 {
                    let mut client = Client::to(addr);
                    for _ in 0..5 {
                        assert_eq!(client.send(GET).answer().status, 200);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(server.stop().cut_off, 0);
}
