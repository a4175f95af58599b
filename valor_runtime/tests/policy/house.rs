//! The runtime that the rows are played against: real dispatch, and vlugins for every kind of answer.

use crate::harness::{chunks, data, mirror, text};
use futures_lite::{StreamExt, stream};
use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
};
use valor_runtime::{
    Body, Chunk, Fault, Limits, Place, Request, Response, Runtime, Vlugin, from_fn, from_http, http,
};

/// Reports what it was asked at `/` and at `/small`, where a body may have 10 bytes. Gives other kinds of answers
/// elsewhere.
pub fn house() -> Arc<dyn Vlugin> {
    let runtime = Runtime::builder().build().unwrap();
    let add = |place: Place, vlugin| runtime.add(place, vlugin).unwrap();
    let limits = |timeout, body, concurrency| Limits {
        timeout,
        body,
        concurrency,
        ..Limits::default()
    };
    add(Place::new("root").prefix("/"), mirror());
    let small = Place::new("small").limits(limits(None, Some(10), None));
    add(small, mirror());
    add(Place::new("answers"), answers());
    add(Place::new("handler"), handler());
    let late = Place::new("late").limits(limits(Some(0.2), None, None));
    add(late, from_fn(|_| std::future::pending()));
    let single = Place::new("single").limits(limits(None, None, Some(1)));
    add(single, answers());
    add(Place::new("echo"), echo());
    add(Place::new("deaf"), from_fn(|_| async { Ok(text("deaf")) }));
    runtime
}

/// Nothing is mounted here except at `/a/b`.
pub fn nearly_empty() -> Arc<dyn Vlugin> {
    let runtime = Runtime::builder().build().unwrap();
    runtime
        .add(Place::new("b").prefix("/a/b"), mirror())
        .unwrap();
    runtime
        .add(
            Place::new("again"),
            from_fn(|_| async { Ok(text("GET /again host=a body=")) }),
        )
        .unwrap();
    runtime
}

fn echo() -> Arc<dyn Vlugin> {
    from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        response.body = request.body;
        Ok(response)
    })
}

/// What a vlugin answers, by path.
fn answers() -> Arc<dyn Vlugin> {
    fn with(headers: &[(&str, &[u8])], status: u16, body: &'static str) -> Response {
        let mut response = Response::new(status);
        for (name, value) in headers {
            response.head.push(name, value).unwrap();
        }
        response.body = Body::from(body);
        response
    }
    from_fn(|request: Request| async move {
        let broken = || Err(io::Error::other("on purpose"));
        Ok(match request.head.path() {
            "/204" => with(&[("content-length", b"4")], 204, "body"),
            "/304" => with(&[("etag", b"\"x\"")], 304, "body"),
            "/205" => with(&[("content-length", b"4")], 205, "body"),
            "/205-stream" => {
                let mut response = chunks(None, vec![data("one")]);
                response.head = Response::new(205).head;
                response
            }
            "/100" => with(&[], 100, ""),
            "/101" => with(&[("upgrade", b"websocket")], 101, ""),
            "/103" => with(&[("link", b"</a.css>; rel=preload")], 103, "body"),
            "/cookies" => with(
                &[("set-cookie", b"a=1"), ("x", b"y"), ("set-cookie", b"b=2")],
                200,
                "",
            ),
            "/control" => with(&[("x", b"a\x01b")], 200, "body"),
            "/split" => {
                let mut response = Response::new(200);
                response
                    .head
                    .push("x", b"a\r\nset-cookie: b")
                    .map_err(|error| Fault::error(500, error.to_string()))?;
                response
            }
            "/utf-8" => with(&[("x", "ä".as_bytes())], 200, "body"),
            "/framing" => with(
                &[
                    ("transfer-encoding", b"gzip"),
                    ("connection", b"upgrade"),
                    ("content-length", b"1"),
                    ("keep-alive", b"x"),
                    ("upgrade", b"h2c"),
                    ("trailer", b"x"),
                ],
                200,
                "body",
            ),
            "/promise" => with(&[("content-length", b"99")], 200, ""),
            "/stream" => chunks(None, vec![data("on"), data(""), data("e")]),
            "/sized" => chunks(Some(3), vec![data("on"), data("e")]),
            "/short" => chunks(Some(5), vec![data("one")]),
            "/long" => chunks(Some(3), vec![data("one, two"), data("three")]),
            "/fails" => chunks(None, vec![data("one"), broken()]),
            "/fails-sized" => chunks(Some(9), vec![data("one"), broken()]),
            "/fails-first" => chunks(None, vec![broken()]),
            "/trailers" => {
                let trailers = vec![("x-sum".to_owned(), b"1".to_vec())];
                chunks(None, vec![data("one"), Ok(Chunk::Trailers(trailers))])
            }
            "/bad-trailers" => {
                let trailers = vec![("x".to_owned(), b"1\r\nx: 2".to_vec())];
                chunks(None, vec![data("one"), Ok(Chunk::Trailers(trailers))])
            }
            "/panic" => panic!("on purpose"),
            "/fault" => return Err(Fault::error(418, "short and stout")),
            "/secret" => return Err(Fault::error(500, "the password is x")),
            "/events" => {
                let mut response = Response::new(200);
                let events = stream::once(data("event")).chain(stream::pending());
                response.body = Body::stream(None, events);
                response
            }
            path => text(path.to_owned()),
        })
    })
}

/// The same with an author's means.
fn handler() -> Arc<dyn Vlugin> {
    from_http(|req: http::Request| async move {
        let mut res = http::Response::new(200);
        match req.url().path() {
            "/split" => res.insert_header("x", "a\r\nset-cookie: b"),
            "/nul" => res.insert_header("x", "a\0b"),
            "/103" => {
                res.set_status(http::StatusCode::EarlyHints);
                None
            }
            "/204" => {
                res.set_status(http::StatusCode::NoContent);
                None
            }
            "/utf-8" => {
                // `http_types` panics for a value that is not ASCII.
                res.insert_header("x", "ä")
            }
            "/error" => return Err(http::Error::from_str(500, "the password is x")),
            "/teapot" => return Err(http::Error::from_str(418, "short and stout")),
            "/trailers" => {
                let sender = res.send_trailers();
                let mut trailers = http::Trailers::new();
                trailers.insert("x-sum", "1");
                sender.send(trailers).await;
                None
            }
            _ => None,
        };
        res.set_body("one");
        Ok(res)
    })
}

/// The errors that are logged from now on.
pub fn log() -> &'static Mutex<Vec<String>> {
    struct Keep(Mutex<Vec<String>>);
    impl log::Log for Keep {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            self.0.lock().unwrap().push(record.args().to_string());
        }
        fn flush(&self) {}
    }
    static LOG: OnceLock<&'static Keep> = OnceLock::new();
    let keep = LOG.get_or_init(|| {
        let keep: &'static Keep = Box::leak(Box::new(Keep(Mutex::default())));
        log::set_logger(keep).expect("the only logger");
        log::set_max_level(log::LevelFilter::Error);
        keep
    });
    &keep.0
}
