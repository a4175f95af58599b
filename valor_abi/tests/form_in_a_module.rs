//! A vlugin in a module, without `use valor::*`.

#![allow(missing_docs)] // It is written as authors write.

mod greeter {
    use valor::{Context, http::Request, vlugin};

    #[vlugin]
    pub async fn on_create(cx: &mut Context) {
        cx.set(1_u8);
    }

    // With lifetimes, as some write them.
    #[allow(clippy::needless_lifetimes)]
    pub async fn on_request<'a>(cx: &'a Context, _: Request) -> String {
        cx.get::<u8>().to_string()
    }
}

#[test]
fn answers() {
    valor::testing::create(greeter::VLUGIN, ())
        .get("/")
        .assert_body("1");
}
