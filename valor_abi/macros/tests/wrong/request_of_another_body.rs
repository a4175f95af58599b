use valor::*;

#[vlugin]
pub async fn on_request(_req: http1::Request<String>) -> String {
    String::new()
}

fn main() {}
