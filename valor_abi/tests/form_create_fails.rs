//! An `on_create` that waits, and that can fail.

#![allow(missing_docs)] // It is written as authors write.

use valor::*;

#[vlugin]
pub async fn on_create(cx: &mut Context) -> Result<(), String> {
    sleep(std::time::Duration::from_secs(1)).await;
    match cx.config::<u16>() {
        Some(port) => cx.set(port),
        None => return Err("a port is needed".into()),
    }
    Ok(())
}

pub async fn on_request(cx: &Context, _req: http::Request) -> String {
    cx.get::<u16>().to_string()
}

#[test]
fn answers() {
    testing::create(VLUGIN, 80).get("/").assert_body("80");

    let refused = testing::TestHost::new().try_create(VLUGIN).err().unwrap();
    assert_eq!(refused.message, "a port is needed");
}
