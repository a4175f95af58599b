use valor::*;

#[vlugin]
pub async fn on_request() -> http::Response {
    "hello".into()
}

fn main() {}
