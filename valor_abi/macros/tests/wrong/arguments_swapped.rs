use valor::*;

#[vlugin]
pub async fn on_request(_req: http::Request, _cx: &Context) -> http::Response {
    "hello".into()
}

fn main() {}
