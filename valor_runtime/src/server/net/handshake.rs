//! The first bytes of a client of a TLS server. The server calls [`shake_hands`] before there is a connection. The
//! handshake ends within the time that a head may take. A client that speaks plain HTTP gets an answer that says so.

use super::{socket::Socket, tls::Tls};
use crate::timer::Timer;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::{TlsAcceptor, server::TlsStream};
use smol::{channel::Receiver, future};
use std::{convert::Infallible, io, time::Duration};

/// The first byte of a client that speaks TLS: the record type of a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// How long a handshake may go on when the whole server is about to end.
const LEAVING: Duration = Duration::from_secs(1);
/// The answer to a client that speaks HTTP in the clear.
const PLAIN: &str = "this port speaks HTTPS: use https:// in the address\n";

/// A socket that speaks TLS from here on, or `None` if the handshake fails. It may take as long as `limit`, but only
/// a moment once `leaving` is closed.
pub(crate) async fn shake_hands(
    socket: Socket,
    tls: &Tls,
    limit: Duration,
    leaving: &Receiver<Infallible>,
) -> Option<Socket> {
    let timeout = async {
        Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let leaving = async {
        let _ = leaving.recv().await;
        Timer::after(LEAVING).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let shaken = future::or(accept(socket, tls), future::or(timeout, leaving)).await;
    match shaken {
        Ok(stream) => stream,
        Err(error) => {
            log::debug!(target: "valor::server", "a TLS handshake failed: {error}");
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
        // This is only part of a record: nothing in it can fail.
        let _ = session.read_tls(&mut &first[..]);
    });
    let stream: TlsStream<Socket> = accepting.await?;
    Ok(Some(Socket::Tls(Box::new(stream))))
}

/// Answers in the clear, and lets the client finish what it is sending.
async fn tell(mut socket: Socket) -> io::Result<()> {
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{PLAIN}", PLAIN.len());
    socket.write_all(answer.as_bytes()).await?;
    socket.close().await?;
    let mut rest = [0; 4096];
    // A head is no larger than this.
    for _ in 0..8 {
        if socket.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}
