//! A runtime as a hyper service, on smol: bodies go through it as they come in, both ways.

use futures_lite::StreamExt;
use http_body_util::{BodyStream, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue},
    server::conn::http1,
    service::Service,
};
use smol::net::TcpListener;
use smol_hyper::rt::{FuturesIo, SmolTimer};
use std::{convert::Infallible, error::Error, io, net::SocketAddr, sync::Arc};
use valor_runtime::{Body, BoxFuture, Bytes, Chunk, Request, RequestHead, Response, Vlugin};

fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1);
    smol::block_on(async {
        let runtime = embedded::runtime().await?;
        let listener = TcpListener::bind(addr.as_deref().unwrap_or("127.0.0.1:8080")).await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            let (socket, peer) = listener.accept().await?;
            let service = Valor {
                vlugin: runtime.clone(),
                peer,
            };
            let serving = http1::Builder::new()
                .timer(SmolTimer::new())
                .serve_connection(FuturesIo::new(socket), service);
            // A client that goes away is no fault of the program.
            smol::spawn(async { drop(serving.await) }).detach();
        }
    })
}

/// A vlugin, which a runtime is as well, for the requests of one client.
struct Valor {
    vlugin: Arc<dyn Vlugin>,
    peer: SocketAddr,
}

type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

impl Service<hyper::Request<Incoming>> for Valor {
    type Response = hyper::Response<Outgoing>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let (vlugin, peer) = (self.vlugin.clone(), self.peer);
        Box::pin(async move {
            let response = match into_valor(request, peer) {
                // A runtime answers every request; another vlugin may fail.
                Ok(request) => vlugin.on_request(request).await.unwrap_or_else(|fault| {
                    eprintln!("{fault}");
                    Response::problem(fault.status, "the vlugin failed")
                }),
                Err(error) => Response::problem(400, &error.to_string()),
            };
            Ok(from_valor(response))
        })
    }
}

fn into_valor(
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
) -> Result<Request, Box<dyn Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().ok_or("a request has a path")?;
    let mut head = RequestHead::new(parts.method.as_str(), target.as_str())?;
    head.set_peer(&peer.to_string());
    for (name, value) in &parts.headers {
        head.push(name.as_str(), value.as_bytes())?;
    }
    // The connection is hyper's: nobody here goes on with it in another protocol.
    head.remove("upgrade");
    let len = hyper::body::Body::size_hint(&body).exact();
    let chunks = BodyStream::new(body).map(|frame| {
        let frame = frame.map_err(io::Error::other)?;
        Ok(match frame.into_data() {
            Ok(data) => Chunk::Data(data),
            Err(frame) => Chunk::Trailers(
                frame
                    .trailers_ref()
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
                    .collect(),
            ),
        })
    });
    let body = match len {
        Some(0) => Body::empty(),
        len => Body::stream(len, chunks),
    };
    Ok(Request { head, body })
}

fn from_valor(response: Response) -> hyper::Response<Outgoing> {
    let mut out = hyper::Response::new(());
    *out.status_mut() = response.head.status().try_into().unwrap_or_default();
    *out.headers_mut() = headers(response.head.headers());
    let body = match response.body {
        Body::Bytes(bytes) => UnsyncBoxBody::new(http_body_util::BodyExt::map_err(
            Full::new(bytes),
            |never| match never {},
        )),
        Body::Stream { len, chunks } => {
            if let Some(len) = len {
                out.headers_mut().insert(CONTENT_LENGTH, len.into());
            }
            let frames = chunks.map(|chunk| {
                Ok(match chunk? {
                    Chunk::Data(data) => Frame::data(data),
                    Chunk::Trailers(trailers) => {
                        let trailers = trailers.iter();
                        Frame::trailers(headers(trailers.map(|(name, it)| (&**name, &**it))))
                    }
                })
            });
            UnsyncBoxBody::new(StreamBody::new(frames))
        }
    };
    out.map(|()| body)
}

/// Headers as hyper has them; those that it takes for none are left out.
fn headers<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> HeaderMap {
    let fields = fields.filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    let mut headers = HeaderMap::new();
    fields.for_each(|(name, value)| _ = headers.append(name, value));
    headers
}
