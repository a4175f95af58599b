//! Answers `/hello` as every server of the bench does, and everything else with 404.

use wstd::http::{Body, Error, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    if request.uri().path() != "/hello" {
        let response = Response::builder().status(StatusCode::NOT_FOUND);
        return Ok(response.body(Body::empty())?);
    }
    let response = Response::builder().header("content-type", "text/plain;charset=utf-8");
    Ok(response.body("OK response from a plugin".into())?)
}
