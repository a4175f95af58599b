//! A server on a free port, and a client of a few lines that speaks to it over a real socket.
#![allow(dead_code)] // Not every test needs all of it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use valor_runtime::{
    Vlugin,
    server::{Server, ServerConfig, Shutdown},
};

/// A server that runs until it is dropped or stopped.
pub struct Serving {
    pub addr: String,
    stop: Option<smol::channel::Sender<()>>,
    thread: Option<JoinHandle<Shutdown>>,
}

/// Serves a vlugin with two workers.
pub fn serve(vlugin: Arc<dyn Vlugin>) -> Serving {
    serve_with(vlugin, ServerConfig::default())
}

/// Serves a vlugin with two workers and other limits.
pub fn serve_with(vlugin: Arc<dyn Vlugin>, config: ServerConfig) -> Serving {
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    let listen = ["127.0.0.1:0".parse().expect("an address")];
    let server = smol::block_on(Server::bind(&listen, config)).expect("bound");
    let addr = server.local_addrs()[0].to_string();
    let thread = std::thread::spawn(move || {
        let shutdown = async move {
            let _ = stopped.recv().await;
        };
        smol::block_on(server.run(vlugin, 2, shutdown)).expect("served")
    });
    Serving {
        addr,
        stop: Some(stop),
        thread: Some(thread),
    }
}

impl Serving {
    /// A connection.
    pub fn connect(&self) -> Connection {
        Connection::to(&self.addr)
    }

    /// One GET on a new connection.
    pub fn get(&self, target: &str) -> Answer {
        self.connect().get(target).expect("an answer")
    }

    /// Shuts the server down, and waits for it.
    pub fn stop(mut self) -> Shutdown {
        self.stop.take();
        self.thread
            .take()
            .expect("it runs")
            .join()
            .expect("no panic")
    }
}

/// A connection that is kept open from request to request.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Connection {
    pub fn to(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).expect("connected");
        stream.set_nodelay(true).expect("no delay");
        // Nothing here takes that long. A test that waits in vain ends as a failure.
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).expect("a time limit");
        Self {
            reader: BufReader::new(stream),
        }
    }

    /// The client's own address.
    pub fn local_addr(&self) -> SocketAddr {
        self.reader.get_ref().local_addr().expect("it is connected")
    }

    pub fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.send("GET", target, &[], b"")
    }

    /// Sends a request with `host: localhost`, unless the headers have another, and reads the whole response.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += "host: localhost\r\n";
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        self.write(&[head.as_bytes(), body].concat())?;
        self.read_answer()
    }

    /// The socket itself. Nothing may have come beyond what was read.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.reader.buffer().is_empty(), "bytes were not read");
        self.reader.into_inner()
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// The status line and the headers of the next response.
    pub fn read_head(&mut self) -> io::Result<Answer> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let mut answer = Answer {
            status: status.ok_or_else(|| io::Error::other(status_line))?,
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(answer);
            };
            answer
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The next response with its body. A body that breaks off is an error.
    pub fn read_answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.read_head()?;
        if let Some(len) = answer.header("content-length") {
            let len = len.parse().map_err(io::Error::other)?;
            answer.body = self.exactly(len)?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend(chunk);
            }
        }
        Ok(answer)
    }

    /// The next chunk of a chunked body, or `None` at its end.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = self.line()?;
        let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        let data = self.exactly(size)?;
        self.line()?;
        Ok((size > 0).then_some(data))
    }

    /// This many bytes of a body.
    pub fn read_body(&mut self, len: usize) -> io::Result<Vec<u8>> {
        self.exactly(len)
    }

    fn exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
