use valor::*;

#[vlugin]
pub async fn on_request(_req: String) -> http::Response {
    "hello".into()
}

fn main() {}
