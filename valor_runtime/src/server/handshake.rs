//! The first bytes of a client of a TLS server. `mod` calls [`shake_hands`] before there is a
//! connection; it promises an end within the time that a head may take, and that a client which
//! speaks plain HTTP is told so.

use super::{Shared, socket::Socket, tls::Tls};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::{TlsAcceptor, server::TlsStream};
use smol::{Timer, future};
use std::{io, time::Duration};

/// The first byte of a client that speaks TLS: the kind of a handshake's record (RFC 8446,
/// section 5.1).
const HANDSHAKE: u8 = 22;
/// How long a handshake may go on when the whole server is about to end.
const LEAVING: Duration = Duration::from_secs(1);
/// What a client that speaks HTTP in the clear gets to read.
const PLAIN: &str = "this port speaks HTTPS: use https:// in the address\n";

/// A socket that speaks TLS from here on, or none where the client did not come to that.
pub(super) async fn shake_hands(socket: Socket, tls: &Tls, shared: &Shared) -> Option<Socket> {
    let timeout = async {
        Timer::after(shared.config.head_timeout).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let leaving = async {
        let _ = shared.leaving.recv().await;
        Timer::after(LEAVING).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let shaken = future::or(accept(socket, tls), future::or(timeout, leaving)).await;
    match shaken {
        Ok(stream) => stream,
        Err(error) => {
            log::debug!(target: "valor::server", "a TLS handshake came to nothing: {error}");
            None
        }
    }
}

async fn accept(mut socket: Socket, tls: &Tls) -> io::Result<Option<Socket>> {
    let mut first = [0];
    if socket.read(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] != HANDSHAKE {
        if first[0].is_ascii_uppercase() {
            tell(socket).await?;
        }
        return Ok(None);
    }
    let acceptor = TlsAcceptor::from(tls.config());
    let accepting = acceptor.accept_with(socket, |session| {
        // It is a part of a record: there is nothing in it to fail.
        let _ = session.read_tls(&mut &first[..]);
    });
    let stream: TlsStream<Socket> = accepting.await?;
    Ok(Some(Socket::Tls(Box::new(stream))))
}

/// Answers in the clear, and lets the client finish what it is saying.
async fn tell(mut socket: Socket) -> io::Result<()> {
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{PLAIN}", PLAIN.len());
    socket.write_all(answer.as_bytes()).await?;
    socket.close().await?;
    let mut rest = [0; 4096];
    // So much is the most of a head.
    for _ in 0..8 {
        if socket.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        Response, from_fn,
        server::{Server, ServerConfig, Tls, socket::Listener},
    };
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

    /// With buffers as small as these, the end of a response is still inside of TLS when all of
    /// it has been written there.
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
        // Those that are accepted take it over.
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
            // Until the server has written what it can; were it slower, the test would show less.
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
