use valor::*;

#[vlugin]
pub async fn on_create(cx: &mut Context) {
    cx.set(1);
}

#[vlugin]
pub async fn on_request(_req: http::Request) -> http::Response {
    "hello".into()
}

fn main() {}
