//! An axum app as a vlugin: extractors, the context, streams in both directions, errors.

#![allow(missing_docs)] // It is written as authors write.

use axum::{
    Extension, Form, Json, Router,
    body::Body,
    extract::{Multipart, Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response, Sse, sse::Event},
    routing::{any, get, post},
};
use axum_extra::extract::{CookieJar, cookie::Cookie};
use futures_lite::{StreamExt, stream};
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use valor::{Context, http1, testing, vlugin};

static TICKS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone)]
pub struct Shelf(Arc<Vec<String>>);

/// An error as axum has them.
pub struct Missing(usize);

impl IntoResponse for Missing {
    fn into_response(self) -> Response {
        (StatusCode::GONE, format!("no item {}", self.0)).into_response()
    }
}

async fn item(State(shelf): State<Shelf>, Path(at): Path<usize>) -> Result<String, Missing> {
    shelf.0.get(at).cloned().ok_or(Missing(at))
}

async fn upload(mut parts: Multipart) -> Result<String, axum::extract::multipart::MultipartError> {
    let mut told = String::new();
    while let Some(part) = parts.next_field().await? {
        let name = part.name().unwrap_or_default().to_owned();
        told += &format!("{name}={};", part.text().await?);
    }
    Ok(told)
}

async fn visit(jar: CookieJar) -> (CookieJar, String) {
    let visits = jar
        .get("visits")
        .and_then(|it| it.value().parse().ok())
        .unwrap_or(0);
    (
        jar.add(Cookie::new("visits", (visits + 1).to_string())),
        format!("{visits} before"),
    )
}

async fn ticks() -> Sse<impl stream::Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold(0, async |number| {
        valor::sleep(Duration::from_secs(1)).await;
        TICKS.fetch_add(1, Ordering::SeqCst);
        Some((
            Ok(Event::default().id(number.to_string()).data("tick")),
            number + 1,
        ))
    }))
}

async fn ask(Extension(cx): Extension<Arc<Context>>, req: Request) -> Result<Response, String> {
    let asked = cx
        .call_http1("peer", req)
        .await
        .map_err(|error| error.to_string())?;
    Ok(asked.map(Body::new))
}

async fn upper(req: Request) -> Body {
    let data = req.into_body().into_data_stream();
    Body::from_stream(data.map(|piece| piece.map(|piece| piece.to_ascii_uppercase())))
}

async fn socket(headers: HeaderMap) -> Response {
    if !http1::offers_upgrade(&headers, "raw") {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    }
    http1::upgrade("raw", |_| async { Ok(()) }).map(Body::new)
}

async fn stamp(req: Request, next: Next) -> Response {
    let mut res = next.run(req).await;
    res.headers_mut().insert("x-stamp", "yes".parse().unwrap());
    res
}

#[vlugin]
pub fn app(cx: &mut Context) -> Router {
    let shelf = Shelf(Arc::new(cx.config().unwrap_or_default()));
    cx.set(7_u8);
    Router::new()
        .route("/", get(async || "hello"))
        .route("/items/{at}", get(item))
        .route(
            "/query",
            get(async |Query(all): Query<HashMap<String, u8>>| Json(all)),
        )
        .route(
            "/form",
            post(async |Form(all): Form<Vec<(String, String)>>| format!("{all:?}")),
        )
        .route(
            "/json",
            post(async |Json(value): Json<serde_json::Value>| Json([value])),
        )
        .route("/upload", post(upload))
        .route("/visit", get(visit))
        .route("/ticks", get(ticks))
        .route(
            "/set",
            get(async |Extension(cx): Extension<Arc<Context>>| cx.get::<u8>().to_string()),
        )
        .route("/ask", post(ask))
        .route("/upper", post(upper))
        .route("/socket", any(socket))
        .route("/panic", get(async || -> &str { panic!("in the handler") }))
        .layer(middleware::from_fn(stamp))
        .with_state(shelf)
}

