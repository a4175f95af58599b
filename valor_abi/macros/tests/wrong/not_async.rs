use valor::*;

#[vlugin]
pub fn on_request(_req: http::Request) -> http::Response {
    "hello".into()
}

fn main() {}
