//! From the wire's form to `http_types` and back.
//!
//! The glue around a handler written in Rust calls these, on whichever side of a boundary the
//! handler lives. Bodies of known, small size are moved whole; others stay streams.

mod headers;
mod url;

use crate::{
    fault::Fault,
    http,
    unwind::drop_caught,
    upgrade::{self, Offer},
    wire::{self, Body, Bytes, Chunk, ChunkStream, RequestHead, ResponseHead},
};
use futures_core::Stream;
use futures_lite::io::{AsyncBufRead, AsyncRead};
use std::{
    io,
    pin::{Pin, pin},
    str::FromStr,
    sync::Mutex,
    task::{Context, Poll, Waker, ready},
};

/// How much of a reader is taken for one chunk.
const CHUNK: usize = 64 * 1024;

/// The length up to which a body is copied in one piece, where its reader has all of it.
const WHOLE: u64 = 1024 * 1024;

/// Answers a request with a handler: the way there and back, upgrades included.
///
/// # Errors
/// Those of [`request_from_wire`] and [`response_into_wire`], the handler's own, and a fault of
/// status 500 for a response that switches protocols where it cannot.
pub async fn answer<Fut>(
    mut request: wire::Request,
    handler: impl FnOnce(http::Request) -> Fut,
) -> Result<wire::Response, Fault>
where
    Fut: Future<Output = http::Result<http::Response>>,
{
    let offer = Offer::take(&mut request);
    let mut res = handler(request_from_wire(request)?).await?;
    if res.status() != http::StatusCode::SwitchingProtocols {
        return response_into_wire(res).await;
    }
    let body = match offer {
        Some(offer) if res.has_upgrade() => offer.accept(&mut res),
        offer => return Err(upgrade::refused(offer.is_some())),
    };
    let head = response_into_wire(res).await?.head;
    Ok(wire::Response { head, body })
}

/// The request as a handler receives it.
///
/// The URL is the target behind `http://` or `https://` and the `host` header; without such a
/// header the host is `localhost`. Trailers can be received once the body has been read.
///
/// # Errors
/// A fault of status 400 for a URL or a header that `http_types` cannot carry (its header
/// values are ASCII), and of 501 for a method that it does not know.
pub fn request_from_wire(request: wire::Request) -> Result<http::Request, Fault> {
    let head = &request.head;
    let method = method_of(head.method())
        .ok_or_else(|| Fault::error(501, format!("the method {} is not known", head.method())))?;
    let url = url::of(head)?;
    let mut req = http::Request::new(method, url);
    req.set_version(version_of(head.version()));
    req.set_peer_addr(head.peer());
    headers::fill(head.fields(), &mut req)?;
    if !request.body.is_empty() {
        let typed = req.header("content-type").is_some();
        let trailers = match request.body {
            Body::Stream { .. } => Some(req.send_trailers()),
            Body::Bytes(_) => None,
        };
        req.set_body(body_of(request.body, trailers));
        if !typed {
            req.remove_header("content-type");
        }
    }
    Ok(req)
}

/// A request for another vlugin: the target is path and query.
///
/// # Errors
/// A fault of status 400 for what the wire cannot carry.
pub async fn request_into_wire(req: http::Request) -> Result<wire::Request, Fault> {
    let url = req.url();
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    request_to(req, &target).await
}

/// A request for another server: the target is the whole URL.
///
/// # Errors
/// A fault of status 400 for what the wire cannot carry.
pub async fn request_into_wire_absolute(req: http::Request) -> Result<wire::Request, Fault> {
    let mut url = req.url().clone();
    url.set_fragment(None);
    request_to(req, url.as_str()).await
}

async fn request_to(mut req: http::Request, target: &str) -> Result<wire::Request, Fault> {
    let bad = |error: wire::HeadError| Fault::error(400, error.to_string());
    let mut head = RequestHead::new(req.method().as_ref(), target).map_err(bad)?;
    for (name, values) in req.iter() {
        for value in values {
            head.push(name.as_str(), value.as_str().as_bytes())
                .map_err(bad)?;
        }
    }
    let body = body_into_wire(req.take_body()).await;
    Ok(wire::Request { head, body })
}

