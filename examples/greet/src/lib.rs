//! A vlugin that runs as a WebAssembly module, on the server and in a page. Its source contains nothing special for
//! that: plugins.json sets `"type": "wasm"`.

use std::sync::atomic::{AtomicU64, Ordering};
use valor::*;

/// How many have been greeted so far: the state of one instance.
#[derive(Default)]
struct Greeted(AtomicU64);

#[derive(serde::Deserialize)]
struct Query {
    #[serde(default = "whoever")]
    who: String,
}

fn whoever() -> String {
    "whoever you are".into()
}

#[vlugin]
pub async fn on_create(cx: &mut Context) {
    cx.set(Greeted::default());
}

pub async fn on_request(cx: &Context, req: http::Request) -> http::Result<http::Response> {
    let Query { who } = req.query()?;
    let language = req
        .header("accept-language")
        .map_or("en", |languages| languages.as_str());
    let hello = match language.get(..2) {
        Some("de") => "Guten Tag",
        Some("es") => "Buenos días",
        Some("fr") => "Bonjour",
        _ => "Hello",
    };
    let number = cx.get::<Greeted>().0.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(format!("{hello}, {who}! You are number {number}.").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_and_counts() {
        let greet = testing::create(VLUGIN, ());
        for number in 1..=2 {
            greet
                .get("/?who=Zoe")
                .assert_status(200)
                .assert_body(&format!("Hello, Zoe! You are number {number}."));
        }
    }

    #[test]
    fn speaks_the_client_s_language() {
        testing::create(VLUGIN, ())
            .request("GET", "/?who=Zo%C3%A9")
            .header("accept-language", "fr-CH, en;q=0.8")
            .send()
            .assert_body("Bonjour, Zoé! You are number 1.");
    }
}
