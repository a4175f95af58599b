//! `on_create` with `on_request`, as in the sources of the first Valor.

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

#[test]
fn without_a_config_it_says_so() {
    let refused = testing::TestHost::new().try_create(VLUGIN).err().unwrap();
    let begin = "there is no `config`, but the vlugin asks for a `alloc::string::String`: called `Option::unwrap()`";
    assert!(refused.message.starts_with(begin), "{refused}");
    assert!(refused.place.unwrap().contains("form_create.rs:10:"));
    let refused = testing::TestHost::new()
        .config(7)
        .try_create(VLUGIN)
        .err()
        .unwrap();
    let begin = "`config` does not fit: invalid type: integer `7`, expected a string: called";
    assert!(refused.message.starts_with(begin), "{refused}");
}
