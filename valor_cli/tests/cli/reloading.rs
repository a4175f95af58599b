//! plugins.json is read again on SIGHUP, while the program serves.
#![cfg(unix)]

use crate::support::{Folder, Server, libraries, misbehaving, valor_cli};
use std::fs;

const DONE: &str = "is served as it is now";

fn plugins(entries: &[&str]) -> String {
    format!(r#"{{ "plugins": [{}] }}"#, entries.join(", "))
}

/// A state that a new instance would not have.
const ALICE: &str =
    r#"{ "type": "native", "name": "alice", "path": "with_state", "config": "Alice" }"#;
const HELLO: &str = r#"{ "type": "native", "name": "hello", "path": "hello_plugin" }"#;

struct Reloading {
    folder: Folder,
    server: Server,
}

impl Reloading {
    fn start(entries: &[&str]) -> Self {
        let folder = Folder::new(&plugins(entries));
        let dir = libraries().to_str().unwrap();
        let file = folder.file("plugins.json");
        let server = Server::start(&["-p", &file, "-w", "--plugin-dir", dir]);
        Self { folder, server }
    }

    /// Asks for it, and waits until the log contains this once more.
    fn again(&self, part: &str) {
        let before = self.server.err().matches(part).count();
        self.server.signal("HUP");
        self.server.wait_until(part, before + 1);
    }

    fn with(&self, entries: &[&str]) {
        self.folder.write("plugins.json", plugins(entries));
        self.again(DONE);
    }

    fn generation(&self, name: &str) -> u64 {
        let shown = self.server.get(&format!("/_plugins/{name}")).body;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown["generation"].as_u64().unwrap()
    }
}

#[test]
fn a_server_with_nothing_to_read_again_lives_on() {
    let server = Server::start(&["-w"]);
    for times in 1..3 {
        server.signal("HUP");
        server.wait_until("SIGHUP: there is nothing to read again", times);
    }
    assert_eq!(server.get("/_health").status, 200);
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn what_has_changed_is_changed_and_all_else_goes_on() {
    let it = Reloading::start(&[ALICE, HELLO]);
    let registered = r#"{ "type": "native", "name": "later", "path": "hello_plugin" }"#;
    let json = [("content-type", "application/json")];
    assert_eq!(
        it.server
            .send("POST", "/_plugins", &json, registered)
            .status,
        201
    );
    let before = it.generation("alice");

    let carol = r#"{ "type": "native", "name": "carol", "path": "with_state", "config": "Carol" }"#;
    it.with(&[ALICE, carol]);
    assert_eq!(it.generation("alice"), before);
    assert_eq!(
        it.server.get("/carol?who=Zoe").body,
        "Carol says hello Zoe!"
    );
    assert_eq!(it.server.get("/hello").status, 404);
    assert_eq!(it.server.get("/later").status, 200);

    it.with(&[&ALICE.replace("\"Alice\"", "\"Alan\""), carol]);
    assert_eq!(it.server.get("/alice?who=Zoe").body, "Alan says hello Zoe!");
    assert!(it.generation("alice") > before);
}

/// The process has one working directory, and a library in it may change it.
#[test]
fn a_vlugin_that_leaves_the_working_directory_keeps_nothing_from_being_read() {
    let lost = |config: &str| {
        let path = misbehaving().display().to_string();
        let entry =
            serde_json::json!({ "type": "native", "name": "lost", "path": path, "config": config });
        plugins(&[&entry.to_string()])
    };
    let folder = Folder::new(&lost("before"));
    let mut command = valor_cli();
    command
        .current_dir(folder.path())
        .args(["run", "--addr", "127.0.0.1:0", "-p", "plugins.json"]);
    let server = Server::spawn(command);
    assert_eq!(server.get("/lost/leave").body, "left");
    folder.write("plugins.json", lost("after"));
    server.signal("HUP");
    server.wait_for_err("plugins.json is served as it is now: 1 changed");
    assert_eq!(server.get("/lost/config").body, "after");
}

#[test]
fn prefixes_are_exchanged() {
    let at =
        |entry: &str, prefix: &str| entry.replace(" }", &format!(r#", "prefix": "{prefix}" }}"#));
    let it = Reloading::start(&[&at(ALICE, "/a"), &at(HELLO, "/b")]);
    it.with(&[&at(ALICE, "/b"), &at(HELLO, "/a")]);
    assert_eq!(it.server.get("/a").body, "OK response from a plugin");
    assert_eq!(it.server.get("/b?who=Zoe").body, "Alice says hello Zoe!");
}

#[test]
fn what_is_wrong_leaves_the_old_one_serving() {
    let it = Reloading::start(&[ALICE, HELLO]);
    it.folder
        .write("plugins.json", r#"{ "plugins": [{ "type": "natve" }] }"#);
    it.again("has faults, and nothing is changed");
    assert!(
        it.server.err().contains("did you mean `native`?"),
        "{}",
        it.server.err()
    );
    assert_eq!(it.server.get("/hello").status, 200);

    let broken = ALICE.replace("with_state", "none_such");
    let bob = r#"{ "type": "native", "name": "bob", "path": "with_state", "config": "Bob" }"#;
    it.with(&[&broken, bob]);
    assert!(
        it.server
            .err()
            .contains("the vlugin `alice` stays as it was"),
        "{}",
        it.server.err()
    );
    assert_eq!(
        it.server.get("/alice?who=Zoe").body,
        "Alice says hello Zoe!"
    );
    assert_eq!(it.server.get("/bob?who=Zoe").body, "Bob says hello Zoe!");
    // And once it is right again, it is the new one.
    it.with(&[&ALICE.replace("Alice", "Ann"), bob]);
    assert_eq!(it.server.get("/alice?who=Zoe").body, "Ann says hello Zoe!");

    // If a vlugin that was registered over HTTP holds a prefix, nothing is changed.
    let json = [("content-type", "application/json")];
    let held = r#"{ "type": "native", "name": "held", "path": "hello_plugin" }"#;
    assert_eq!(it.server.send("POST", "/_plugins", &json, held).status, 201);
    let wants =
        r#"{ "type": "native", "name": "wants", "path": "hello_plugin", "prefix": "/held" }"#;
    it.folder.write("plugins.json", plugins(&[wants]));
    it.again("and nothing is changed: the prefix /held is taken");
    assert_eq!(it.server.get("/bob?who=Zoe").status, 200);
}

#[test]
fn a_file_that_has_changed_is_loaded_again() {
    let file = |name: &str| {
        use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
        libraries().join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"))
    };
    let folder = Folder::new("{}");
    let library = folder.path().join("changing.so");
    fs::copy(file("hello_plugin"), &library).unwrap();
    let entry = format!(
        r#"{{ "type": "native", "name": "it", "path": "{}", "config": "Alice" }}"#,
        library.display()
    );
    let it = Reloading::start(&[&entry]);
    let before = it.generation("it");
    it.again(DONE);
    assert_eq!(it.generation("it"), before);
    fs::copy(file("with_state"), &library).unwrap();
    it.again(DONE);
    assert_eq!(it.server.get("/it?who=Zoe").body, "Alice says hello Zoe!");

    fs::write(&library, "no library").unwrap();
    it.again("stays as it was");
    assert_eq!(it.server.get("/it?who=Zoe").body, "Alice says hello Zoe!");
}
