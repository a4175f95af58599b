//! Every method, trait and operator of a request and of a response, in the words that an author would use.

use super::http::{
    self, Body, Method, Mime, Request, Response, StatusCode, Trailers, Url, Version,
    convert::{Deserialize, json},
    headers::{HeaderName, HeaderValue, HeaderValues, Headers},
};
use futures_lite::{AsyncBufReadExt, AsyncReadExt, future::block_on};
use std::{collections::BTreeMap, fmt::Debug, pin::pin};

/// A call, by its name: what it sees, as text.
type Call<T> = (&'static str, fn(T) -> String);

#[derive(Debug, Deserialize)]
#[allow(dead_code)] // It is shown.
struct Query {
    page: u8,
    tag: Option<Vec<String>>,
}

fn two(first: &str, second: &str) -> [HeaderValue; 2] {
    [first, second].map(|text| HeaderValue::from_bytes(text.into()).unwrap())
}

fn seen(value: impl Debug) -> String {
    format!("{value:?}")
}

/// Headers, in an order of their own.
fn all<'a>(fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValues)>) -> String {
    let sorted: BTreeMap<_, _> = fields
        .into_iter()
        .map(|(name, values)| (name.to_string(), seen(values)))
        .collect();
    seen(sorted)
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    texts
}

/// A result; of an error, its status and its text.
fn result<T: Debug>(result: http::Result<T>) -> String {
    match result {
        Ok(value) => seen(value),
        Err(error) => format!("{} {error}", error.status()),
    }
}

fn text(body: impl Into<Body>) -> String {
    let body = body.into();
    let (len, mime) = (body.len(), body.mime().to_string());
    format!("{len:?} {mime} {}", result(block_on(body.into_bytes())))
}

