//! The notes against a real PostgreSQL, and the webhook against a server of the test.

use super::*;
use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpListener,
};

fn database() -> String {
    std::env::var("DATABASE_URL").expect("`.ci/postgres` starts a server and sets DATABASE_URL")
}

/// Everything in one test: there is one table.
#[test]
fn notes_are_kept() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = format!("http://{}/hook", server.local_addr().unwrap());
    let config = json!({ "database": database(), "webhook": webhook });
    let notes = testing::create(VLUGIN, &config);
    notes.get("/").assert_json(json!([]));

    let mut created = notes.post("/", "buy milk");
    let id: i64 = created.json();
    assert_eq!(created.status(), 201);
    let path = format!("/{id}");
    notes.get(&path).assert_body("buy milk");
    notes.get("/").assert_json(json!([[id, "buy milk"]]));
    notes.get(&format!("/{}", id + 1)).assert_status(404);

    // The task goes on after the response.
    let (mut connection, _) = server.accept().unwrap();
    let mut sent = String::new();
    while !sent.ends_with("buy milk") {
        let mut piece = [0; 1024];
        let len = connection.read(&mut piece).unwrap();
        assert!(len > 0, "{sent}");
        sent.push_str(std::str::from_utf8(&piece[..len]).unwrap());
    }
    assert!(sent.starts_with("POST /hook HTTP/1.1\r\n"), "{sent}");
    connection
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .unwrap();

    // Another mount has the same table, and a pool of its own.
    let again = testing::create(VLUGIN, &config);
    drop(notes);
    again.get(&path).assert_body("buy milk");
    again.request("DELETE", &path).send().assert_status(204);
    again.request("DELETE", &path).send().assert_status(404);
    again.get("/").assert_json(json!([]));
    let log = again.log();
    let notice = "relation \"notes\" already exists, skipping";
    assert!(
        log.iter().any(|line| line.message.contains(notice)),
        "what sqlx logs is there: {log:?}"
    );
}

#[test]
fn without_a_database_it_is_not_created() {
    let missing = database().replace("/postgres?", "/missing?");
    let config = json!({ "database": missing });
    let refused = testing::TestHost::new().config(config).try_create(VLUGIN);
    let fault = refused.err().expect("an error").to_string();
    assert!(
        fault.contains("database \"missing\" does not exist"),
        "{fault}"
    );
}
