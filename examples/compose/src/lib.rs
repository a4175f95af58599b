//! Asks two other vlugins at the same time, without leaving the process, and joins their answers.

use futures_lite::future::try_zip;
use valor::*;

/// The names of the two vlugins in plugins.json.
pub struct Compose([String; 2]);

#[vlugin]
impl Vlugin for Compose {
    type Config = Option<[String; 2]>;

    async fn on_create(config: Self::Config, _cx: &mut Context) -> http::Result<Self> {
        let names = config.unwrap_or_else(|| ["hello_plugin".into(), "hello_alice".into()]);
        Ok(Compose(names))
    }

    async fn on_request(
        &self,
        cx: &Context,
        req: http::Request,
    ) -> http::Result<serde_json::Value> {
        let Compose([first, second]) = self;
        let (one, two) = try_zip(ask(cx, first, &req), ask(cx, second, &req)).await?;
        Ok(serde_json::json!({ first: one, second: two }))
    }
}

/// A vlugin's answer to the same path and query.
async fn ask(cx: &Context, name: &str, req: &http::Request) -> http::Result<String> {
    let mut res = cx.call(name, http::Request::get(req.url().clone())).await?;
    res.body_string().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use testing::TestHost;

    #[test]
    fn joins_two_answers() {
        TestHost::new()
            .vlugin("hello_plugin", hello_plugin::VLUGIN, ())
            .vlugin("hello_alice", with_state::VLUGIN, "Alice")
            .create(VLUGIN)
            .get("/?who=Zoe")
            .assert_status(200)
            .assert_json(json!({
                "hello_plugin": "OK response from a plugin",
                "hello_alice": "Alice says hello Zoe!",
            }));
    }

    #[test]
    fn asks_both_at_once() {
        let slow = |_| async {
            sleep(std::time::Duration::from_secs(1)).await;
            "done"
        };
        let compose = TestHost::new()
            .config(["left", "right"])
            .on_call("left", slow)
            .on_call("right", slow)
            .create(VLUGIN);
        let start = compose.now();

        compose
            .get("/")
            .assert_json(json!({ "left": "done", "right": "done" }));
        assert_eq!(compose.now(), start + std::time::Duration::from_secs(1));
    }

    #[test]
    fn fails_where_one_is_missing() {
        TestHost::new()
            .vlugin("hello_plugin", hello_plugin::VLUGIN, ())
            .create(VLUGIN)
            .get("/")
            // The client does not learn which vlugins there are.
            .assert_status(500);
    }
}
