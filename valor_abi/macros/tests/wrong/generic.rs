use valor::*;

#[vlugin]
pub async fn on_request<T: Default>(_req: http::Request) -> http::Response {
    "hello".into()
}

fn main() {}
