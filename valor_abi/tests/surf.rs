//! `cx.client()`: surf, with the host's fetch behind it. Each vlugin here is asked once, and
//! what its client sends is seen and answered by the test.

use serde_json::{Value, json};
use valor::{
    testing::{TestHost, TestResponse},
    *,
};

/// Runs a piece of a handler with a context whose fetch is answered so.
macro_rules! handler {
    (|$cx:ident| $body:block) => {{
        struct Handler;

        impl Vlugin for Handler {
            type Config = Value;

            async fn on_create(_: Value, _: &mut Context) -> http::Result<Self> {
                Ok(Handler)
            }

            async fn on_request(
                &self,
                $cx: &Context,
                _req: http::Request,
            ) -> http::Result<http::Response> {
                ($body as http::Result<_>).into_response()
            }
        }

        instance::Entry::of::<Handler>("handler", "0.1.0")
    }};
}

fn ask<F, Fut>(handler: instance::Entry, answer: F) -> TestResponse
where
    F: Fn(http::Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoResponse> + Send + 'static,
{
    TestHost::new().on_fetch(answer).create(handler).get("/")
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Weather {
    place: String,
    degrees: i8,
}

#[test]
fn one_line_reads_json() {
    let handler = handler!(|cx| {
        let url = "https://weather.example/today?unit=C";
        let weather = cx.client().get(url).await?.body_json::<Weather>().await?;
        Ok(format!("{} degrees in {}", weather.degrees, weather.place))
    });
    ask(handler, |req| async move {
        assert_eq!(req.method(), http::Method::Get);
        assert_eq!(req.url().as_str(), "https://weather.example/today?unit=C");
        json!({ "place": "Oslo", "degrees": -4 })
    })
    .assert_status(200)
    .assert_body("-4 degrees in Oslo");
}

#[test]
fn method_headers_query_and_json_reach_the_server() {
    let handler = handler!(|cx| {
        let weather = Weather {
            place: "Rome".into(),
            degrees: 30,
        };
        let mut response = cx
            .client()
            .put("http://weather.example/report")
            .query(&json!({ "by": "me & you" }))?
            .header("x-key", "secret")
            .body_json(&weather)?
            .await?;
        assert_eq!(response.status(), http::StatusCode::Accepted);
        assert_eq!(response["x-number"], "7");
        assert_eq!(response.content_type().unwrap().essence(), "text/plain");
        response.body_string().await
    });
    ask(handler, |mut req| async move {
        assert_eq!(req.method(), http::Method::Put);
        assert_eq!(req.url().query(), Some("by=me+%26+you"));
        assert_eq!(req["x-key"], "secret");
        assert_eq!(req["content-type"], "application/json");
        let body = req.body_json::<Value>().await?;
        assert_eq!(body, json!({ "place": "Rome", "degrees": 30 }));

        let mut res = http::Response::new(202);
        res.insert_header("x-number", "7");
        res.set_body("thank you");
        Ok::<_, http::Error>(res)
    })
    .assert_body("thank you");
}

#[test]
fn bodies_stream_both_ways() {
    let handler = handler!(|cx| {
        let endless = streaming(futures_lite::stream::repeat_with(|| Ok("piece ")));
        let request = cx.client().post("http://echo.example/").body(endless);
        Ok(request.await?.take_body())
    });
    let mut response = ask(handler, |mut req| async move { req.take_body() });
    for _ in 0..3 {
        assert_eq!(response.chunk().unwrap().unwrap(), "piece ");
    }
}

#[test]
fn a_response_that_breaks_off_is_an_error() {
    let handler = handler!(|cx| {
        let mut response = cx.client().get("http://broken.example/").await?;
        response.body_string().await
    });
    ask(handler, |_| async {
        let pieces = [Ok("one"), Err(std::io::ErrorKind::ConnectionReset.into())];
        streaming(futures_lite::stream::iter(pieces))
    })
    .assert_status(422);
}

#[test]
fn redirects_are_followed_where_that_is_asked_for() {
    async fn server(req: http::Request) -> http::Response {
        match req.url().path() {
            "/old" => {
                let mut res = http::Response::new(302);
                res.insert_header("location", "/new");
                res
            }
            path => format!("this is {path}").into(),
        }
    }

    let follows = handler!(|cx| {
        let client = cx.client().with(surf::middleware::Redirect::new(3));
        client.get("http://moved.example/old").recv_string().await
    });
    ask(follows, server).assert_body("this is /new");

    let stays = handler!(|cx| {
        let response = cx.client().get("http://moved.example/old").await?;
        Ok(response.status().to_string())
    });
    ask(stays, server).assert_body("302");
}

#[test]
fn what_the_host_refuses_is_an_error_with_its_status() {
    for status in [403, 502, 504] {
        let handler = handler!(|cx| {
            let failed = cx.client().get("http://far.example/").await.unwrap_err();
            Ok(format!("{}: {failed}", failed.status()))
        });
        ask(handler, move |_| async move {
            Err::<(), _>(http::Error::from_str(status, "not today"))
        })
        .assert_body(&format!("{status}: not today"));
    }
}

#[test]
fn an_error_that_is_passed_on_is_the_response() {
    let handler = handler!(|cx| { cx.client().get("http://far.example/").recv_string().await });
    ask(handler, |_| async {
        Err::<(), _>(http::Error::from_str(504, "not today"))
    })
    .assert_status(504)
    .assert_fault("not today");
}

#[test]
fn a_server_that_answers_with_an_error_has_answered() {
    let handler = handler!(|cx| {
        let mut response = cx.client().get("http://full.example/").await?;
        let body = response.body_string().await?;
        Ok((response.status(), body))
    });
    ask(handler, |_| async {
        (http::StatusCode::ServiceUnavailable, "full")
    })
    .assert_status(503)
    .assert_body("full");
}
