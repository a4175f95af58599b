use valor::*;

pub struct Greeter;

#[vlugin]
impl Vlugin for Greeter {
    type Config = ();

    async fn on_create(_config: (), _cx: &mut Context) -> http::Result<Self> {
        Ok(Greeter)
    }

    async fn on_request(&self, _cx: &Context, _req: http::Request) -> String {
        let who = std::rc::Rc::new("Zoe");
        sleep(std::time::Duration::from_secs(1)).await;
        format!("hello {who}")
    }
}

fn main() {}
