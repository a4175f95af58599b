//! A server on a free port, a client that speaks bytes, and vlugins to talk to.
#![allow(dead_code)] // Not every test needs all of it.

use futures_lite::stream;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown as Direction, SocketAddr, TcpStream},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use valor_runtime::{
    Body, Bytes, Chunk, Request, Response, Vlugin, from_fn,
    server::{Listen, Server, ServerConfig, ServerError, Shutdown, Tls, Workers},
};

/// How long a test waits for something that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs until it is stopped or dropped.
pub struct Running {
    pub addrs: Vec<Listen>,
    pub workers: Workers,
    stop: Option<smol::channel::Sender<()>>,
    thread: Option<JoinHandle<Result<Shutdown, ServerError>>>,
}

impl Running {
    pub fn start(vlugin: Arc<dyn Vlugin>) -> Self {
        Self::with(vlugin, ServerConfig::default())
    }

    pub fn with(vlugin: Arc<dyn Vlugin>, config: ServerConfig) -> Self {
        Self::on(&["127.0.0.1:0".parse().unwrap()], vlugin, config)
    }

    pub fn on(listen: &[Listen], vlugin: Arc<dyn Vlugin>, config: ServerConfig) -> Self {
        Self::on_tls(listen, None, vlugin, config)
    }

    pub fn on_tls(
        listen: &[Listen],
        tls: Option<Tls>,
        vlugin: Arc<dyn Vlugin>,
        config: ServerConfig,
    ) -> Self {
        let mut server = smol::block_on(Server::bind(listen, config)).unwrap();
        if let Some(tls) = tls {
            server = server.tls(tls);
        }
        let (addrs, workers) = (server.local_addrs(), server.workers());
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let thread = std::thread::spawn(move || {
            smol::block_on(server.run(vlugin, 2, async {
                let _ = stopped.recv().await;
            }))
        });
        Self {
            addrs,
            workers,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn addr(&self) -> SocketAddr {
        match &self.addrs[0] {
            Listen::Tcp(addr) => *addr,
            Listen::Unix(path) => panic!("{} is no IP address", path.display()),
        }
    }

    pub fn connect(&self) -> Client {
        Client::to(self.addr())
    }

    /// Asks it to shut down, without waiting.
    pub fn leave(&mut self) {
        drop(self.stop.take());
    }

    /// Shuts it down.
    pub fn stop(mut self) -> Shutdown {
        self.leave();
        self.thread.take().unwrap().join().unwrap().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client's side of a connection.
pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

/// A response as a client sees it.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub fn to(addr: SocketAddr) -> Self {
        Self::of(TcpStream::connect(addr).unwrap())
    }

    pub fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Direction::Write);
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buf = [0; 16 * 1024];
        let amount = self.stream.read(&mut buf)?;
        self.read.extend_from_slice(&buf[..amount]);
        Ok(amount)
    }

    fn until(&mut self, what: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.read.windows(what.len()).position(|w| w == what);
            if let Some(at) = found {
                return Ok(self.read.drain(..at + what.len()).collect());
            }
            if self.fill()? == 0 {
                let seen = self.read.escape_ascii().to_string();
                return Err(io::Error::new(ErrorKind::UnexpectedEof, seen));
            }
        }
    }

    /// The next bytes, exactly this many.
    pub fn exactly(&mut self, amount: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < amount {
            if self.fill()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.read.drain(..amount).collect())
    }

    /// The next response; with `head_only`, the answer to `HEAD`.
    pub fn try_answer(&mut self, head_only: bool) -> io::Result<Answer> {
        let head = String::from_utf8(self.until(b"\r\n\r\n")?).map_err(io::Error::other)?;
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let (version, rest) = status_line.split_once(' ').unwrap_or_default();
        assert_eq!(version, "HTTP/1.1", "{head}");
        let (status, reason) = rest.split_once(' ').unwrap_or_default();
        let headers: Vec<_> = lines.map(field).collect();
        let mut answer = Answer {
            status: status.parse().unwrap(),
            reason: reason.to_owned(),
            headers,
            body: Vec::new(),
            trailers: Vec::new(),
        };
        let length = answer.header("content-length").map(|len| len.parse());
        if head_only || answer.status < 200 || matches!(answer.status, 204 | 304) {
        } else if let Some(length) = length {
            answer.body = self.exactly(length.unwrap())?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            self.chunks(&mut answer)?;
        } else {
            answer.body = self.rest()?;
        }
        Ok(answer)
    }

    fn chunks(&mut self, answer: &mut Answer) -> io::Result<()> {
        loop {
            let line = String::from_utf8(self.until(b"\r\n")?).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            if size == 0 {
                break;
            }
            let data = self.exactly(size)?;
            answer.body.extend(data);
            assert_eq!(self.exactly(2)?, b"\r\n");
        }
        loop {
            let line = String::from_utf8(self.until(b"\r\n")?).unwrap();
            match line.trim_end() {
                "" => return Ok(()),
                line => answer.trailers.push(field(line)),
            }
        }
    }

    pub fn answer(&mut self) -> Answer {
        self.try_answer(false).expect("a whole response")
    }

    /// Everything until the connection is closed. A reset is an error.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.read))
    }

    /// Fails if the connection was reset, even if the last read reported an end: Wine forgets a reset that comes while
    /// nobody reads. A peer that has only ended its side can still receive, a peer that has reset the connection
    /// cannot.
    pub fn ended_well(&mut self) -> io::Result<()> {
        self.stream.write_all(b"\r\n")
    }

    /// Whether the server closes the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        match self.rest() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or((line, ""));
    (name.to_owned(), value.to_owned())
}

/// Waits until this is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what} never came about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A response with this body.
pub fn text(body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(200);
    response.body = Body::Bytes(body.into());
    response
}

/// A stream of these chunks.
pub fn chunks(len: Option<u64>, parts: Vec<io::Result<Chunk>>) -> Response {
    let mut response = Response::new(200);
    response.body = Body::stream(len, stream::iter(parts));
    response
}

pub fn data(bytes: &'static str) -> io::Result<Chunk> {
    Ok(Chunk::Data(Bytes::from_static(bytes.as_bytes())))
}

/// Reports what it saw: method, target, host, body and trailers. If the body breaks off, reports how.
pub fn mirror() -> Arc<dyn Vlugin> {
    from_fn(|mut request: Request| async move {
        let mut seen = format!(
            "{} {} host={}",
            request.head.method(),
            request.head.target(),
            request.head.header_str("host").unwrap_or("none"),
        );
        let mut body = Vec::new();
        let mut trailers = String::new();
        loop {
            match request.body.chunk().await {
                None => break,
                Some(Ok(Chunk::Data(data))) => body.extend_from_slice(&data),
                Some(Ok(Chunk::Trailers(fields))) => {
                    for (name, value) in fields {
                        trailers += &format!(" {name}={}", value.escape_ascii());
                    }
                }
                Some(Err(error)) => {
                    return Ok(text(format!("{seen} error={:?}", error.kind())));
                }
            }
        }
        seen += &format!(" body={}{trailers}", body.escape_ascii());
        Ok(text(seen))
    })
}
