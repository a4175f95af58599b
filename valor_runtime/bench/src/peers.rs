//! The servers that Valor is compared with: each is the plainest program that its documentation suggests. [`serve`]
//! runs one of them until it is killed.

use crate::subject::{BLOB, HELLO, Server};
use async_io::Async;
use axum::{
    Json, Router,
    extract::Query,
    http::{HeaderMap, Uri},
    routing,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::{Request, Response, body::Incoming, header, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use std::{
    convert::Infallible,
    io,
    net::{TcpListener, TcpStream},
    thread,
};

type Body = Either<Full<Bytes>, Incoming>;

/// Serves on a listener with this many threads.
pub fn serve(server: Server, listener: TcpListener, threads: usize) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    match server {
        Server::HyperTokio => tokio(threads, hyper_on_tokio(listener)),
        Server::HyperSmol => on_smol(listener, threads, hyper_on_smol),
        Server::AsyncH1 => on_smol(listener, threads, async_h1),
        Server::Axum => tokio(threads, axum(listener)),
        _ => unreachable!("served elsewhere"),
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let body = match request.uri().path() {
        "/hello" => Either::Left(Full::new(Bytes::from_static(HELLO.as_bytes()))),
        "/blob" => Either::Left(Full::new(Bytes::from_static(BLOB))),
        _ => Either::Right(request.into_body()),
    };
    let mut response = Response::new(body);
    let text = header::HeaderValue::from_static("text/plain;charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    Ok(response)
}

fn tokio(threads: usize, serving: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(threads).enable_io().build()?;
    runtime.block_on(serving)
}

async fn hyper_on_tokio(listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // The first task of a runtime has its own thread, and the others would wait for that.
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let http = hyper::server::conn::http1::Builder::new();
                let io = TokioIo::new(stream);
                let _ = http.serve_connection(io, service_fn(answer)).await;
            });
        }
    })
    .await
    .map_err(io::Error::other)?
}

/// Serves each connection with a task of one executor, which all threads run.
fn on_smol<F>(
    listener: TcpListener,
    threads: usize,
    connection: fn(Async<TcpStream>) -> F,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let executor: &'static smol::Executor<'static> = Box::leak(Box::new(smol::Executor::new()));
    for _ in 1..threads {
        thread::spawn(|| smol::block_on(executor.run(futures_lite::future::pending::<()>())));
    }
    let listener = Async::new(listener)?;
    smol::block_on(executor.run(async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.get_ref().set_nodelay(true)?;
            executor.spawn(connection(stream)).detach();
        }
    }))
}

async fn hyper_on_smol(stream: Async<TcpStream>) {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(SmolTimer::new()).header_read_timeout(None);
    let io = FuturesIo::new(stream);
    let _ = http.serve_connection(io, service_fn(answer)).await;
}

async fn async_h1(stream: Async<TcpStream>) {
    let hello = |_| async {
        let mut response = http_types::Response::new(200);
        response.set_body(HELLO);
        Ok(response)
    };
    let _ = async_h1::accept(smol::net::TcpStream::from(stream), hello).await;
}

#[derive(Deserialize)]
struct Page {
    page: u32,
}

#[derive(Serialize)]
struct Seen {
    path: String,
    page: u32,
    by: String,
}

/// What the crate `reads` does.
async fn reads(uri: Uri, Query(Page { page }): Query<Page>, headers: HeaderMap) -> Json<Seen> {
    let by = headers.get("user-agent").and_then(|by| by.to_str().ok());
    Json(Seen {
        path: uri.path().to_owned(),
        page,
        by: by.unwrap_or_default().to_owned(),
    })
}

async fn axum(listener: TcpListener) -> io::Result<()> {
    let app = Router::new()
        .route("/hello", routing::get(|| async { HELLO }))
        .route("/reads/{*rest}", routing::get(reads))
        .route("/blob", routing::get(|| async { Bytes::from_static(BLOB) }))
        .route(
            "/echo",
            routing::post(async |request: axum::extract::Request| {
                axum::body::Body::new(request.into_body().map_err(io::Error::other))
            }),
        );
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}
