use valor::*;

#[vlugin]
pub async fn on_create(_cx: &mut Context) -> String {
    "state".into()
}

pub async fn on_request(_req: http::Request) -> http::Response {
    "hello".into()
}

fn main() {}
