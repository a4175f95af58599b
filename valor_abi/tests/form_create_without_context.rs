//! State that the handler does not ask for.

#![allow(missing_docs)] // It is written as authors write.

use valor::*;

#[vlugin]
pub async fn on_create(_cx: &mut Context) {
    log::info!("here we are");
}

pub async fn on_request(_req: http::Request) -> &'static str {
    "nothing to remember"
}

#[test]
fn answers() {
    let vlugin = testing::create(VLUGIN, ());
    vlugin.get("/").assert_body("nothing to remember");
    assert_eq!(vlugin.log()[0].message, "here we are");
}
