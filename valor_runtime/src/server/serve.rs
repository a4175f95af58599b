//! The server itself: it binds addresses, accepts clients while there is room for them, and ends at shutdown what it
//! began. The program calls [`Server`]. The rooms below deal with what clients say.

use super::{
    config::ServerConfig,
    http1::Connection,
    net::{self, Listen, Listener, Socket, Tls, Workers},
    shared::Shared,
};
use crate::Vlugin;
use crate::blocked::on_blocked;
use crate::timer::Timer;
use futures_lite::FutureExt;
use smol::{
    Task,
    channel::{self, Sender},
    future,
    lock::Semaphore,
};
use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use valor_abi_wire::lock::locked;

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// There is nothing to listen on.
    #[error("there is no address to listen on; name at least one")]
    NoAddress,
    /// An address cannot be listened on.
    #[error("cannot listen on {listen}: {source}; {}", remedy(source.kind()))]
    Bind {
        /// The address.
        listen: Listen,
        /// The system's error.
        source: io::Error,
    },
    /// The worker threads cannot be started.
    #[error("cannot start the worker threads: {0}; allow more threads, or ask for fewer workers")]
    Workers(#[source] io::Error),
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => "stop the program that uses it, or choose another address",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 up, a path that may be written to, or a group that this user is in"
        }
        io::ErrorKind::NotFound => "create the folder of the socket first",
        io::ErrorKind::Unsupported => "choose an IP address and a port",
        _ => "choose another address",
    }
}

/// The outcome of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shutdown {
    /// Connections that were still busy at the drain limit, and were cut off.
    pub cut_off: usize,
}

/// Bound addresses, ready to serve the clients that wait there.
///
/// ```
/// use std::io::{Read, Write};
/// use valor_runtime::{Response, from_fn, server::{Server, ServerConfig}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// smol::block_on(async {
///     let server = Server::bind(&["127.0.0.1:0".parse()?], ServerConfig::default()).await?;
///     let addr = server.local_addrs()[0].to_string();
///     let hello = from_fn(|_| async {
///         let mut response = Response::new(200);
///         response.body = "hello".into();
///         Ok(response)
///     });
///     let client = smol::unblock(move || {
///         let mut stream = std::net::TcpStream::connect(addr)?;
///         stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
///         let mut answer = String::new();
///         stream.read_to_string(&mut answer).map(|_| answer)
///     });
///     let (answer, shut) = smol::channel::bounded(1);
///     let shutdown = async move { answer.send(client.await).await.unwrap() };
///     server.run(hello, 2, shutdown).await?;
///     let answer = shut.recv().await??;
///     assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    tls: Option<Tls>,
    config: ServerConfig,
    workers: Workers,
}

impl Server {
    /// Binds every address, or none.
    ///
    /// # Errors
    /// [`ServerError::NoAddress`], [`ServerError::Bind`], and [`ServerError::Workers`] if the system has no more file
    /// descriptors.
    pub async fn bind(listen: &[Listen], config: ServerConfig) -> Result<Self, ServerError> {
        let workers = Workers::new().map_err(ServerError::Workers)?;
        let bind = |listen: &Listen| {
            Listener::bind(listen, config.socket, workers.reactor()).map_err(|source| {
                ServerError::Bind {
                    listen: listen.clone(),
                    source,
                }
            })
        };
        let listeners = listen.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        if listeners.is_empty() {
            return Err(ServerError::NoAddress);
        }
        Ok(Self {
            listeners,
            tls: None,
            config,
            workers,
        })
    }

    /// Speaks TLS on every IP address. Unix sockets stay as they are, because their clients are on this machine
    /// already.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The addresses it listens on, with the ports that the system chose.
    pub fn local_addrs(&self) -> Vec<Listen> {
        let addrs = self.listeners.iter().map(Listener::local_addr);
        addrs.filter_map(Result::ok).collect()
    }

    /// The threads that will serve. [`Server::run`] starts them.
    pub fn workers(&self) -> Workers {
        self.workers.clone()
    }

