use valor::*;

#[vlugin]
pub async fn on_request(_req: http::Request) -> String {
    let who = std::rc::Rc::new("Zoe");
    sleep(std::time::Duration::from_secs(1)).await;
    format!("hello {who}")
}

fn main() {}
