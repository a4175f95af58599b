use valor::*;

pub struct Greeter;

impl Greeter {
    #[vlugin]
    pub async fn on_request(&self, _req: http::Request) -> http::Response {
        "hello".into()
    }
}

fn main() {}