/// What both have.
macro_rules! shared {
    ($Message:ident) => {{
        let calls: &[Call<$Message>] = &[
            ("header", |it| {
                seen([
                    it.header("X-MANY"),
                    it.header("x-none"),
                    it.header(http::headers::HOST),
                    it.header("x-many"),
                ])
            }),
            ("header twice", |it| {
                let first = it.header("accept").or(it.header("etag")).unwrap();
                let again = it.header("accept").or(it.header("etag")).unwrap();
                assert!(std::ptr::eq(first, again), "what it lends stays where it is");
                let _ = it.iter().count();
                seen(first)
            }),
            ("header_mut", |mut it| {
                let values = it.header_mut("x-many").unwrap();
                values.append(&mut HeaderValues::from(HeaderValue::from_bytes(b"3".to_vec()).unwrap()));
                format!("{} {:?}", seen(it.header("x-many")), it.header_mut("x-none"))
            }),
            ("remove_header", |mut it| {
                let removed = it.remove_header("x-many");
                format!("{removed:?} {:?} {}", it.header("x-many"), all(it.iter()))
            }),
            ("insert_header", |mut it| {
                let before = it.insert_header("x-many", "new");
                let none = it.insert_header("x-new", &two("a", "b")[..]);
                format!("{before:?} {none:?} {}", all(it.iter()))
            }),
            ("append_header", |mut it| {
                it.append_header("x-many", "3");
                it.append_header("x-new", "a");
                all(it.iter())
            }),
            ("set_content_type", |mut it| {
                let before = it.set_content_type(http::mime::HTML);
                format!("{before:?} {:?}", it.content_type())
            }),
            ("content_type", |it| seen(it.content_type().map(|mime: Mime| mime.to_string()))),
            ("set_body", |mut it| {
                it.set_body("new");
                format!("{} {:?} {}", all(it.iter()), it.len(), text(it.take_body()))
            }),
            ("replace_body", |mut it| {
                let before = it.replace_body(json!({ "a": 2 }));
                format!("{} {} {}", text(before), all(it.iter()), text(it.take_body()))
            }),
            ("swap_body", |mut it| {
                let mut body = Body::from("swapped");
                it.swap_body(&mut body);
                format!("{} {} {}", text(body), all(it.iter()), text(it.take_body()))
            }),
            ("take_body", |mut it| {
                let body = text(it.take_body());
                format!("{body} {} {:?} {}", all(it.iter()), it.is_empty(), text(it.take_body()))
            }),
            ("take_body after a look", |mut it| {
                let before = all(it.iter());
                format!("{before} {} {}", text(it.take_body()), all(it.iter()))
            }),
            ("body_string", |mut it| {
                format!("{} {}", result(block_on(it.body_string())), all(it.iter()))
            }),
            ("body_bytes", |mut it| {
                format!("{} {:?}", result(block_on(it.body_bytes())), it.len())
            }),
            ("body_json", |mut it| result(block_on(it.body_json::<BTreeMap<String, u8>>()))),
            ("body_form", |mut it| result(block_on(it.body_form::<BTreeMap<String, u8>>()))),
            ("len", |it| format!("{:?} {:?}", it.len(), it.is_empty())),
            ("len after a look", |it| {
                let _ = it.iter().count();
                format!("{:?} {:?}", it.len(), it.is_empty())
            }),
            ("version", |mut it| {
                let before = it.version();
                it.set_version(Some(Version::Http2_0));
                format!("{before:?} {:?}", it.version())
            }),
            ("addresses", |mut it| {
                let before = format!("{:?} {:?}", it.peer_addr(), it.local_addr());
                it.set_peer_addr(Some("10.0.0.9:1"));
                it.set_local_addr(Some("10.0.0.8:2"));
                format!("{before} {:?} {:?}", it.peer_addr(), it.local_addr())
            }),
            ("trailers", |mut it| {
                let before = it.has_trailers();
                if before {
                    let trailers = it.recv_trailers();
                    let body = text(it.take_body());
                    let trailers = block_on(trailers).map(|trailers| all(trailers.iter()));
                    return format!("{body} {trailers:?}");
                }
                let (sender, receiver) = (it.send_trailers(), it.recv_trailers());
                let mut trailers = Trailers::new();
                trailers.insert("x-sum", "1");
                block_on(async {
                    sender.send(trailers).await;
                    let got = receiver.await.map(|trailers| all(trailers.iter()));
                    format!("{before} {} {got:?}", it.has_trailers())
                })
            }),
            ("iter", |it| {
                let names = sorted(it.header_names().map(|name| name.to_string()));
                let values = sorted(it.header_values().map(|value| value.to_string()));
                format!("{} {names:?} {values:?}", all(it.iter()))
            }),
            ("iter_mut", |mut it| {
                for (_, values) in it.iter_mut() {
                    *values = HeaderValue::from_bytes(b"all".to_vec()).unwrap().into();
                }
                all(it.iter())
            }),
            ("ext", |mut it| {
                let before = it.ext().get::<u8>().copied();
                it.ext_mut().insert(7_u8);
                format!("{before:?} {:?}", it.ext().get::<u8>())
            }),
            ("clone", |mut it| {
                it.ext_mut().insert(7_u8);
                let copy = it.clone();
                format!("{} {:?} {:?}", all(copy.iter()), copy.len(), copy.ext().get::<u8>())
            }),
            ("clone at once", |it| {
                let mut copy = it.clone();
                copy.insert_header("x-copy", "1");
                format!("{} {} {:?}", all(copy.iter()), all(it.iter()), (copy.len(), it.len()))
            }),
            ("AsyncRead", |mut it| {
                let mut read = String::new();
                let read = block_on(it.read_to_string(&mut read)).map(|_| read);
                seen(read.map_err(|error| error.to_string()))
            }),
            ("AsyncBufRead", |it| {
                let mut it = pin!(it);
                let mut read = Vec::new();
                let read = block_on(it.read_until(b'i', &mut read)).map(|_| read);
                seen(read.map_err(|error| error.to_string()))
            }),
            ("AsRef and AsMut", |mut it| {
                let headers: &mut Headers = it.as_mut();
                headers.insert("x-new", "a");
                let headers: &Headers = it.as_ref();
                all(headers.iter())
            }),
            ("Index", |it| format!("{:?} {}", it["X-Many"], it[HeaderName::from("x-many")])),
            ("IntoIterator", |mut it| {
                let by_reference = all(&it);
                for (_, values) in &mut it {
                    *values = HeaderValue::from_bytes(b"all".to_vec()).unwrap().into();
                }
                let owned: BTreeMap<_, _> = it
                    .into_iter()
                    .map(|(name, values): (HeaderName, HeaderValues)| (name.to_string(), seen(values)))
                    .collect();
                format!("{by_reference} {owned:?}")
            }),
            ("Debug", |it| {
                let shown = seen(&it);
                // The names of headers come in any order, and so do channels' addresses.
                shown.split_whitespace().next().unwrap_or_default().to_owned()
            }),
            ("Send and Sync", |it| {
                fn shared<T: Send + Sync + Unpin + 'static>(_: &T) {}
                shared(&it);
                String::new()
            }),
        ];
        calls.iter().copied()
    }};
}