    /// Serves with this many threads until `shutdown` resolves. Then it still takes the connections that already
    /// wait, but no new ones. It answers running requests within the drain limit, and closes a connection once it has
    /// been idle for half a second.
    ///
    /// Dropping the future cuts everything off at once.
    ///
    /// # Errors
    /// [`ServerError::Workers`].
    pub async fn run(
        self,
        vlugin: Arc<dyn Vlugin>,
        workers: usize,
        shutdown: impl Future<Output = ()>,
    ) -> Result<Shutdown, ServerError> {
        let drain = self.config.drain;
        let (leave, leaving) = channel::bounded(1);
        let shared = Arc::new(Shared {
            config: self.config,
            tls: self.tls,
            vlugin,
            leaving,
        });
        let (alive, all_gone) = channel::bounded(1);
        let connections = Arc::new(Connections {
            tasks: Mutex::default(),
            workers: self.workers.clone(),
            places: Arc::new(Semaphore::new(shared.config.max_connections.max(1))),
        });
        let running = Running {
            connections: connections.clone(),
            leave,
        };
        self.workers.start(workers).map_err(ServerError::Workers)?;
        let relieved = self.workers.clone();
        let _relieved = on_blocked(move || _ = relieved.relieve());
        let accepting: Vec<Task<()>> = self
            .listeners
            .into_iter()
            .map(|listener| {
                let accept = accept(listener, shared.clone(), connections.clone(), alive.clone());
                self.workers.spawn(accept)
            })
            .collect();
        shutdown.await;

        running.leave.close();
        drop(alive);
        within(drain, async {
            // Nothing is ever sent: the channel closes with the last connection.
            let _: Result<Infallible, _> = all_gone.recv().await;
        })
        .await;
        drop(accepting);
        let cut_off = connections.tasks().running.len();
        if cut_off > 0 {
            log::warn!(
                target: "valor::server",
                "{cut_off} connections were still busy after {drain:?}, and were cut off"
            );
        }
        drop(running);
        // So that nothing runs any more when the program ends. A blocked thread is left behind.
        within(Duration::from_secs(1), self.workers.ended()).await;
        Ok(Shutdown { cut_off })
    }
}

async fn within(limit: Duration, future: impl Future<Output = ()>) {
    let timeout = async {
        Timer::after(limit).await;
    };
    future::or(future, timeout).await;
}

/// Ends everything that a server started, both at its end and if its future is dropped.
struct Running {
    connections: Arc<Connections>,
    leave: Sender<Infallible>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.leave.close();
        // The workers drop the tasks' futures before they end.
        let tasks = std::mem::take(&mut self.connections.tasks().running);
        drop(tasks);
        self.connections.workers.stop();
    }
}

/// The current connections.
struct Connections {
    tasks: Mutex<Tasks>,
    workers: Workers,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Tasks {
    last: u64,
    running: HashMap<u64, Task<()>>,
}

impl Connections {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        locked(&self.tasks)
    }

    /// Serves a client on the workers. `held` is dropped once nothing is left of the connection.
    fn spawn(
        self: &Arc<Self>,
        serving: impl Future<Output = ()> + Send + 'static,
        held: impl Send + 'static,
    ) {
        // Held until the task is recorded, so that it cannot end before that.
        let mut tasks = self.tasks();
        tasks.last += 1;
        let (number, connections) = (tasks.last, self.clone());
        let task = self.workers.spawn(async move {
            if AssertUnwindSafe(serving).catch_unwind().await.is_err() {
                log::error!(target: "valor::server", "a vlugin panicked, and its connection is closed");
            }
            if let Some(task) = connections.tasks().running.remove(&number) {
                task.detach();
            }
            drop(held);
        });
        tasks.running.insert(number, task);
    }
}

async fn serve_tls(socket: Socket, peer: String, tls: Tls, shared: Arc<Shared>) {
    let limit = shared.config.head_timeout;
    // On the heap, and only for the handshake, so that the future stays small.
    let shaken = Box::pin(net::shake_hands(socket, &tls, limit, &shared.leaving)).await;
    drop(tls);
    if let Some(socket) = shaken {
        Connection::new(socket, peer, shared).serve().await;
    }
}

