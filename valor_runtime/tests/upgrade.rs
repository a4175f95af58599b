//! WebSocket over a real socket to a real library: the example `echo_socket`.

mod fixture;
mod socket;

use fixture::definition;
use socket::{Connection, Serving, serve};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};
use valor_runtime::{Limits, Runtime};

const HANDSHAKE: &[(&str, &str)] = &[
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn start() -> Serving {
    let runtime = Runtime::builder().build().unwrap();
    let mut echo = definition("echo", fixture::echo_socket());
    // Neither limit applies to what follows the switch.
    echo.limits = Limits {
        timeout: Some(1.0),
        body: Some(10),
        ..Limits::default()
    };
    smol::block_on(runtime.load(&echo)).unwrap();
    serve(runtime)
}

fn switched(serving: &Serving) -> TcpStream {
    let mut connection = Connection::to(&serving.addr);
    let answer = connection.send("GET", "/echo", HANDSHAKE, b"").unwrap();
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(answer.header("x-valor-plugin"), Some("echo"));
    // The server says nothing before the client does, so nothing is left in the buffer.
    connection.into_stream()
}

/// A binary frame, masked with zeros.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82, 0xff];
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The opcode and the payload of a server's frame.
fn read_frame(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let len = match head[1] {
        126 => {
            let mut len = [0; 2];
            stream.read_exact(&mut len)?;
            u16::from_be_bytes(len).into()
        }
        127 => {
            let mut len = [0; 8];
            stream.read_exact(&mut len)?;
            u64::from_be_bytes(len)
        }
        len => len.into(),
    };
    let mut payload = vec![0; len as usize];
    stream.read_exact(&mut payload)?;
    Ok((head[0] & 0xf, payload))
}

#[test]
fn messages_come_back_until_the_closing_handshake() {
    let serving = start();
    let mut stream = switched(&serving);
    for size in [0, 1, 1000, 70_000] {
        let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
        stream.write_all(&frame(&payload)).unwrap();
        assert_eq!(read_frame(&mut stream).unwrap(), (2, payload));
    }
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 232]).unwrap();
    assert_eq!(read_frame(&mut stream).unwrap(), (8, vec![3, 232]));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(serving.stop().cut_off, 0);
}

#[test]
fn a_large_message_passes_both_ways_however_slowly_it_is_read() {
    let serving = start();
    let mut stream = switched(&serving);
    let payload: Vec<u8> = (0..4 << 20).map(|n: u32| (n / 7) as u8).collect();
    let mut sender = stream.try_clone().unwrap();
    let sent = frame(&payload);
    let sending = thread::spawn(move || sender.write_all(&sent));
    // No byte is read before all are sent, and then for longer than the vlugin may take to answer.
    sending.join().unwrap().unwrap();
    let mut came = Vec::new();
    let since = Instant::now();
    let mut buf = vec![0; 64 * 1024];
    while came.len() < payload.len() + 10 {
        let amount = stream.read(&mut buf).unwrap();
        assert!(amount > 0, "it broke off after {} bytes", came.len());
        came.extend_from_slice(&buf[..amount]);
        if since.elapsed() < Duration::from_millis(1500) {
            thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(came[10..] == payload[..], "it came back another one");
}

#[test]
fn a_client_that_vanishes_is_counted_out() {
    let serving = start();
    let metrics = || serving.get("/_metrics").text().to_owned();
    let stream = switched(&serving);
    assert!(metrics().contains("valor_requests_in_flight{vlugin=\"echo\"} 1"));
    // A reset, as from a program that dies.
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let since = Instant::now();
    while !metrics().contains("valor_requests_in_flight{vlugin=\"echo\"} 0") {
        assert!(since.elapsed() < Duration::from_secs(60), "{}", metrics());
        thread::sleep(Duration::from_millis(10));
    }
    assert!(metrics().contains("valor_requests_total{status=\"101\",vlugin=\"echo\"} 1"));
}

#[test]
fn a_server_that_leaves_says_so() {
    let serving = start();
    let mut stream = switched(&serving);
    let stopping = thread::spawn(|| serving.stop());
    assert_eq!(read_frame(&mut stream).unwrap(), (8, vec![3, 233]));
    drop(stream);
    assert_eq!(stopping.join().unwrap().cut_off, 0);
}
