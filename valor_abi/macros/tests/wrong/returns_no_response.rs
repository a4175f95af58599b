use valor::*;

#[vlugin]
pub async fn on_request(_req: http::Request) -> u64 {
    42
}

fn main() {}
