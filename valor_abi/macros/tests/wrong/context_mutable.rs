use valor::*;

#[vlugin]
pub async fn on_request(_cx: &mut Context, _req: http::Request) -> http::Response {
    "hello".into()
}

fn main() {}
