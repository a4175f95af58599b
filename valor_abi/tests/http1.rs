//! Between the types of `http` and those of `http_types`: what one has comes back from the other.

use futures_lite::{future::block_on, stream};
use http_body_util::{BodyExt, StreamBody};
use std::{convert::Infallible, io};
use valor::{
    IntoResponse, http,
    http1::{self, Body, HeaderMap, HeaderValue, PeerAddr, StatusCode, Uri},
};
use valor_abi_wire::Bytes;

/// An extension.
#[derive(Debug, Clone, PartialEq)]
struct Mark(&'static str);

fn collected(
    body: impl http_body::Body<Data = Bytes, Error = io::Error>,
) -> (Bytes, Option<HeaderMap>) {
    let body = block_on(body.collect()).unwrap();
    let trailers = body.trailers().cloned();
    (body.to_bytes(), trailers)
}

/// A body of two pieces, and perhaps trailers.
fn pieces(trailers: Option<HeaderMap>) -> Body {
    let data = ["ab", "c"].map(|piece| http_body::Frame::data(Bytes::from(piece)));
    let frames = data
        .into_iter()
        .chain(trailers.map(http_body::Frame::trailers));
    let frames = frames.map(Ok::<_, Infallible>);
    Body::new(StreamBody::new(stream::iter(frames.collect::<Vec<_>>())))
}

fn sum() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("9"))])
}

#[test]
fn a_request_of_http_types_comes_back_whole() {
    let mut req = http::Request::post("https://you:me@example.com:8443/a%20b?c=d&e#f");
    req.append_header("x-two", "1");
    req.append_header("x-two", "2");
    req.set_body("body");
    req.set_version(Some(http::Version::Http2_0));
    req.set_peer_addr(Some("10.0.0.1:9"));
    req.ext_mut().insert(Mark("theirs"));

    let mut there = http1::request_from(req).unwrap();
    assert_eq!(there.uri(), "https://you:me@example.com:8443/a%20b?c=d&e");
    assert_eq!(there.method(), http1::Method::POST);
    assert_eq!(there.version(), http1::Version::HTTP_2);
    let twos: Vec<_> = there.headers().get_all("x-two").iter().collect();
    assert_eq!(twos, ["1", "2"]);
    assert_eq!(
        there.extensions().get(),
        Some(&PeerAddr("10.0.0.1:9".parse().unwrap()))
    );
    there.extensions_mut().insert(Mark("ours"));

    let mut back = http1::request_into(there).unwrap();
    assert_eq!(back.method(), http::Method::Post);
    assert_eq!(back.url().path(), "/a%20b");
    assert_eq!(back.url().query(), Some("c=d&e"));
    assert_eq!(back.url().port(), Some(8443));
    assert_eq!(back.version(), Some(http::Version::Http2_0));
    assert_eq!(back.peer_addr(), Some("10.0.0.1:9"));
    assert_eq!(back["x-two"].iter().count(), 2);
    assert_eq!(back["content-type"], "text/plain;charset=utf-8");
    assert_eq!(back.ext().get(), Some(&Mark("theirs")));
    assert_eq!(block_on(back.body_string()).unwrap(), "body");

    let again = http1::request_from(back).unwrap();
    assert_eq!(again.extensions().get(), Some(&Mark("ours")));
}

#[test]
fn a_request_in_origin_form_gets_the_host_of_its_header() {
    let mut req = http1::Request::get("/a?b").body(Body::empty()).unwrap();
    assert_eq!(
        http1::request_into(req.clone_head())
            .unwrap()
            .url()
            .as_str(),
        "http://localhost/a?b"
    );
    req.headers_mut()
        .insert("host", HeaderValue::from_static("example.com"));
    req.extensions_mut().insert(http1::uri::Scheme::HTTPS);
    let req = http1::request_into(req).unwrap();
    assert_eq!(req.url().as_str(), "https://example.com/a?b");
    assert_eq!(
        http1::request_from(req).unwrap().uri(),
        &Uri::from_static("https://example.com/a?b")
    );
}

trait CloneHead {
    fn clone_head(&self) -> Self;
}

