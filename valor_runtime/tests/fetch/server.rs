//! A server with one thread per connection that sends exactly what a test tells it to send.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    /// Runs `serve` for each connection, with its number from 1 on.
    pub fn start(serve: impl Fn(usize, &mut Conn) + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", serve)
    }

    pub fn on(address: &str, serve: impl Fn(usize, &mut Conn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (accepted.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let serve = serve.clone();
                let mut conn = Conn::new(stream.unwrap());
                thread::spawn(move || serve(number, &mut conn));
            }
        });
        Self { address, accepted }
    }

    /// Answers every request on every connection with this.
    pub fn always(response: &'static str) -> Self {
        Self::start(move |_, conn| {
            while let Some(head) = conn.head() {
                let length = head.header("content-length");
                let length = length.map_or(0, |text| text.parse().unwrap());
                conn.exact(length);
                conn.send(response);
            }
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// The head of a request, as it came.
pub struct Head(pub String);

impl Head {
    pub fn line(&self) -> &str {
        self.0.lines().next().unwrap()
    }

    /// The values of this header, joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let lines = self
            .0
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        let values: Vec<_> = lines
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

pub struct Conn {
    reader: BufReader<TcpStream>,
}

impl Conn {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        // No test waits for longer than this, whatever goes wrong.
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).unwrap();
        stream.set_write_timeout(limit).unwrap();
        let reader = BufReader::new(stream);
        Self { reader }
    }

    /// A request's head; `None` if the connection was closed.
    pub fn head(&mut self) -> Option<Head> {
        let mut head = Vec::new();
        loop {
            if self.reader.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
            if head.ends_with(b"\r\n\r\n") {
                return Some(Head(head.iter().map(|&byte| char::from(byte)).collect()));
            }
        }
    }

    pub fn exact(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).unwrap();
        body
    }

    /// One chunk of a chunked body; `None` after the last.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let chunk = self.exact(size);
        assert_eq!(self.exact(2), b"\r\n");
        (size > 0).then_some(chunk)
    }

    /// The bytes that are there; `None` if the connection was closed or reset.
    pub fn some(&mut self) -> Option<Vec<u8>> {
        let some = self.reader.fill_buf().ok()?.to_vec();
        self.reader.consume(some.len());
        (!some.is_empty()).then_some(some)
    }

    /// Whether nothing more comes except the end.
    pub fn is_closed_by_peer(&mut self) -> bool {
        while self.some().is_some() {}
        let limit = self.stream().read_timeout().unwrap();
        // An end and a reset both count as ends. A timeout does not.
        let mut byte = [0];
        let ended = self.stream().read(&mut byte);
        limit.is_some()
            && !matches!(ended, Err(e) if matches!(e.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut))
    }

    /// Sends, and returns whether the peer still takes it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream().write_all(bytes.as_ref()).is_ok()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The test deals with a client that has gone.
        let _ = self.try_send(bytes);
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }
}
