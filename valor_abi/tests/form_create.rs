//! `on_create` beside `on_request`, as sources of the first Valor are written.

#![allow(missing_docs)] // It is written as authors write.

use http::{Error, Method, Request, Response, Result, StatusCode};
use valor::*;

#[vlugin]
pub async fn on_create(cx: &mut Context) {
    let name = cx.config::<String>().unwrap();
    cx.set(name);
}

pub async fn on_request(cx: &Context, req: Request) -> Result<Response> {
    let name = cx.get::<String>();
    if req.method() != Method::Get {
        return Ok(Response::new(StatusCode::MethodNotAllowed));
    }
    let who = req
        .url()
        .query_pairs()
        .find(|(key, _)| key == "who")
        .map(|(_, who)| who)
        .ok_or_else(|| Error::from_str(StatusCode::BadRequest, "Missing buddy to greet"))?;
    Ok(format!("{} says hello {}!", name, who).into())
}

#[test]
fn answers() {
    let alice = testing::create(VLUGIN, "Alice");
    alice.get("/?who=Zoe").assert_body("Alice says hello Zoe!");
    alice
        .get("/")
        .assert_status(400)
        .assert_fault("Missing buddy to greet");
    alice.post("/", "").assert_status(405);
}
