//! What a vlugin does with its client, case by case; `server.rs` is the other side.
//!
//! `main.rs` next to it compiles this file against the real surf and against the client of WebAssembly modules;
//! `fixtures/client` of `valor_runtime` compiles it as a module that runs in wasmtime. Its `super` says which `surf` it
//! is about, and has `server`.

use super::{
    server::{FORBIDDEN, Weather, pieces},
    surf,
};
use futures_lite::{AsyncBufReadExt, AsyncReadExt, future::try_zip};
use serde::{Deserialize, Serialize};
use std::{future::Future, pin::Pin};
use surf::{
    Client, Request, Response, StatusCode, Url,
    http::{self, Method, mime},
    middleware::{Logger, Middleware, Next, Redirect},
};

#[derive(Serialize, Deserialize)]
struct Form {
    a: String,
    d: u8,
}

/// Middleware that adds its name to a header.
struct Named(&'static str);

#[surf::utils::async_trait]
impl Middleware for Named {
    async fn handle(&self, mut req: Request, client: Client, next: Next<'_>) -> surf::Result {
        let seen = req.header("x-seen").map_or("", |seen| seen.as_str());
        let seen = format!("{seen} {}", self.0).trim().to_owned();
        req.set_header("x-seen", seen);
        next.run(req, client).await
    }
}

/// Sends another request first.
struct Asking(String);

#[surf::utils::async_trait]
impl Middleware for Asking {
    async fn handle(&self, mut req: Request, client: Client, next: Next<'_>) -> surf::Result {
        let first = client.get(&self.0).recv_string().await?;
        assert_eq!(first, "x-seen: ", "it has no middleware");
        req.insert_header("x-seen", "asked first");
        next.run(req, client).await
    }
}

struct Answering;

#[surf::utils::async_trait]
impl Middleware for Answering {
    async fn handle(&self, _: Request, _: Client, _: Next<'_>) -> surf::Result {
        let mut res = http::Response::new(418);
        res.set_body("never sent");
        Ok(res.into())
    }
}

type Handled<'a> = Pin<Box<dyn Future<Output = surf::Result> + Send + 'a>>;

fn function<'a>(mut req: Request, client: Client, next: Next<'a>) -> Handled<'a> {
    Box::pin(async move {
        req.set_header("x-seen", "function");
        next.run(req, client).await
    })
}

