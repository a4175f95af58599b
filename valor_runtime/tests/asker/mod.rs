//! A vlugin that asks others through its host. The tests of budgets and of the registry use it.

use serde_json::Value;
use std::time::Duration;
use valor_runtime::http;

/// Passes a request on and returns the answer: `/fetch/HOST` asks a server, `/call/NAME` a vlugin. An error becomes a
/// text. Any other path ends in the milliseconds to sleep.
pub struct Asker;

impl valor::Vlugin for Asker {
    type Config = Value;

    async fn on_create(_: Value, _: &mut valor::Context) -> http::Result<Self> {
        Ok(Self)
    }

    async fn on_request(
        &self,
        cx: &valor::Context,
        mut req: http::Request,
    ) -> http::Result<http::Response> {
        let path = req.url().path().to_owned();
        let (what, which) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
        let mut asked = http::Request::new(req.method(), "http://localhost/");
        asked.set_body(req.take_body());
        let answer = match what {
            "fetch" => {
                *asked.url_mut() = http::Url::parse(&format!("http://{which}/"))?;
                cx.fetch(asked).await
            }
            "call" => cx.call(which, asked).await,
            _ => {
                let millis = which.parse().unwrap_or(0);
                valor::sleep(Duration::from_millis(millis)).await;
                return Ok("slept".into());
            }
        };
        Ok(answer.unwrap_or_else(|error| format!("{} {error}", error.status()).into()))
    }
}
