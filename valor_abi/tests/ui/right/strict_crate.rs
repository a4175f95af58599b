//! A crate whose lints let nothing pass.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications)]
#![deny(clippy::all, clippy::pedantic)]

mod handlers {
    pub(super) fn greeting() -> &'static str {
        "hello"
    }
}

use valor::*;

/// Looks for the name.
#[vlugin]
pub async fn on_create<'a>(cx: &'a mut Context) -> http::Result<()> {
    cx.set(handlers::greeting());
    Ok(())
}

/// Greets, with its lifetimes written out.
pub async fn on_request<'a>(cx: &'a Context, mut req: http::Request) -> http::Result<String> {
    let who = req.body_string().await?;
    Ok(format!("{} {who}", cx.get::<&str>()))
}

fn main() {
    testing::create(VLUGIN, ())
        .post("/", "zoe")
        .assert_body("hello zoe");
}