/// What a vlugin answers in this case; `server` is the URL of the other side, without a slash.
pub async fn ask(client: Client, case: &str, server: &str) -> http::Result<http::Response> {
    let at = |path: &str| format!("{server}{path}");
    let text = match case {
        "json" => {
            let url = at("/weather?unit=C");
            let weather = client.get(url).await?.body_json::<Weather>().await?;
            format!("{} degrees in {}", weather.degrees, weather.place)
        }
        "json-broken" => {
            let weather: Weather = client.get(at("/new")).recv_json().await?;
            weather.place
        }
        "all" => {
            let weather = Weather {
                place: "Rome".into(),
                degrees: 30,
            };
            let query = serde_json::json!({ "by": "me & you" });
            let mut res = client
                .put(at("/report"))
                .query(&query)?
                .header("x-key", "secret")
                .body_json(&weather)?
                .await?;
            let kind = res.content_type().unwrap();
            let head = format!(
                "{} {} {}",
                res.status(),
                kind.essence(),
                res["x-number"].as_str()
            );
            format!("{head}: {}", res.body_string().await?)
        }
        "methods" => {
            let mut all = Vec::new();
            for begun in [
                client.delete(at("/method")),
                client.get(at("/method")),
                client.options(at("/method")),
                client.patch(at("/method")),
                client.post(at("/method")),
                client.put(at("/method")),
            ] {
                all.push(begun.recv_string().await?);
            }
            let mut head = client.head(at("/method")).send().await?;
            let body = head.body_string().await?;
            format!("{} HEAD: {}{body}", all.join(" "), head["x-len"].as_str())
        }
        "methods-not-sent" => [
            client.connect(at("/")),
            client.trace(at("/")),
            client.head(at("/")),
        ]
        .map(|begun| begun.build().method().to_string())
        .join(" "),
        "string" => {
            let sent = client.post(at("/echo")).body_string("some text".into());
            sent.recv_string().await?
        }
        "bytes" => {
            let sent = client.post(at("/echo")).body_bytes([0, 1, 254, 255]);
            let mut received = sent.recv_bytes().await?;
            let bytes = received.split_off(received.len() - 4);
            let bytes: Vec<_> = bytes.iter().map(u8::to_string).collect();
            String::from_utf8(received)? + &bytes.join(", ")
        }
        "form" => {
            let form = Form {
                a: "b & c".into(),
                d: 1,
            };
            let mut req = Request::new(Method::Post, Url::parse(&at("/form"))?);
            req.body_form(&form)?;
            let sent = client.recv_string(req.clone()).await?;
            assert_eq!(sent, "", "a clone has no body");
            let sent = client.recv_string(req).await?;
            let Form { a, d } = client.get(at("/a-form")).recv_form().await?;
            format!("{sent} {a} {d}")
        }
        "content-type" => {
            let own: mime::Mime = "application/x-own".parse()?;
            let sent = client.post(at("/echo")).body("of its own type");
            sent.content_type(own).recv_string().await?
        }
        "header-methods" => header_methods(&at("/"))?,
        "response-methods" => response_methods(client.get(at("/headers")).await?).await?,
        "lines" => {
            let mut res = client.get(at("/lines")).await?;
            let (mut first, mut second, mut rest) = <(String, String, String)>::default();
            res.read_line(&mut first).await?;
            res.read_line(&mut second).await?;
            res.read_to_string(&mut rest).await?;
            format!("{}|{}|{rest}", first.trim(), second.trim())
        }
        "stream-in" => {
            let sent = client.post(at("/length")).body(pieces("3 of", 75_000));
            sent.recv_string().await?
        }
        "stream-out" => {
            let mut res = client.get(at("/long")).await?;
            let (mut total, mut buffer) = (0, [0; 1000]);
            loop {
                match res.read(&mut buffer).await? {
                    0 => break total.to_string(),
                    read => total += read,
                }
            }
        }
        "broken" => client.get(at("/broken")).recv_string().await?,
        "charset" => client.get(at("/latin1")).recv_string().await?,
        "not-utf8" => client.get(at("/not-utf8")).recv_string().await?,
        "decode-error" => {
            let error = client.get(at("/not-utf8")).recv_string().await.unwrap_err();
            let error = error.downcast_ref::<std::io::Error>().unwrap();
            let error = error.get_ref().unwrap();
            let error = error.downcast_ref::<surf::DecodeError>().unwrap();
            format!("{error}, {} bytes", error.data.len())
        }
        "client-middleware" => {
            let client = client.with(Named("one")).with(Named("two"));
            let begun = client.get(at("/seen")).middleware(Named("three"));
            begun.recv_string().await?
        }
        "function-middleware" => {
            let client = client.with(function);
            client.get(at("/seen")).recv_string().await?
        }
        "answering-middleware" => {
            let res = client.with(Answering).get(FORBIDDEN).await?;
            return Ok(res.into());
        }
        "asking-middleware" => {
            let client = client.with(Asking(at("/seen")));
            client.get(at("/seen")).recv_string().await?
        }
        "middleware-of-others" => {
            let other = client.clone().with(Named("one"));
            drop(other);
            client.get(at("/seen")).recv_string().await?
        }
        "redirect" => {
            let client = client.with(Redirect::new(3));
            client.get(at("/old")).recv_string().await?
        }
        "redirect-absolute" => {
            let client = client.with(Redirect::default());
            client.get(at("/old-absolute")).recv_string().await?
        }
        "redirect-with-body" => {
            let client = client.with(Redirect::new(3));
            let begun = client.post(at("/old")).body_string("a body".into());
            begun.recv_string().await?
        }
        "redirect-too-often" => {
            let client = client.with(Redirect::new(2));
            return Ok(client.get(at("/around")).await?.into());
        }
        "no-redirect" => client.get(at("/old")).await?.status().to_string(),
        "base-url" => {
            let mut client = client;
            #[allow(deprecated)] // What takes its place makes clients of their own backend.
            client.set_base_url(Url::parse(&at("/a/b"))?);
            client.get("../new").recv_string().await?
        }
        "request" => {
            let url = Url::parse(&at("/new"))?;
            let mut res = client.send(http::Request::new(Method::Patch, url)).await?;
            res.body_string().await?
        }
        "builder" => {
            let url = Url::parse(&at("/new"))?;
            let builder = Request::builder(Method::Get, url.clone());
            assert_eq!(builder.build().url(), &url);
            let builder = client.request(Method::Get, &url);
            client.recv_string(builder).await?
        }
        "logger" => {
            let client = client.with(Logger::new());
            client.get(at("/new")).recv_string().await?
        }
        "server-error" => {
            let mut res = client.get(at("/full")).await?;
            let mut answer = http::Response::new(res.status());
            answer.set_body(res.body_string().await?);
            return Ok(answer);
        }
        "refused" => {
            let error = client.get(FORBIDDEN).await.unwrap_err();
            error.status().to_string()
        }
        "refused-passed-on" => client.get(FORBIDDEN).recv_string().await?,
        "several" => {
            let mut all = Vec::new();
            let (one, (two, three)) = try_zip(
                client.get(at("/new")).recv_string(),
                try_zip(
                    client.get(at("/other")).recv_string(),
                    client.get(at("/third")).recv_string(),
                ),
            )
            .await?;
            for text in [one, two, three] {
                all.push(text.trim_start_matches("GET this is ").to_owned());
            }
            all.join(" ")
        }
        _ => return Err(http::Error::from_str(404, "no such case")),
    };
    Ok(text.into())
}

