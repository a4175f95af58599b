use valor::*;

pub struct Greeter;

#[vlugin]
impl Greeter {
    pub async fn on_request(&self, _req: http::Request) -> http::Response {
        "hello".into()
    }
}

fn main() {}
