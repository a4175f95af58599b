use valor::*;

pub struct Greeter;

#[vlugin]
impl Vlugin for Greeter {
    type Config = ();

    async fn on_request(&self, _cx: &Context, _req: http::Request) -> &'static str {
        "hello"
    }
}

fn main() {}