#[test]
fn extractors_and_responses_are_axums() {
    let vlugin = testing::create(VLUGIN, ["cup", "tea"]);
    vlugin
        .get("/")
        .assert_body("hello")
        .assert_header("x-stamp", "yes");
    vlugin.get("/items/1").assert_body("tea");
    vlugin
        .get("/items/9")
        .assert_status(410)
        .assert_body("no item 9");
    vlugin.get("/items/x").assert_status(400);
    vlugin
        .get("/query?a=1")
        .assert_json(serde_json::json!({ "a": 1 }));
    vlugin.get("/query?a=x").assert_status(400);
    vlugin.get("/none").assert_status(404);
    vlugin
        .post("/", "")
        .assert_status(405)
        .assert_header("allow", "GET,HEAD");
    vlugin
        .post("/json", serde_json::json!({}))
        .assert_body("[{}]");
    vlugin.post("/json", "{}").assert_status(415);
    vlugin
        .request("POST", "/form")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("a=1&a=%C3%A4")
        .send()
        .assert_body(r#"[("a", "1"), ("a", "ä")]"#);
}

#[test]
fn parts_of_a_form_are_read_as_they_come() {
    let part = |name, value| {
        format!("--x\r\ncontent-disposition: form-data; name={name}\r\n\r\n{value}\r\n")
    };
    let pieces = [part("a", "1"), part("b", "2"), "--x--\r\n".to_owned()];
    testing::create(VLUGIN, ())
        .request("POST", "/upload")
        .header("content-type", "multipart/form-data; boundary=x")
        .body(valor::streaming(stream::iter(pieces.map(Ok))))
        .send()
        .assert_body("a=1;b=2;");
}

#[test]
fn cookies_come_and_go() {
    testing::create(VLUGIN, ())
        .request("GET", "/visit")
        .header("cookie", "visits=3")
        .send()
        .assert_body("3 before")
        .assert_header("set-cookie", "visits=4");
}

#[test]
fn a_context_and_other_vlugins_are_at_hand() {
    let host = testing::TestHost::new().on_call("peer", async |mut req: valor::http::Request| {
        req.body_string().await.unwrap() + "!"
    });
    let vlugin = host.create(VLUGIN);
    vlugin.get("/set").assert_body("7");
    vlugin.post("/ask", "well").assert_body("well!");
}

#[test]
fn events_are_made_as_they_are_read() {
    let vlugin = testing::create(VLUGIN, ());
    let start = vlugin.now();
    let mut events = vlugin
        .get("/ticks")
        .assert_header("content-type", "text/event-stream");
    assert_eq!(TICKS.load(Ordering::SeqCst), 0);
    for number in 0..3 {
        let event = events.chunk().unwrap().unwrap();
        assert_eq!(event, format!("id: {number}\ndata: tick\n\n"));
        assert_eq!(TICKS.load(Ordering::SeqCst), number + 1);
    }
    assert_eq!(vlugin.now(), start + Duration::from_secs(3));
}

#[test]
fn a_body_goes_through_in_pieces() {
    let read = Arc::new(AtomicUsize::new(0));
    let counted = read.clone();
    let pieces = stream::iter(["a", "b", "c"]).map(move |piece| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(piece)
    });
    let vlugin = testing::create(VLUGIN, ());
    let mut response = vlugin.post("/upper", valor::streaming(pieces));
    // The test kit takes the first piece to learn whether it is all.
    assert_eq!(read.load(Ordering::SeqCst), 1);
    for (before, piece) in ["A", "B", "C"].into_iter().enumerate() {
        assert_eq!(response.chunk().unwrap().unwrap(), piece);
        assert_eq!(read.load(Ordering::SeqCst), before + 1);
    }
    assert_eq!(response.chunk().unwrap(), None);
}

#[test]
fn a_panic_is_one_failed_response() {
    let vlugin = testing::create(VLUGIN, ());
    vlugin
        .get("/panic")
        .assert_status(500)
        .assert_fault("in the handler");
    vlugin.get("/").assert_body("hello");
}

#[test]
fn an_upgrade_needs_an_offer() {
    let vlugin = testing::create(VLUGIN, ());
    vlugin.get("/socket").assert_status(426);
}
