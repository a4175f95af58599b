//! `valor_cli package` with components: alone and beside libraries, shown, signed and served.

use crate::{
    components::source,
    packaging::library,
    support::{
        Finished, Folder, Server, component, components, finish, module, run, valor_cli,
        with_fixtures, workspace,
    },
};
use serde_json::{Value, json};
use std::fs;

/// A folder with a plugins.json for each of these types, `TYPE.json`, that names `it.vlugin`.
fn folder(kinds: &[&str]) -> Folder {
    let folder = Folder::new("");
    for kind in kinds {
        let entry = json!({ "type": kind, "name": kind, "path": "it.vlugin" });
        let text = json!({ "plugins": [entry] }).to_string();
        folder.write(&format!("{kind}.json"), text);
    }
    folder
}

/// Packages these as `it.vlugin`.
fn package(folder: &Folder, args: &[&str]) -> Finished {
    let file = folder.file("it.vlugin");
    let made = run(&[&["package", "-o", &file], args].concat());
    assert_eq!((made.code, &*made.err), (Some(0), ""), "{made:?}");
    made
}

/// The fault that `check` lists for the plugins.json of this type.
fn refused(folder: &Folder, kind: &str, args: &[&str]) -> String {
    let file = folder.file(&format!("{kind}.json"));
    let checked = run(&[&["check", "-p", &file], args].concat());
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let [fault] = checked.faults()[..] else {
        panic!("{}", checked.err);
    };
    fault.replace(&folder.file(""), "DIR/")
}

#[test]
fn a_component_is_packaged_beside_a_library_and_a_module() {
    let folder = folder(&["native", "wasm", "wasi"]);
    let own = library("hello_plugin").display().to_string();
    let source = workspace().join("examples/hello_plugin");
    let (module, component) = (module().to_str().unwrap(), component().to_str().unwrap());
    let args = [
        "--source",
        source.to_str().unwrap(),
        component,
        module,
        &own,
    ];
    let made = package(&folder, &args);
    for line in [
        "format   package 1\n",
        "name     hello_plugin\n",
        "abi      1.0 (",
        "license  MIT OR Apache-2.0\n",
        "library  wasm32-unknown-unknown, ",
        "library  wasm32-wasip2, ",
        " bytes, world wasi:http/proxy@0.2.",
        "\nloads    yes, as \"native\" or \"wasm\" or \"wasi\"\n",
    ] {
        assert!(made.out.contains(line), "{line} is not in {}", made.out);
    }
    let again = package(
        &folder,
        &[
            &own,
            component,
            "--source",
            source.to_str().unwrap(),
            module,
        ],
    );
    assert_eq!(again.out, made.out);
    // Whatever comes first, the component takes the name from the others.
    let without_source = package(&folder, &[component, module, &own]);
    let line = format!(
        "\nname     hello_plugin\nversion  {}\nabi      1.0 (",
        env!("CARGO_PKG_VERSION")
    );
    assert!(without_source.out.contains(&line), "{}", without_source.out);

    for (kind, answer) in [
        ("native", "OK response from a plugin"),
        ("wasm", "OK response from a plugin"),
        ("wasi", "Hello, Method::Get /x!"),
    ] {
        let server = Server::start(&["-p", &folder.file(&format!("{kind}.json"))]);
        assert_eq!(server.get(&format!("/{kind}/x")).body, answer);
    }
    for kind in ["wasm", "wasi"] {
        let (file, page) = (folder.file(&format!("{kind}.json")), folder.file(kind));
        let made = run(&["web", "-p", &file, "-o", &page]);
        assert_eq!(made.code, Some(0), "{made:?}");
    }
}

#[test]
fn a_component_alone_is_packaged_and_shown() {
    let folder = folder(&["native", "wasm", "wasi", "js"]);
    let component = component().to_str().unwrap();
    // It says nothing of itself, so that the name of its file has to do.
    let made = package(&folder, &[component]);
    for line in [
        "\nname     component_v2\nversion  0.0.0\nlibrary  wasm32-wasip2, ",
        "\nloads    yes, as \"wasi\"\n",
    ] {
        assert!(made.out.contains(line), "{line} is not in {}", made.out);
    }
    let crate_of_it = workspace().join("valor_runtime/tests/fixtures/wasi/v2");
    let made = package(
        &folder,
        &["--source", crate_of_it.to_str().unwrap(), component],
    );
    let lines = "\nname     component_v2\nversion  0.3.1\nlicense  MIT OR Apache-2.0\n";
    assert!(made.out.contains(lines), "{}", made.out);

    let file = folder.file("it.vlugin");
    let shown = run(&["inspect", &file]);
    assert_eq!((shown.code, shown.out), (Some(0), made.out));
    let shown = run(&["inspect", "--json", &file]);
    let shown: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(
        (&shown["types"], &shown["loads"]),
        (&json!(["wasi"]), &json!(true))
    );
    let member = &shown["manifest"]["libraries"][0];
    assert_eq!(member["file"], "wasm32-wasip2/component_v2.wasm");
    let exports = &shown["libraries"][0]["library"]["interfaces"]["exports"][0];
    let exports = exports.as_str().unwrap();
    assert!(
        exports.starts_with("wasi:http/incoming-handler@0.2."),
        "{exports}"
    );

    let server = Server::start(&["-p", &folder.file("wasi.json")]);
    assert_eq!(server.get("/wasi/x").body, "Hello, Method::Get /x!");
    for kind in ["native", "wasm"] {
        let fault = refused(&folder, kind, &[]);
        let line = "but a WebAssembly component: write `\"type\": \"wasi\"`, or build the vlugin with `--target ";
        assert!(fault.contains(line), "{fault}");
    }
    let fault = refused(&folder, "js", &[]);
    let line = "DIR/it.vlugin holds no script, but libraries for wasm32-wasip2: write `\"type\": \"wasi\"`";
    assert!(fault.ends_with(line), "{fault}");

    package(&folder, &[module().to_str().unwrap()]);
    let fault = refused(&folder, "wasi", &[]);
    let line = "DIR/it.vlugin holds no component, but libraries for wasm32-unknown-unknown: write `\"type\": \"wasm\"`";
    assert!(fault.ends_with(line), "{fault}");
}