/// A response as code written in Rust receives it.
///
/// # Errors
/// A fault of status 502 for a status or a header that `http_types` cannot carry.
pub fn response_from_wire(response: wire::Response) -> Result<http::Response, Fault> {
    let status = http::StatusCode::try_from(response.head.status()).map_err(|_| {
        Fault::error(
            502,
            format!("the status {} is not known", response.head.status()),
        )
    })?;
    let mut res = http::Response::new(status);
    headers::fill(response.head.fields(), &mut res)
        .map_err(|fault| Fault::error(502, fault.message))?;
    let typed = response.head.header("content-type").is_some();
    if !response.body.is_empty() {
        res.set_body(body_from_wire(response.body));
        if !typed {
            res.remove_header("content-type");
        }
    }
    Ok(res)
}

/// A handler's response for the wire.
///
/// # Errors
/// A fault of status 500 for a header that would break the response apart.
pub fn response_into_wire(
    res: http::Response,
) -> impl Future<Output = Result<wire::Response, Fault>> + Send {
    let mut res = Some(res);
    // By hand, since an `async fn` would keep the response several times over.
    std::future::poll_fn(move |cx| {
        let res = res.take().expect("it is ready at the first poll");
        Poll::Ready(response_to(res, cx))
    })
}

fn response_to(mut res: http::Response, cx: &mut Context<'_>) -> Result<wire::Response, Fault> {
    let bad = |error: wire::HeadError| Fault::error(500, error.to_string());
    let mut head = ResponseHead::new(res.status().into()).map_err(bad)?;
    for (name, values) in res.iter() {
        for value in values {
            head.push(name.as_str(), value.as_str().as_bytes())
                .map_err(bad)?;
        }
    }
    let trailers = res.has_trailers().then(|| res.recv_trailers());
    let body = body_to(res.take_body(), cx);
    let body = with_trailers(body, trailers);
    Ok(wire::Response { head, body })
}

fn method_of(method: &str) -> Option<http::Method> {
    match method {
        "GET" => return Some(http::Method::Get),
        "POST" => return Some(http::Method::Post),
        _ => {}
    }
    // `from_str` takes memory, and does not mind the case; HTTP does (RFC 9110, section 9.1).
    let known = http::Method::from_str(method).ok();
    known.filter(|known| known.as_ref() == method)
}

fn version_of(version: u8) -> Option<http::Version> {
    match version {
        9 => Some(http::Version::Http0_9),
        10 => Some(http::Version::Http1_0),
        11 => Some(http::Version::Http1_1),
        20 => Some(http::Version::Http2_0),
        30 => Some(http::Version::Http3_0),
        _ => None,
    }
}

/// A body as `http_types` has it: bytes stay where they are, a stream is read as it is polled.
pub fn body_from_wire(body: Body) -> http::Body {
    body_of(body, None)
}

fn body_of(body: Body, trailers: Option<http::trailers::Sender>) -> http::Body {
    let len = body.len().and_then(|len| usize::try_from(len).ok());
    let (now, rest) = match body {
        Body::Bytes(bytes) => (bytes, None),
        Body::Stream { chunks, .. } => (Bytes::new(), Some(Mutex::new(chunks))),
    };
    let reader = Reader {
        now,
        rest,
        trailers,
    };
    http::Body::from_reader(reader, len)
}

/// A body for the wire: whole where its reader has all of it at the first poll, else a stream.
pub fn body_into_wire(body: http::Body) -> impl Future<Output = Body> + Send {
    let mut body = Some(body);
    std::future::poll_fn(move |cx| {
        let body = body.take().expect("it is ready at the first poll");
        Poll::Ready(body_to(body, cx))
    })
}

fn body_to(body: http::Body, cx: &mut Context<'_>) -> Body {
    let len = body.len().map(|len| len as u64);
    if len == Some(0) {
        return Body::empty();
    }
    let mut chunks = ReaderChunks {
        reader: body.into_reader(),
        left: len,
    };
    let max = match len {
        Some(len) if len > WHOLE => CHUNK,
        _ => WHOLE as usize,
    };
    match (chunks.poll_first(cx, max), len) {
        (Some(Ok(data)), Some(len)) if data.len() as u64 == len => Body::Bytes(data),
        (first, len) => Body::stream(
            len,
            FirstThen {
                first,
                rest: chunks,
            },
        ),
    }
}

/// A body with trailers behind it, which the length of a body would leave no room for.
fn with_trailers(body: Body, trailers: Option<http::trailers::Receiver>) -> Body {
    match trailers {
        None => body,
        Some(trailers) => Body::stream(
            None,
            BodyThenTrailers {
                body: Some(body),
                trailers,
            },
        ),
    }
}

/// A body, and the trailers that are sent once it has ended, where any are.
struct BodyThenTrailers {
    body: Option<Body>,
    trailers: http::trailers::Receiver,
}

