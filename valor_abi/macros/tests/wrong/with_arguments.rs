use valor::*;

#[vlugin(name = "greeter")]
pub async fn on_request(_req: http::Request) -> http::Response {
    "hello".into()
}

fn main() {}
