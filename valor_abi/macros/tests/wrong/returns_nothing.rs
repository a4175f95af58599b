use valor::*;

#[vlugin]
pub async fn on_request(_req: http::Request) {}

fn main() {}
