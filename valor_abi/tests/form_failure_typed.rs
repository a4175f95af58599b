//! The typed form with an error that has its own status and no `std::error::Error`.

#![allow(missing_docs)] // It is written as authors write.

use valor::*;

pub struct Strict;

pub struct NotFound(String);

impl std::fmt::Display for NotFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no {}", self.0)
    }
}

impl ResponseError for NotFound {
    fn status(&self) -> http::StatusCode {
        http::StatusCode::NotFound
    }
}

#[vlugin]
impl Vlugin for Strict {
    type Config = ();

    async fn on_create(_: (), _: &mut Context) -> http::Result<Self> {
        Ok(Strict)
    }

    async fn on_request(&self, _: &Context, req: http::Request) -> Result<String, NotFound> {
        Err(NotFound(req.url().path().to_owned()))
    }
}

#[test]
fn answers() {
    testing::create(VLUGIN, ())
        .get("/item")
        .assert_status(404)
        .assert_fault("there is no /item");
}

/// What was written with the attribute is a `Vlugin` as any other, also for the code that has another one inside.
struct Outer(Strict);

impl Vlugin for Outer {
    type Config = ();

    async fn on_create(config: (), cx: &mut Context) -> http::Result<Self> {
        Strict::on_create(config, cx).await.map(Outer)
    }

    async fn on_request(&self, cx: &Context, req: http::Request) -> http::Result<http::Response> {
        match self.0.on_request(cx, req).await {
            Err(error) if error.status() == 404 => "instead".into_response(),
            answered => answered,
        }
    }
}

#[test]
fn another_vlugin_may_call_it() {
    testing::create(Entry::of::<Outer>("outer", "0.1.0"), ())
        .get("/item")
        .assert_status(200)
        .assert_body("instead");
}
