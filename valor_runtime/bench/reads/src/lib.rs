//! What many handlers do: it reads the path, the query and one header, and answers with JSON. The bench measures it
//! beside the same handler in axum.

use serde::{Deserialize, Serialize};
use valor::*;

#[derive(Deserialize)]
struct Page {
    page: u32,
}

/// The answer.
#[derive(Debug, Serialize)]
pub struct Seen {
    path: String,
    page: u32,
    by: String,
}

/// Says what it has read.
#[vlugin]
pub async fn on_request(req: http::Request) -> http::Result<Json<Seen>> {
    let Page { page } = req.query()?;
    let by = req.header("user-agent").map(|values| values.as_str());
    Ok(Json(Seen {
        path: req.url().path().to_owned(),
        page,
        by: by.unwrap_or_default().to_owned(),
    }))
}

#[test]
fn it_says_what_it_has_read() {
    testing::create(VLUGIN, ())
        .request("GET", "/notes?page=2")
        .header("user-agent", "bench")
        .send()
        .assert_json(serde_json::json!({ "path": "/notes", "page": 2, "by": "bench" }));
}
