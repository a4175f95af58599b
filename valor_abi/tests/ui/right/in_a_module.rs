mod greeter {
    use valor::{http::Request, vlugin, Context};

    #[vlugin]
    pub async fn on_create(cx: &mut Context) {
        cx.set(1_u8);
    }

    pub async fn on_request(cx: &Context, _: Request) -> String {
        cx.get::<u8>().to_string()
    }
}

fn main() {
    valor::testing::create(greeter::VLUGIN, ())
        .get("/")
        .assert_body("1");
}
