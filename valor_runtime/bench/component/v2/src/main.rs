//! Answers `/hello` as every server of the bench does, `/echo` with the request's body, and everything else with 404.

use wstd::http::{Body, Error, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    match request.uri().path() {
        "/hello" => {
            let response = Response::builder().header("content-type", "text/plain;charset=utf-8");
            Ok(response.body("OK response from a plugin".into())?)
        }
        "/echo" => Ok(Response::new(request.into_body())),
        _ => {
            let response = Response::builder().status(StatusCode::NOT_FOUND);
            Ok(response.body(Body::empty())?)
        }
    }
}
