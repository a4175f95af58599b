//! An axum app: a list of things to do, with axum's routing, extractors and state. `#[vlugin]` on the function that
//! makes the router is all that Valor adds. The same crate is a native library and a WebAssembly module, on the server
//! and in a page.

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{Sse, sse::Event},
    routing::{get, patch},
};
use futures_lite::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use valor::{Context, sleep, vlugin};

#[derive(Clone, Serialize, Deserialize)]
struct Todo {
    id: u32,
    text: String,
    done: bool,
}

#[derive(Clone, Default)]
struct Todos(Arc<Mutex<BTreeMap<u32, Todo>>>);

impl Todos {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<u32, Todo>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: String) -> Todo {
        let mut todos = self.locked();
        let id = todos.last_key_value().map_or(1, |(id, _)| id + 1);
        let todo = Todo {
            id,
            text,
            done: false,
        };
        todos.insert(id, todo.clone());
        todo
    }

    fn left(&self) -> usize {
        self.locked().values().filter(|todo| !todo.done).count()
    }
}

/// Its config is what there is to do at first: a list of texts.
#[vlugin]
fn app(cx: &mut Context) -> Router {
    let todos = Todos::default();
    for text in cx.config::<Vec<String>>().unwrap_or_default() {
        todos.add(text);
    }
    Router::new()
        .route("/", get(summary))
        .route("/todos", get(list).post(create))
        .route("/todos/{id}", patch(change).delete(remove))
        .route("/left", get(left))
        .with_state(todos)
}

/// The vlugin's context is an extension of each request.
async fn summary(State(todos): State<Todos>, Extension(cx): Extension<Arc<Context>>) -> String {
    format!("{}: {} left", cx.name(), todos.left())
}

#[derive(Deserialize)]
struct Filter {
    done: Option<bool>,
}

async fn list(State(todos): State<Todos>, Query(filter): Query<Filter>) -> Json<Vec<Todo>> {
    let wanted = |todo: &&Todo| filter.done.is_none_or(|done| done == todo.done);
    Json(todos.locked().values().filter(wanted).cloned().collect())
}

#[derive(Deserialize)]
struct New {
    text: String,
}

async fn create(
    State(todos): State<Todos>,
    Json(New { text }): Json<New>,
) -> (StatusCode, Json<Todo>) {
    (StatusCode::CREATED, Json(todos.add(text)))
}

#[derive(Deserialize)]
struct Change {
    done: bool,
}

async fn change(
    State(todos): State<Todos>,
    Path(id): Path<u32>,
    Json(Change { done }): Json<Change>,
) -> Result<Json<Todo>, StatusCode> {
    let mut todos = todos.locked();
    let todo = todos.get_mut(&id).ok_or(StatusCode::NOT_FOUND)?;
    todo.done = done;
    Ok(Json(todo.clone()))
}

async fn remove(State(todos): State<Todos>, Path(id): Path<u32>) -> StatusCode {
    match todos.locked().remove(&id) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

/// How many are left: an event per second, for as long as someone listens. The host's timer takes the place of tokio's.
async fn left(
    State(todos): State<Todos>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let events = stream::unfold((todos, 0), async |(todos, pause)| {
        sleep(Duration::from_secs(pause)).await;
        let event = Event::default().data(todos.left().to_string());
        Some((Ok(event), (todos, 1)))
    });
    Sse::new(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use valor::testing;

    #[test]
    fn a_list_is_kept() {
        let todo = testing::create(VLUGIN, ["Water the plants"]);
        todo.get("/").assert_body("axum_todo: 1 left");
        todo.post("/todos", json!({ "text": "Write" }))
            .assert_status(201)
            .assert_json(json!({ "id": 2, "text": "Write", "done": false }));
        todo.request("PATCH", "/todos/1")
            .body(json!({ "done": true }))
            .send()
            .assert_json(json!({ "id": 1, "text": "Water the plants", "done": true }));
        todo.get("/todos?done=false")
            .assert_json(json!([{ "id": 2, "text": "Write", "done": false }]));
        todo.request("DELETE", "/todos/2").send().assert_status(204);
        todo.request("DELETE", "/todos/2").send().assert_status(404);
        todo.get("/").assert_body("axum_todo: 0 left");
    }

    #[test]
    fn what_axum_refuses_is_refused() {
        let todo = testing::create(VLUGIN, ());
        todo.get("/todos?done=perhaps").assert_status(400);
        todo.post("/todos", json!({})).assert_status(422);
        todo.post("/", "").assert_status(405);
    }

    #[test]
    fn events_tell_what_is_left() {
        let todo = testing::create(VLUGIN, ["Water the plants"]);
        let mut events = todo.get("/left");
        assert_eq!(events.chunk().unwrap().unwrap(), "data: 1\n\n");
        todo.request("DELETE", "/todos/1").send();
        assert_eq!(events.chunk().unwrap().unwrap(), "data: 0\n\n");
    }
}
