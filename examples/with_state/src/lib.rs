//! A vlugin with state: its config is the name of the greeter. Without a config, the name is `Valor`.

use valor::*;

#[vlugin]
pub async fn on_create(cx: &mut Context) {
    let name = cx.config::<String>().unwrap_or_else(|| "Valor".into());
    cx.set(name);
}

pub async fn on_request(cx: &Context, req: http::Request) -> http::Result<http::Response> {
    let name = cx.get::<String>();
    let who = req
        .url()
        .query_pairs()
        .find_map(|(key, value)| (key == "who").then_some(value))
        .ok_or_else(|| {
            http::Error::from_str(http::StatusCode::BadRequest, "Missing buddy to greet")
        })?;
    Ok(format!("{name} says hello {who}!").into())
}

#[test]
fn alice_greets_zoe() {
    let alice = testing::create(VLUGIN, "Alice");

    alice
        .get("/?who=Zoe")
        .assert_status(200)
        .assert_body("Alice says hello Zoe!");

    alice
        .get("/")
        .assert_status(400)
        .assert_fault("Missing buddy to greet");
}

#[test]
fn without_a_name_valor_greets() {
    let valor = testing::TestHost::new().create(VLUGIN);
    valor.get("/?who=Zoe").assert_body("Valor says hello Zoe!");
}
