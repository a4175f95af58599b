//! Both programs, run as they are and spoken with over a socket.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A program that runs, and where it listens; killed when it is dropped.
struct Program {
    child: Child,
    addr: String,
}

impl Program {
    fn start(program: &str) -> Self {
        let mut child = Command::new(program)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let addr = line.trim().strip_prefix("listening on http://");
        let addr = addr.unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, addr }
    }

    /// A connection, whose requests wait for each other: async-h1 loses those that come too early.
    fn connect(&self) -> Connection {
        let socket = TcpStream::connect(&self.addr).expect("it listens");
        let minute = Some(Duration::from_secs(60));
        socket.set_read_timeout(minute).expect("a time limit");
        Connection(BufReader::new(socket))
    }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a request and reads its response: the head, and the body without its framing.
    fn ask(&mut self, request: &str) -> (String, String) {
        self.0
            .get_mut()
            .write_all(request.as_bytes())
            .expect("sent");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let line = self.0.read_line(&mut head).expect("a head");
            assert!(line > 0, "it closed the connection: {head}");
        }
        if let Some((_, length)) = head.split_once("\r\ncontent-length: ") {
            let length = length.lines().next().unwrap_or_default();
            let body = self.read(length.parse().expect("a length"));
            return (head, body);
        }
        assert!(
            head.contains("\r\ntransfer-encoding: chunked\r\n"),
            "{head}"
        );
        let mut body = String::new();
        loop {
            let mut size = String::new();
            self.0.read_line(&mut size).expect("a chunk's size");
            let size = usize::from_str_radix(size.trim(), 16).expect("a size");
            body += &self.read(size);
            assert_eq!(self.read(2), "\r\n");
            if size == 0 {
                return (head, body);
            }
        }
    }

    fn read(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("the body");
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// Whether the server has closed it.
    fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0]).is_ok_and(|read| read == 0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The conversation that both hold.
fn hold(program: &str) {
    let program = Program::start(program);

    let mut client = program.connect();

    // The client's id comes back, and the vlugin has a name.
    let (head, body) =
        client.ask("GET /hello_plugin HTTP/1.1\r\nhost: a\r\nx-request-id: first\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nx-correlation-id: first\r\n"), "{head}");
    assert!(head.contains("\r\nx-valor-plugin: hello_plugin\r\n"));
    assert_eq!(body, "OK response from a plugin");

    // A body in pieces, whose length nobody knows beforehand, goes through in pieces.
    let (head, body) = client.ask(
        "POST /echo/a?b=c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n",
    );
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nx-echo-target: /a?b=c\r\n"), "{head}");
    assert!(
        head.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{head}"
    );
    assert_eq!(body, "hello there");

    // One whose length is said comes back with it.
    let (head, body) =
        client.ask("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    assert!(head.contains("\r\ncontent-length: 5\r\n"), "{head}");
    assert_eq!(body, "hello");

    // What the runtime itself answers, on a connection that ends with it.
    let (head, body) = client.ask("GET /nowhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert!(body.contains("no vlugin is mounted at /nowhere"), "{body}");
    assert!(client.is_closed());
}

#[test]
fn async_h1_serves_a_runtime() {
    hold(env!("CARGO_BIN_EXE_embedded_async_h1"));
}

#[test]
fn hyper_serves_a_runtime() {
    hold(env!("CARGO_BIN_EXE_embedded_hyper"));
}
