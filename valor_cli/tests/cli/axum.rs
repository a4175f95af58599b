//! The example `axum_todo`: one crate of an axum app, as a library and as a module, through the whole server.

use crate::support::{Folder, Server, workspace};
use serde_json::{Value, json};
use std::io::BufRead;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn an_axum_app_answers_as_a_library_and_as_a_module() {
    let source = workspace().join("examples/axum_todo");
    let definition = |kind| {
        json!({
            "type": kind, "name": kind, "path": "axum_todo", "source": source,
            "config": ["Water the plants"],
        })
    };
    let plugins = json!({ "plugins": [definition("native"), definition("wasm")] });
    let folder = Folder::new(&plugins.to_string());
    let file = folder.path().join("plugins.json");
    let server = Server::start(&["--build", "-p", file.to_str().unwrap()]);
    for kind in ["native", "wasm"] {
        converse(&server, kind);
    }
}

fn converse(server: &Server, kind: &str) {
    let at = |path: &str| format!("/{kind}{path}");
    let plants = json!({ "id": 1, "text": "Water the plants", "done": false });
    let parsed = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    assert_eq!(server.get(&at("")).body, format!("{kind}: 1 left"));
    let all = server.get(&at("/todos"));
    assert_eq!(all.header("content-type"), Some("application/json"));
    assert_eq!(parsed(&all.body), json!([plants]));

    // An event comes before the stream ends, which it never does.
    let lines = server.begin(&at("/left")).lines();
    let mut events = lines
        .map(Result::unwrap)
        .filter(|line| line.starts_with("data:"));
    assert_eq!(events.next().unwrap(), "data: 1");

    let created = server.send("POST", &at("/todos"), JSON, r#"{"text":"Write"}"#);
    assert_eq!(created.status, 201);
    let second = json!({ "id": 2, "text": "Write", "done": false });
    assert_eq!(parsed(&created.body), second);
    let next = events.find(|event| event != "data: 1");
    assert_eq!(next.unwrap(), "data: 2");

    let done = server.send("PATCH", &at("/todos/1"), JSON, r#"{"done":true}"#);
    assert_eq!(
        (done.status, &parsed(&done.body)["done"]),
        (200, &json!(true))
    );
    assert_eq!(
        parsed(&server.get(&at("/todos?done=false")).body),
        json!([second])
    );
    assert_eq!(server.send("DELETE", &at("/todos/2"), &[], "").status, 204);
    assert_eq!(server.send("DELETE", &at("/todos/2"), &[], "").status, 404);

    // What axum refuses.
    assert_eq!(server.send("POST", &at("/todos"), JSON, "{").status, 400);
    assert_eq!(server.send("POST", &at("/todos"), &[], "{}").status, 415);
    assert_eq!(server.get(&at("/todos?done=perhaps")).status, 400);
    let refused = server.send("PUT", &at("/todos"), &[], "");
    assert_eq!(
        (refused.status, refused.header("allow")),
        (405, Some("GET,HEAD,POST"))
    );
    assert_eq!(server.get(&at("/none")).status, 404);
}