fn header_methods(url: &str) -> http::Result<String> {
    let mut req = Request::new(Method::Get, Url::parse(url)?);
    assert!(req.insert_header("x-a", "one").is_none());
    req.append_header("x-a", "two");
    req.insert_header("x-b", "b");
    req.set_header("x-c", "c");
    let values: Vec<_> = req["x-a"].iter().map(|value| value.as_str()).collect();
    let values = values.join(", ");
    let names = req.header_names().count();
    assert_eq!((req.iter().count(), req.header_values().count()), (3, 4));
    assert_eq!((&req).into_iter().count(), 3);
    req.remove_header("x-b");
    let removed = format!("{:?}", req.header("x-b").map(|value| value.as_str()));
    for (_, values) in &mut req {
        *values = "changed".parse::<http::headers::HeaderValue>()?.into();
    }
    assert!(req.header_mut("x-c").is_some() && req.iter_mut().count() == 2);
    let changed = req["x-c"].as_str().to_owned();
    assert!(req.set_ext(7_u8).is_none());
    assert!((req.is_empty(), req.len()) == (Some(true), Some(0)));
    req.body_json(&[1])?;
    assert_eq!(req.len(), Some(3));
    req.body_bytes([1, 2]);
    req.body_string("four".into());
    assert_eq!(req.take_body().len(), Some(4));
    req.set_query(&serde_json::json!({ "n": 5 }))?;
    assert_eq!(req.url().query(), Some("n=5"));
    let query: std::collections::HashMap<String, u8> = req.query()?;
    assert_eq!(query["n"], 5);
    let ext = *req.ext::<u8>().unwrap();
    let plain: http::Request = req.into();
    assert_eq!(plain.method(), Method::Get);
    assert_eq!(plain["x-a"], "changed");
    Ok(format!(
        "{values}; {names}; {removed}; {changed}; ext {ext}"
    ))
}

async fn response_methods(mut res: Response) -> http::Result<String> {
    let first = res.header("x-two").unwrap();
    let named = format!("{} of {}", first.last(), first.get(0).unwrap());
    assert!(res.iter().any(|(name, _)| name == "x-one"));
    assert!(res.header_names().count() < res.header_values().count());
    let gone = match res.remove_header("x-one") {
        Some(_) if res.header("x-one").is_none() => "gone",
        _ => "there",
    };
    res.insert_header("x-set", "before");
    res.append_header("x-set", "set");
    assert!(res.header_mut("x-set").is_some() && res.iter_mut().count() > 1);
    let set = res["x-set"].last().to_string();
    res.insert_ext(8_u8);
    let ext = *res.ext::<u8>().unwrap();
    assert_eq!(res.status(), StatusCode::Ok);
    let version = res.version();
    let mut body = http::Body::from("swapped");
    res.swap_body(&mut body);
    assert_eq!(body.into_string().await?, "the headers");
    assert_eq!((res.len(), res.is_empty()), (Some(7), Some(false)));
    let body = res.take_body();
    res.set_body(body);
    let plain: &http::Response = res.as_ref();
    assert_eq!(plain.status(), StatusCode::Ok);
    let body = res.body_string().await?;
    Ok(format!(
        "{named}; {gone}; {set}; ext {ext}; {version:?}; {body}"
    ))
}
