//! A crate whose lints allow nothing.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications)]
#![deny(clippy::all, clippy::pedantic)]
#![allow(clippy::missing_errors_doc)]

mod handlers {
    pub(super) fn greeting() -> &'static str {
        "hello"
    }
}

use valor::{Context, http, sleep, testing, vlugin};

/// Looks for the name.
#[vlugin]
pub async fn on_create(cx: &mut Context) -> http::Result<()> {
    sleep(std::time::Duration::ZERO).await;
    cx.set(handlers::greeting());
    Ok(())
}

/// Greets.
pub async fn on_request(cx: &Context, mut req: http::Request) -> http::Result<String> {
    let who = req.body_string().await?;
    Ok(format!("{} {who}", cx.get::<&str>()))
}

#[test]
fn answers() {
    testing::create(VLUGIN, ())
        .post("/", "zoe")
        .assert_body("hello zoe");
}
