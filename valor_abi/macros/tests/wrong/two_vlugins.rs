mod one {
    use valor::*;

    #[vlugin]
    pub async fn on_request(_req: http::Request) -> &'static str {
        "one"
    }
}

mod two {
    use valor::*;

    #[vlugin]
    pub async fn on_request(_req: http::Request) -> &'static str {
        "two"
    }
}

fn main() {}
