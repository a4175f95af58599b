use valor::*;

#[vlugin]
pub async fn on_create(cx: &mut Context) {
    cx.set(1);
}

fn main() {}