/// Of a request that was received.
pub fn on_requests() -> Vec<Call<Request>> {
    let own: [Call<Request>; 12] = [
        ("method", |mut it| {
            let before = it.method();
            it.set_method(Method::Patch);
            format!("{before} {}", it.method())
        }),
        ("url", |it| it.url().to_string()),
        ("url_mut", |mut it| {
            let before = it.url().clone();
            it.url_mut().set_path("/new");
            format!("{before} {}", it.url())
        }),
        ("remote", |it| seen(it.remote())),
        ("host", |it| seen(it.host())),
        ("query", |it| result(it.query::<Query>())),
        ("query of another shape", |it| {
            result(it.query::<BTreeMap<String, u8>>())
        }),
        ("set_query", |mut it| {
            let set = it.set_query(&BTreeMap::from([("page", 3)]));
            format!(
                "{} {} {}",
                result(set),
                it.url(),
                result(it.query::<Query>())
            )
        }),
        ("Body::from", |it| text(it)),
        ("Response::from", |it| {
            let mut res = Response::from(it);
            format!("{} {} {}", res.status(), all(&res), text(res.take_body()))
        }),
        ("url stays", |it| {
            let before: *const Url = it.url();
            let _ = it.iter().count();
            assert!(
                std::ptr::eq(before, it.url()),
                "what it lends stays where it is"
            );
            String::new()
        }),
        ("changes after looks", |mut it| {
            let _ = (it.url().clone(), it.header("accept").cloned(), it.len());
            it.insert_header("accept", "new");
            it.url_mut().set_query(None);
            format!(
                "{} {:?} {:?}",
                it.url(),
                it.header("accept"),
                it.query::<Query>().is_err()
            )
        }),
    ];
    shared!(Request).chain(own).collect()
}

/// Of a response that was received.
pub fn on_responses() -> Vec<Call<Response>> {
    let own: [Call<Response>; 3] = [
        ("status", |it| it.status().to_string()),
        ("set_status", |mut it| {
            it.set_status(StatusCode::ImATeapot);
            let first = it.status();
            it.insert_header("x-new", "1");
            it.set_status(StatusCode::Accepted);
            format!("{first} {}", it.status())
        }),
        ("upgrades", |mut it| {
            let before = it.has_upgrade();
            let sender = it.send_upgrade();
            let receiver = block_on(it.recv_upgrade());
            drop(sender);
            format!(
                "{before} {} {:?}",
                it.has_upgrade(),
                block_on(receiver).is_some()
            )
        }),
    ];
    shared!(Response).chain(own).collect()
}

fn request(req: Request) -> String {
    format!(
        "{} {} {} {:?}",
        req.method(),
        req.url(),
        all(&req),
        req.len()
    )
}

fn response(mut res: Response) -> String {
    format!("{} {} {}", res.status(), all(&res), text(res.take_body()))
}

/// Of messages that begin here: every way to make one, and then every call.
pub fn made_here() -> Vec<String> {
    let url = "http://example.org/a?page=1";
    let mut seen = vec![
        request(Request::new(Method::Lock, url)),
        request(Request::new(Method::Get, Url::parse(url).unwrap())),
        request(Request::get(url)),
        request(Request::head(url)),
        request(Request::post(url)),
        request(Request::put(url)),
        request(Request::delete(url)),
        request(Request::connect(url)),
        request(Request::options(url)),
        request(Request::trace(url)),
        request(Request::patch(url)),
        response(Response::new(204)),
        response(Response::new(StatusCode::Gone)),
        response(Response::from(StatusCode::Created)),
        response(Response::from(())),
        response(Response::from("text")),
        response(Response::from("")),
        response("text".to_owned().into()),
        response(vec![1, 2].into()),
        response((&[1_u8, 2][..]).into()),
        response(json!({ "a": [1, "\u{e4}"] }).into()),
        response(Body::from_form(&[("a", 1)]).unwrap().into()),
        response(Request::get(url).into()),
        panics(|| Response::new(600)),
        panics(|| Request::get("no URL")),
        panics(|| Request::get(url)["x-none"].clone()),
        panics(|| Response::from("text")["x-none"].clone()),
    ];
    for (name, call) in on_requests() {
        let mut req = Request::post("http://example.org/a%20b?page=2");
        req.insert_header("x-many", &two("1", "2")[..]);
        req.insert_header("accept", "text/html");
        req.set_body("in the body");
        seen.push(format!("{name}: {}", call(req)));
    }
    for (name, call) in on_responses() {
        let mut res = Response::new(404);
        res.insert_header("x-many", &two("1", "2")[..]);
        res.insert_header("etag", "\"a\"");
        seen.push(format!("{name}: {}", call(res)));
    }
    seen
}

/// Whether it panics: the text may differ.
fn panics<T>(call: impl FnOnce() -> T + std::panic::UnwindSafe) -> String {
    std::panic::catch_unwind(call).is_err().to_string()
}
