//! The typed form with a configuration whose every field has a default, and a value that nobody has set.

#![allow(missing_docs)] // It is written as authors write.

use serde::Deserialize;
use valor::*;

#[derive(Deserialize)]
pub struct Config {
    #[serde(default = "hello")]
    greeting: String,
    #[serde(default)]
    limits: Limits,
}

#[derive(Default, Deserialize)]
pub struct Limits {
    #[serde(default)]
    often: u8,
}

fn hello() -> String {
    "Hello".into()
}

pub struct Greeter(Config);

#[vlugin]
impl Vlugin for Greeter {
    type Config = Config;

    async fn on_create(config: Config, _cx: &mut Context) -> http::Result<Self> {
        Ok(Greeter(config))
    }

    async fn on_request(&self, cx: &Context, req: http::Request) -> String {
        match req.url().path() {
            "/unset" => cx.get::<String>().clone(),
            _ => format!("{} {}", self.0.greeting, self.0.limits.often),
        }
    }
}

#[test]
fn a_config_that_is_missing_is_one_without_keys() {
    testing::create(VLUGIN, ()).get("/").assert_body("Hello 0");
    let config = serde_json::json!({ "greeting": "Hi", "limits": { "often": 2 } });
    testing::create(VLUGIN, config).get("/").assert_body("Hi 2");
}

#[test]
fn a_key_that_does_not_fit_is_named() {
    let config = serde_json::json!({ "limits": { "often": 300 } });
    let host = testing::TestHost::new().config(config);
    let refused = host.try_create(VLUGIN).err().unwrap();
    assert_eq!(
        refused.message,
        "`config.limits.often` does not fit: invalid value: integer `300`, expected u8"
    );
}

#[test]
fn a_value_that_is_not_there_names_the_line_that_asked() {
    let asked = testing::create(VLUGIN, ()).get("/unset");
    let asked = asked.assert_status(500);
    let fault = asked.fault().unwrap();
    let place = fault.place.as_deref().unwrap();
    assert!(place.contains("form_defaults.rs:"), "{place}");
}
