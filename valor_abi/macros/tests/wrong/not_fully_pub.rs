use valor::*;

#[vlugin]
pub(crate) async fn on_request(_req: http::Request) -> http::Response {
    "hello".into()
}

fn main() {}
