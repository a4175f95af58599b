use valor::*;

#[vlugin]
pub async fn on_create(cx: &mut Context) {
    cx.set(1);
}

pub async fn on_request(cx: &Context) -> http::Response {
    cx.get::<i32>().to_string().into()
}

fn main() {}
