use valor::*;

#[vlugin]
fn app(_req: http::Request) -> u64 {
    42
}

fn main() {}
