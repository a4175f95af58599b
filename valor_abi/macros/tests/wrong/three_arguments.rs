use valor::*;

#[vlugin]
pub async fn on_request(_cx: &Context, _req: http::Request, _who: String) -> http::Response {
    "hello".into()
}

fn main() {}
