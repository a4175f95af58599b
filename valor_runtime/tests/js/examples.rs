//! The example `board.js` on the server, with its notes in a CouchDB. That is a server of a few lines, which knows as
//! much of CouchDB's API as the board uses.

use crate::{
    House,
    socket::{Serving, serve},
    text,
};
use serde_json::{Value, json};
use smol::block_on;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use valor_runtime::{Request, Response, from_fn};

/// The documents of a database by their ids, each with its number of changes; `None` if there is no database.
type Database = Option<BTreeMap<String, (u32, Value)>>;

fn couch() -> Serving {
    let database: Arc<Mutex<Database>> = Arc::default();
    serve(from_fn(move |request: Request| {
        let database = database.clone();
        async move {
            let method = request.head.method().to_owned();
            let path = request.head.path().to_owned();
            let query = request.head.target()[path.len()..].to_owned();
            let body = request.body.bytes(1 << 20).await.unwrap();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let mut database = database.lock().unwrap();
            let (status, said) = answer(&mut database, &method, &path, &query, body);
            let mut response = Response::new(status);
            let _ = response.head.push("content-type", b"application/json");
            response.body = said.to_string().into();
            Ok(response)
        }
    }))
}

fn answer(
    database: &mut Database,
    method: &str,
    path: &str,
    query: &str,
    mut body: Value,
) -> (u16, Value) {
    let Some(id) = path.strip_prefix("/notes") else {
        return (404, json!({ "error": "not_found" }));
    };
    let Some(documents) = database else {
        return match (method, id) {
            ("PUT", "") => {
                *database = Some(BTreeMap::new());
                (201, json!({ "ok": true }))
            }
            _ => (404, json!({ "error": "not_found", "reason": "no_db_file" })),
        };
    };
    let shown = |id: &str, (revision, document): &(u32, Value)| {
        let mut document = document.clone();
        document["_id"] = id.into();
        document["_rev"] = format!("{revision}-x").into();
        document
    };
    let id = id.trim_start_matches('/');
    let found = documents.get(id);
    let revision = found.map(|(revision, _)| format!("{revision}-x"));
    let conflict = (409, json!({ "error": "conflict" }));
    match method {
        "PUT" if id.is_empty() => (412, json!({ "error": "file_exists" })),
        "GET" if id == "_all_docs" => {
            let rows: Vec<_> = documents
                .iter()
                .map(|(id, it)| json!({ "id": id, "doc": shown(id, it) }))
                .collect();
            (200, json!({ "rows": rows }))
        }
        "GET" => match found {
            Some(it) => (200, shown(id, it)),
            None => (404, json!({ "error": "not_found" })),
        },
        "PUT" => {
            let given = body.as_object_mut().and_then(|body| body.remove("_rev"));
            if given.as_ref().and_then(Value::as_str) != revision.as_deref() {
                return conflict;
            }
            let next = found.map_or(0, |(revision, _)| *revision) + 1;
            documents.insert(id.to_owned(), (next, body));
            (201, json!({ "ok": true }))
        }
        "DELETE" if query == format!("?rev={}", revision.unwrap_or_default()) => {
            documents.remove(id);
            (200, json!({ "ok": true }))
        }
        _ => conflict,
    }
}

#[test]
fn the_board_keeps_its_notes_in_a_couch() {
    let board = include_str!("../../../examples/board/board.js");
    let house = House::new(&[("board.js", board)]);
    let couch = couch();
    block_on(async {
        let config = json!({ "couch": format!("http://{}/notes", couch.addr) });
        let definition = json!({ "name": "board", "config": config, "allow": [couch.addr] });
        house.load(definition).await.unwrap();
        assert_eq!(house.get("/board").await, (200, "[]".into()));

        let ask = async |method: &str, target: &str, body: &str| {
            let mut request = Request::new(method, target).unwrap();
            request.body = body.to_owned().into();
            let response = house.ask(request).await;
            let location = response.head.header_str("location").map(str::to_owned);
            (response.head.status(), location, text(response.body).await)
        };
        let (status, location, first) = ask("POST", "/board", r#"{"text":"one"}"#).await;
        let place = location.expect("a location");
        assert_eq!(status, 201);
        let first: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(place, format!("/board/{}", first["id"].as_str().unwrap()));
        assert_eq!(ask("POST", "/board", r#"{"text":"two"}"#).await.0, 201);
        assert_eq!(ask("POST", "/board", "no note").await.0, 422);

        assert_eq!(ask("PUT", &place, r#"{"text":"changed"}"#).await.0, 200);
        // Again, with the current revision.
        assert_eq!(ask("PUT", &place, r#"{"text":"again"}"#).await.0, 200);
        let note: Value = serde_json::from_str(&house.get(&place).await.1).unwrap();
        assert_eq!(
            (&note["text"], &note["written"]),
            (&"again".into(), &first["written"])
        );
        let all: Value = serde_json::from_str(&house.get("/board/").await.1).unwrap();
        let texts: Vec<_> = all
            .as_array()
            .unwrap()
            .iter()
            .map(|note| &note["text"])
            .collect();
        assert_eq!(texts, ["again", "two"]);

        assert_eq!(ask("PATCH", &place, "").await.0, 405);
        assert_eq!(ask("DELETE", &place, "").await.0, 204);
        assert_eq!(ask("DELETE", &place, "").await.0, 404);
        assert_eq!(house.get(&place).await.0, 404);
    });
}

#[test]
fn the_board_says_where_no_couch_is() {
    let house = House::new(&[("board.js", include_str!("../../../examples/board/board.js"))]);
    block_on(async {
        let config = json!({ "couch": "http://127.0.0.1:1/notes" });
        let definition = json!({ "name": "board", "config": config, "allow": ["127.0.0.1:1"] });
        house.load(definition).await.unwrap();
        assert_eq!(house.get("/board").await.0, 502);
    });
}
