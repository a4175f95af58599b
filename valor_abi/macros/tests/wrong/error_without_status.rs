use valor::*;

pub struct Failure;

#[vlugin]
pub async fn on_request(_req: http::Request) -> Result<String, Failure> {
    Err(Failure)
}

fn main() {}
