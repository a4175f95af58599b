use valor::*;

pub struct Greeter;

#[vlugin]
impl Vlugin for Greeter {
    type Config = ();

    async fn on_create(_config: (), _cx: &mut Context) -> http::Result<Self> {
        Ok(Greeter)
    }

    async fn on_request(&self, _cx: &Context, _req: http::Request) -> u64 {
        42
    }
}

fn main() {}