impl Stream for BodyThenTrailers {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(body) = &mut self.body {
            match ready!(body.poll_chunk(cx)) {
                // A proxied body's own trailers; what the handler sends replaces them.
                Some(Ok(Chunk::Trailers(_))) | None => self.body = None,
                chunk => return Poll::Ready(chunk),
            }
        }
        let trailers = ready!(Pin::new(&mut self.trailers).poll(cx));
        Poll::Ready(trailers.map(|trailers| {
            let fields = trailers.iter().flat_map(|(name, values)| {
                let field = |value: &http::headers::HeaderValue| {
                    (name.as_str().to_owned(), value.as_str().into())
                };
                values.iter().map(field).collect::<Vec<_>>()
            });
            Ok(Chunk::Trailers(fields.collect()))
        }))
    }
}

/// Chunks as the reader that `http_types` wants.
pub(crate) struct Reader {
    now: Bytes,
    // `http_types` asks for `Sync`, which a stream need not be; the lock is never contended.
    rest: Option<Mutex<ChunkStream>>,
    trailers: Option<http::trailers::Sender>,
}

impl Reader {
    /// A reader of chunks alone.
    pub(crate) fn of(chunks: ChunkStream) -> Self {
        Self {
            now: Bytes::new(),
            rest: Some(Mutex::new(chunks)),
            trailers: None,
        }
    }

    fn ended(&mut self) {
        // All of it was read: a destructor that panics does not make that fail.
        if let Err(panicked) = drop_caught(self.rest.take()) {
            log::error!(target: "valor::panic", "{}", Fault::from(panicked));
        }
        // Whoever waits for trailers learns that there are none.
        self.trailers = None;
    }

    /// Passes trailers on; those that `http_types` cannot carry are left out.
    fn send_trailers(&mut self, received: Vec<(String, Vec<u8>)>) {
        let Some(sender) = self.trailers.take() else {
            return;
        };
        let mut trailers = http::Trailers::new();
        for (name, value) in received {
            let value = String::from_utf8(value).ok().filter(|v| v.is_ascii());
            if let (true, Some(value)) = (name.is_ascii(), value) {
                trailers.append(name.as_str(), value);
            }
        }
        // There is room for one message in the channel, and nothing else sends.
        let mut sending = pin!(sender.send(trailers));
        let _ = sending
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.now.is_empty() {
            let Some(rest) = &mut this.rest else { break };
            let rest = rest.get_mut().unwrap_or_else(|e| e.into_inner());
            match ready!(rest.as_mut().poll_next(cx)) {
                Some(Ok(Chunk::Data(data))) => this.now = data,
                Some(Ok(Chunk::Trailers(trailers))) => this.send_trailers(trailers),
                None => this.ended(),
                Some(Err(error)) => {
                    this.ended();
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(&this.now))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let _ = self.now.split_to(amount);
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let now = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = now.len().min(buf.len());
        buf[..amount].copy_from_slice(&now[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(amount))
    }
}

/// The reader of an `http_types` body as chunks. A body that ends short of its length fails.
struct ReaderChunks {
    reader: Box<dyn AsyncBufRead + Unpin + Send + Sync>,
    left: Option<u64>,
}

impl ReaderChunks {
    /// What the reader has at once; `None` where it has nothing yet, or nothing at all.
    fn poll_first(&mut self, cx: &mut Context<'_>, max: usize) -> Option<io::Result<Bytes>> {
        match self.poll_data(cx, max) {
            Poll::Ready(Some(first)) => Some(first),
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        let buf = match ready!(Pin::new(&mut self.reader).poll_fill_buf(cx)) {
            Ok(buf) => buf,
            Err(error) => {
                self.left = Some(0);
                return Poll::Ready(Some(Err(error)));
            }
        };
        if buf.is_empty() {
            let short = self.left.replace(0).is_some();
            return Poll::Ready(short.then(|| {
                Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the body ended short of its length",
                ))
            }));
        }
        let left = self
            .left
            .map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX));
        let amount = buf.len().min(max).min(left);
        let data = Bytes::copy_from_slice(&buf[..amount]);
        Pin::new(&mut self.reader).consume(amount);
        if let Some(left) = &mut self.left {
            *left -= amount as u64;
        }
        Poll::Ready(Some(Ok(data)))
    }
}

struct FirstThen {
    first: Option<io::Result<Bytes>>,
    rest: ReaderChunks,
}

impl Stream for FirstThen {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first.map(Chunk::Data)));
        }
        let data = ready!(self.rest.poll_data(cx, CHUNK));
        Poll::Ready(data.map(|data| data.map(Chunk::Data)))
    }
}
