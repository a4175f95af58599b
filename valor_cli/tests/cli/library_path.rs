//! `LD_LIBRARY_PATH` with `run -w`: what the program's user grants with it.

use crate::support::{Folder, Server, libraries, valor_cli};

/// A folder with a plugins.json, and below it `plugins` with the two libraries.
fn folder() -> Folder {
    let folder = Folder::new(
        r#"{ "plugins": [{ "type": "native", "name": "first", "path": "hello_plugin" }] }"#,
    );
    for name in ["libhello_plugin.so", "libwith_state.so"] {
        folder.write(
            &format!("plugins/{name}"),
            std::fs::read(libraries().join(name)).unwrap(),
        );
    }
    folder
}

/// As in the README of the system that Valor is modelled on: `LD_LIBRARY_PATH=plugins/ valor_cli run -p plugins.json
/// -w`.
fn start(folder: &Folder, library_path: &str, cargo: bool) -> Server {
    let mut command = valor_cli();
    command
        .current_dir(folder.path())
        .env("LD_LIBRARY_PATH", library_path)
        .env_remove("CARGO_MANIFEST_DIR")
        .args(["run", "-p", "plugins.json", "-w", "--addr", "127.0.0.1:0"]);
    if cargo {
        command.env("CARGO_MANIFEST_DIR", "/somewhere");
    }
    Server::spawn(command)
}

fn post(server: &Server, path: &str) -> (u16, String) {
    let definition =
        serde_json::json!({ "type": "native", "name": "second", "path": path, "config": "Bob" });
    let json = [("content-type", "application/json")];
    let answer = server.send("POST", "/_plugins", &json, &definition.to_string());
    (answer.status, answer.body)
}

#[test]
fn bare_names_come_from_the_library_path_that_was_set() {
    let folder = folder();
    let server = start(&folder, "plugins/", false);
    server.wait_for_err(&format!(
        "/_plugins also loads native vlugins by their bare names from the folders of LD_LIBRARY_PATH: {}",
        folder.file("plugins")
    ));
    assert!(
        !server.err().contains("it will refuse every library"),
        "{}",
        server.err()
    );
    assert_eq!(server.get("/first").body, "OK response from a plugin");
    let (status, body) = post(&server, "with_state");
    assert_eq!(status, 201, "{body}");
    assert_eq!(server.get("/second?who=Zoe").body, "Bob says hello Zoe!");
}

#[test]
fn paths_and_links_do_not_reach_where_bare_names_do() {
    let folder = folder();
    let outside = Folder::new("{}");
    outside.write(
        "it.so",
        std::fs::read(folder.path().join("plugins/libwith_state.so")).unwrap(),
    );
    std::os::unix::fs::symlink(
        outside.path().join("it.so"),
        folder.path().join("plugins/libaway.so"),
    )
    .unwrap();
    let server = start(&folder, "plugins/", false);
    for path in [
        "plugins/libwith_state.so",
        "./plugins/libwith_state.so",
        &folder.file("plugins/libwith_state.so"),
        "away",
    ] {
        let (status, body) = post(&server, path);
        assert_eq!(status, 422, "{path}: {body}");
        assert!(body.contains("is not inside"), "{path}: {body}");
    }
}

#[test]
fn what_cargo_puts_there_grants_nothing() {
    let folder = folder();
    // The toolchain's folder, which separates what cargo added from what was set.
    folder.write("lib/rustlib/x/lib/a", "");
    let toolchain = folder.file("lib/rustlib/x/lib");
    let server = start(&folder, &format!("plugins:{toolchain}"), true);
    server.wait_for_err("it will refuse every library");
    // plugins.json is the user's own, and finds it.
    assert_eq!(server.get("/first").status, 200);
    assert_eq!(post(&server, "with_state").0, 422);
    drop(server);
    let server = start(&folder, &format!("{toolchain}:plugins"), true);
    assert_eq!(post(&server, "with_state").0, 201);
}
