//! A component, written with a crate that knows nothing of Valor. The keys of its `config` are environment variables.

use std::env;
use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let greeting = env::var("greeting").unwrap_or("Hello".to_owned());
    let name = &request.uri().path()[1..];
    let response = Response::builder().header("content-type", "text/plain;charset=utf-8");
    Ok(response.body(format!("{greeting}, {name}!").into())?)
}
