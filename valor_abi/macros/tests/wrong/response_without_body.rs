use valor::*;

#[vlugin]
pub async fn on_request(_req: http1::Request<http1::Body>) -> http1::Response<u64> {
    http1::Response::new(42)
}

fn main() {}
