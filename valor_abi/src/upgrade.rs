//! Connections that go on in another protocol (RFC 9110, section 7.8), mainly WebSocket, for authors:
//! [`offers_upgrade`] asks, and [`upgrade`] answers. `valor_abi_http` does the rest, around the handler.

use crate::http::{self, headers};
use futures_lite::io::{AsyncBufRead, AsyncRead};
use std::{
    io,
    pin::{Pin, pin},
    sync::Mutex,
    task::{Context, Poll, Waker, ready},
};
use valor_abi_wire::lock::inside;

/// Whether the client offers to switch to this protocol. Its name is compared without regard to case.
///
/// ```
/// use valor::{http, offers_upgrade};
///
/// let mut req = http::Request::get("http://localhost/");
/// req.insert_header("connection", "keep-alive, Upgrade");
/// req.insert_header("upgrade", "websocket");
/// assert!(offers_upgrade(&req, "WebSocket"));
/// assert!(!offers_upgrade(&req, "irc"));
/// ```
pub fn offers_upgrade(req: &http::Request, protocol: &str) -> bool {
    let has = |name: &str, wanted: &str| {
        let values = req.header(name).into_iter().flatten();
        let mut elements = values.flat_map(|value| value.as_str().split(','));
        elements.any(|element| element.trim().eq_ignore_ascii_case(wanted))
    };
    has("connection", "upgrade") && has("upgrade", protocol)
}

/// The response that accepts an upgrade: 101 Switching Protocols. Once the client has it, `serve` gets the connection,
/// and its future runs for as long as the connection lives.
///
/// When the future ends, what was written is sent and the connection is closed; an error is logged, and the client sees
/// a reset. When the client goes away, the future is dropped. If a client only stops sending, reading reaches its end;
/// closing the connection for writing (`AsyncWriteExt::close`) tells the client the same. When the host shuts down,
/// reading ends too, so that the future may say goodbye.
///
/// The handler's time limit applies to the response; after that, only the server's limits do.
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use valor::*;
///
/// #[vlugin]
/// pub async fn on_request(req: http::Request) -> http::Response {
///     if !offers_upgrade(&req, "clock") {
///         return http::StatusCode::UpgradeRequired.into();
///     }
///     upgrade("clock", |mut connection| async move {
///         loop {
///             connection.write_all(b"tick\n").await?;
///             sleep(std::time::Duration::from_secs(1)).await;
///         }
///     })
/// }
/// # fn main() {}
/// ```
///
/// A response made by hand works as well: its `recv_upgrade` receives the connection, wherever it is awaited. This
/// function awaits it in the response's body.
///
/// # Panics
/// If `protocol` is not ASCII.
pub fn upgrade<F, Fut>(protocol: &str, serve: F) -> http::Response
where
    F: FnOnce(http::upgrade::Connection) -> Fut + Send + 'static,
    Fut: Future<Output = http::Result<()>> + Send + 'static,
{
    let mut res = http::Response::new(http::StatusCode::SwitchingProtocols);
    let receiver = {
        // It has nothing to wait for.
        let mut receiving = pin!(res.recv_upgrade());
        match receiving.as_mut().poll(&mut noop()) {
            Poll::Ready(receiver) => receiver,
            Poll::Pending => unreachable!("`recv_upgrade` does not wait"),
        }
    };
    let serving = Box::pin(async move {
        match receiver.await {
            Some(connection) => serve(connection).await,
            None => Ok(()),
        }
    });
    res.set_body(http::Body::from_reader(
        Serving(Mutex::new(Some(serving))),
        None,
    ));
    res.remove_header(headers::CONTENT_TYPE);
    res.insert_header(headers::CONNECTION, "upgrade");
    res.insert_header(headers::UPGRADE, protocol);
    res
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

type Work = Pin<Box<dyn Future<Output = http::Result<()>> + Send>>;

/// An empty body that runs a future while it is read.
// `http_types` requires `Sync`, which a future need not be; the lock is never contended.
struct Serving(Mutex<Option<Work>>);

impl AsyncBufRead for Serving {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let work = inside(&mut self.get_mut().0);
        let Some(serving) = work else {
            return Poll::Ready(Ok(&[]));
        };
        let ended = ready!(serving.as_mut().poll(cx));
        *work = None;
        match ended {
            Ok(()) => Poll::Ready(Ok(&[])),
            Err(error) => Poll::Ready(Err(io::Error::other(error.to_string()))),
        }
    }

    fn consume(self: Pin<&mut Self>, _amount: usize) {}
}

impl AsyncRead for Serving {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_fill_buf(cx).map_ok(<[u8]>::len)
    }
}