impl CloneHead for http1::Request<Body> {
    fn clone_head(&self) -> Self {
        let mut clone = http1::Request::new(Body::empty());
        *clone.uri_mut() = self.uri().clone();
        clone
    }
}

#[test]
fn bodies_stream_with_their_trailers() {
    let req = http1::Request::post("/").body(pieces(Some(sum()))).unwrap();
    let req = http1::request_into(req).unwrap();
    assert_eq!(req.len(), None);
    let (data, trailers) = collected(http1::request_from(req).unwrap().into_body());
    assert_eq!((&*data, trailers), (&b"abc"[..], Some(sum())));

    let res = http1::response_into(http1::Response::new(pieces(Some(sum())))).unwrap();
    let (data, trailers) = collected(http1::response_from(res).unwrap().into_body());
    assert_eq!((&*data, trailers), (&b"abc"[..], Some(sum())));

    let res = http1::response_into(http1::Response::new(pieces(None))).unwrap();
    let (data, trailers) = collected(http1::response_from(res).unwrap().into_body());
    assert_eq!((&*data, trailers), (&b"abc"[..], None));
}

#[test]
fn a_response_of_http_comes_back_whole() {
    let mut res = http1::Response::new("text".to_owned());
    *res.status_mut() = StatusCode::IM_A_TEAPOT;
    *res.version_mut() = http1::Version::HTTP_10;
    res.headers_mut()
        .append("x-two", HeaderValue::from_static("1"));
    res.headers_mut()
        .append("x-two", HeaderValue::from_static("2"));
    res.extensions_mut().insert(Mark("ours"));

    let mut there = http1::response_into(res).unwrap();
    assert_eq!(there.status(), http::StatusCode::ImATeapot);
    assert_eq!(there.version(), Some(http::Version::Http1_0));
    assert_eq!(there.len(), Some(4));
    there.ext_mut().insert(Mark("theirs"));

    let back = http1::response_from(there).unwrap();
    assert_eq!(back.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(back.version(), http1::Version::HTTP_10);
    assert_eq!(back.headers().get_all("x-two").iter().count(), 2);
    assert!(!back.headers().contains_key("content-type"));
    assert_eq!(back.extensions().get(), Some(&Mark("ours")));
    let again = http1::response_into(back).unwrap();
    assert_eq!(again.ext().get(), Some(&Mark("theirs")));
}

#[test]
fn what_http_types_cannot_carry_is_an_error() {
    let mut req = http1::Request::get("/").body(Body::empty()).unwrap();
    req.headers_mut()
        .insert("x-a", HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(http1::request_into(req).unwrap_err().status(), 400);
    let brew = http1::Request::builder()
        .method("BREW")
        .body(Body::empty())
        .unwrap();
    assert_eq!(http1::request_into(brew).unwrap_err().status(), 501);
    let mut res = http1::Response::new(Body::empty());
    *res.status_mut() = StatusCode::from_u16(299).unwrap();
    assert_eq!(res.into_response().unwrap_err().status(), 502);
}

#[test]
fn an_upgrade_survives_both_ways_and_middleware() {
    let mut res = http1::upgrade("raw", |_| async { Ok(()) });
    assert_eq!(res.status(), StatusCode::SWITCHING_PROTOCOLS);
    res.headers_mut()
        .insert("x-by", HeaderValue::from_static("middleware"));
    let res = http1::response_into(res).unwrap();
    assert!(res.has_upgrade());
    assert_eq!(res["upgrade"], "raw");
    assert_eq!(res["x-by"], "middleware");
}

#[test]
fn a_body_says_how_long_it_is() {
    use http_body::Body as _;
    let mut body = Body::from("abc");
    assert_eq!(
        (body.size_hint().exact(), body.is_end_stream()),
        (Some(3), false)
    );
    assert_eq!(
        &*block_on(body.frame())
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        b"abc"
    );
    assert!(body.is_end_stream() && block_on(body.frame()).is_none());
    assert!(Body::empty().is_end_stream() && Body::from(()).is_end_stream());
    assert_eq!(pieces(None).size_hint().exact(), None);
}
