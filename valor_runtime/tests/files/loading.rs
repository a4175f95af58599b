//! From a definition to a served folder, and the reasons why not.

use super::*;
use serde_json::json;
use valor_runtime::RegistryAccess;

#[test]
fn what_is_no_folder_is_refused_with_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let line = |keys: &str| {
        let error = load(dir.path(), keys).err().unwrap().to_string();
        error
            .replace(dir.path().to_str().unwrap(), "DIR")
            .replace('\\', "/")
    };
    assert_eq!(
        line(""),
        "the folder DIR/public does not exist: create it, or correct `path`"
    );
    fs::write(dir.path().join("public"), "x").unwrap();
    assert_eq!(
        line(""),
        "DIR/public is not a folder: give the folder to serve in `path`"
    );
    fs::remove_file(dir.path().join("public")).unwrap();
    write(&dir.path().join("public/folder/x"), b"x");
    for fallback in ["app.html", "folder"] {
        let keys = format!(r#", "config": {{ "fallback": "{fallback}" }}"#);
        assert_eq!(
            line(&keys),
            format!(
                "DIR/public/{fallback} is not a file that can be served: create it, or correct `fallback`"
            )
        );
    }
    assert!(load(dir.path(), r#", "config": { "fallback": "folder/x" }"#).is_ok());
}

#[test]
fn a_definition_made_in_code_is_checked() {
    let runtime = Runtime::builder().build().unwrap();
    let definition = Definition::new(valor_runtime::Kind::Files, "site");
    let error = smol::block_on(runtime.load(&definition)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the definition of `site`: path: `path` is missing; write the folder to serve, \"path\": \"public\""
    );
}

#[test]
fn the_registry_serves_from_inside_the_plugin_folders_alone() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("plugins/public/a.txt"), b"a");
    write(&dir.path().join("outside/a.txt"), b"a");
    let runtime = Runtime::builder()
        .base_dir(dir.path())
        .plugin_dir(dir.path().join("plugins"))
        .registry(RegistryAccess::Loopback)
        .build()
        .unwrap();
    let serving = serve(runtime);
    let mut connection = serving.connect();
    let register = |connection: &mut Connection, path: &str| {
        let definition = json!({ "type": "files", "name": "site", "path": path });
        let json = [("content-type", "application/json")];
        connection
            .send(
                "POST",
                "/_plugins",
                &json,
                definition.to_string().as_bytes(),
            )
            .unwrap()
    };
    for path in ["outside", "plugins/../outside", "nowhere", "/etc"] {
        let answer = register(&mut connection, path);
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        assert!(
            answer.text().contains("is not inside the plugin directory"),
            "{path}"
        );
    }
    let answer = register(&mut connection, "plugins/public");
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["type"], "files");
    assert_eq!(connection.get("/site/a.txt").unwrap().text(), "a");
    assert_eq!(connection.get("/site").unwrap().status, 301);
}
