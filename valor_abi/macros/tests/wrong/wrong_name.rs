use valor::*;

#[vlugin]
pub async fn handle(_req: http::Request) -> http::Response {
    "hello".into()
}

fn main() {}