/// Accepts clients while there are places for them, until the server leaves.
async fn accept(
    listener: Listener,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    alive: Sender<Infallible>,
) {
    /// How long to wait for another connection to release what this one needs.
    const PAUSE: Duration = Duration::from_millis(100);
    // The most waiting clients to take while leaving. Without it, clients that keep connecting would delay the end
    // for ever.
    const LAST: usize = 4096;
    let reactor = connections.workers.reactor();
    let left = async || _ = shared.leaving.recv().await;
    let mut is_short = false;
    let mut last = LAST;
    loop {
        let next = async {
            let place = connections.places.acquire_arc().await;
            Some((listener.accept(reactor).await, place))
        };
        let leave = async {
            left().await;
            None
        };
        let (accepted, place) = match future::or(next, leave).await {
            Some(next) => next,
            // A waiting client, whose arrival may not have been reported yet, has sent a request.
            None => match connections.places.try_acquire_arc() {
                Some(place) => (listener.try_accept(reactor), place),
                None => return,
            },
        };
        if shared.leaving.is_closed() {
            last -= 1;
            if last == 0 || accepted.is_err() {
                return;
            }
        }
        match accepted {
            Ok((socket, peer)) => {
                if std::mem::take(&mut is_short) {
                    log::info!(target: "valor::server", "connections are accepted again");
                }
                let peer = peer.map_or_else(String::new, |peer| peer.to_string());
                let held = (place, alive.clone());
                match (&shared.tls, &socket) {
                    (Some(tls), Socket::Tcp(_)) => {
                        connections
                            .spawn(serve_tls(socket, peer, tls.clone(), shared.clone()), held);
                    }
                    _ => {
                        let connection = Connection::new(socket, peer, shared.clone());
                        connections.spawn(connection.serve(), held);
                    }
                }
            }
            // The client has already gone away.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::Interrupted
                        | io::ErrorKind::InvalidInput
                        | io::ErrorKind::NotConnected
                ) => {}
            Err(error) => {
                if !std::mem::replace(&mut is_short, true) {
                    log::error!(
                        target: "valor::server",
                        "no connection can be accepted: {error}; trying again until one can"
                    );
                }
                within(PAUSE, left()).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Response, from_fn};
    use futures_rustls::rustls::{
        ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring,
    };
    use socket2::{Domain, SockRef, Socket, Type};
    use std::{
        io::{Read, Write},
        sync::Arc,
        thread,
        time::Duration,
    };

    /// With buffers this small, the end of a response is still inside TLS after the whole response was written to it.
    const BUFFER: usize = 8 * 1024;

    #[test]
    fn what_tls_holds_back_is_sent() {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
        std::fs::write(&cert, pair.cert.pem()).unwrap();
        std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
        let listen = ["127.0.0.1:0".parse().unwrap()];
        let server = smol::block_on(Server::bind(&listen, ServerConfig::default())).unwrap();
        let server = server.tls(Tls::load(cert, key).unwrap());
        let Listener::Tcp(listener) = &server.listeners[0] else {
            panic!("no IP address");
        };
        // Accepted sockets inherit it.
        let small = SockRef::from(listener.get_ref()).set_send_buffer_size(BUFFER);
        small.unwrap();
        let addr = listener.get_ref().local_addr().unwrap();
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let sized = from_fn(|request: crate::Request| async move {
            let len = request.head.path()[1..].parse().unwrap_or(0);
            let mut response = Response::new(200);
            response.body = vec![b'x'; len].into();
            Ok(response)
        });
        let serving = thread::spawn(move || {
            smol::block_on(server.run(sized, 1, async { _ = stopped.recv().await }))
        });

        let mut roots = RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = Arc::new(config);
        for len in (16..320).step_by(16).map(|kib| kib * 1024) {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(BUFFER).unwrap();
            socket.connect(&addr.into()).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
            let name = "localhost".try_into().unwrap();
            let session = ClientConnection::new(config.clone(), name).unwrap();
            let mut stream = StreamOwned::new(session, std::net::TcpStream::from(socket));
            write!(stream, "GET /{len} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            // Until the server has written what it can. If it were slower, the test would show less.
            thread::sleep(Duration::from_millis(20));
            let mut came = Vec::new();
            let mut piece = [0; 4096];
            while !came.windows(4).any(|w| w == b"\r\n\r\n") {
                let amount = stream.read(&mut piece).unwrap();
                came.extend_from_slice(&piece[..amount]);
            }
            let head = came.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            let mut rest = vec![0; len - (came.len() - head)];
            stream.read_exact(&mut rest).unwrap();
        }
        drop(stop);
        serving.join().unwrap().unwrap();
    }
}