#[test]
fn what_makes_no_package_with_components() {
    let folder = Folder::new("");
    let [v2, v3] = components().each_ref().map(|it| it.to_str().unwrap());
    folder.write("cut.wasm", &fs::read(v2).unwrap()[..1000]);
    let cut = folder.file("cut.wasm");
    let (own, state) = (library("hello_plugin"), library("with_state"));
    let (own, state) = (own.to_str().unwrap(), state.to_str().unwrap());
    for (args, line) in [
        (
            vec![v2, v3],
            format!("{v2} and {v3} are both for wasm32-wasip2: give one of them"),
        ),
        (
            vec![v2, own, state],
            format!("{state} is of name `with_state`, but {own} of name `hello_plugin`: "),
        ),
        (
            vec![&*cut],
            format!("{cut} is not a sound WebAssembly component, "),
        ),
    ] {
        let file = folder.file("it.vlugin");
        let failed = run(&[&["package", "-o", &file], &args[..]].concat());
        assert_eq!((failed.code, &*failed.out), (Some(1), ""));
        assert!(failed.faults()[0].starts_with(&line), "{}", failed.err);
        assert!(!folder.path().join("it.vlugin").exists());
    }
}

/// Its definition allows what the limits of every other vlugin do not.
#[test]
fn a_component_over_the_limits_of_others_is_packaged() {
    let folder = folder(&["wasi"]);
    source(&folder, "component_large", "large", "");
    folder.write(
        "it/build.rs",
        "fn main() { println!(\"cargo:rustc-link-arg=--initial-memory=134217728\"); }",
    );
    let entry = r#"{ "type": "wasi", "name": "it", "source": "it" }"#;
    folder.write("plugins.json", format!(r#"{{ "plugins": [{entry}] }}"#));
    let mut command = valor_cli();
    with_fixtures(&mut command).args(["build", "--log-format", "json", "-p"]);
    command.arg(folder.path().join("plugins.json"));
    let built = finish(command);
    assert_eq!(built.code, Some(0), "{}", built.err);
    let records = built
        .err
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut files = records.filter(|it| it["message"] == "built");
    let file = std::path::absolute(files.next().unwrap()["file"].as_str().unwrap()).unwrap();

    let made = package(&folder, &[file.to_str().unwrap()]);
    let line = "\nloads    no: ";
    assert!(
        made.out.contains(line) && made.out.contains("raise `limits.memory`"),
        "{}",
        made.out
    );
    assert!(refused(&folder, "wasi", &[]).contains("raise `limits.memory`"));
    let limits = json!({ "memory": 160 << 20 });
    let entry = json!({ "type": "wasi", "name": "it", "path": "it.vlugin", "limits": limits });
    folder.write("wasi.json", json!({ "plugins": [entry] }).to_string());
    let server = Server::start(&["-p", &folder.file("wasi.json")]);
    assert_eq!(server.get("/it").body, "large");
}

#[test]
fn a_signed_component_is_trusted_and_no_other() {
    let folder = folder(&["wasi"]);
    let key = folder.file("alice.key");
    assert_eq!(run(&["keygen", &key]).code, Some(0));
    let component = component().to_str().unwrap();
    package(&folder, &["--sign", &key, component]);
    let (public, package) = (folder.file("alice.key.pub"), folder.file("it.vlugin"));
    let trust = ["--trust", &public];
    assert_eq!(run(&["verify", "--trust", &public, &package]).code, Some(0));
    let server = Server::start(&["-p", &folder.file("wasi.json"), trust[0], trust[1]]);
    assert_eq!(server.get("/wasi/x").body, "Hello, Method::Get /x!");

    // One byte of the component.
    let mut bytes = fs::read(&package).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    folder.write("it.vlugin", bytes);
    let fault = refused(&folder, "wasi", &trust);
    let line = "DIR/it.vlugin is not what was signed with DIR/alice.key.pub: ";
    assert!(fault.contains(line), "{fault}");

    // A component without a package needs a signature too.
    folder.write("it.wasm", fs::read(component).unwrap());
    let text = fs::read_to_string(folder.path().join("wasi.json")).unwrap();
    folder.write("wasi.json", text.replace("it.vlugin", "it.wasm"));
    let fault = refused(&folder, "wasi", &trust);
    assert!(fault.contains("DIR/it.wasm.minisig"), "{fault}");
}
