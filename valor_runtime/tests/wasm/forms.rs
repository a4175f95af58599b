//! The forms of `#[vlugin]`, as modules. The guest of the other tests is typed. These are a function, one with state,
//! and one with the client: all of them examples that are libraries elsewhere.

use super::{fixture, get, runtime};
use futures_lite::future::block_on;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::OnceLock};
use valor_runtime::{Definition, Kind, Runtime};

/// The module of an example, built with `--target` and nothing else.
fn example(name: &str, config: Value) -> Definition {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let target = "wasm32-unknown-unknown";
        let packages = ["-p", "hello_plugin", "-p", "with_state", "-p", "proxy"];
        let arguments = [&packages[..], &["--target", target]].concat();
        let profile = format!("{target}/debug");
        let library = fixture::build(&fixture::workspace(), &arguments, &profile, "proxy");
        library.parent().expect("a folder").to_owned()
    });
    let mut definition = Definition::new(Kind::Wasm, name);
    definition.path = Some(folder.join(format!("{name}.wasm")));
    definition.config = config;
    definition
}

#[test]
fn a_function() {
    let runtime = runtime(&example("hello_plugin", Value::Null));
    let answer = block_on(get(&runtime, "/hello_plugin"));
    assert_eq!(answer, (200, "OK response from a plugin".into()));
}

#[test]
fn a_function_with_state() {
    let runtime = runtime(&example("with_state", json!("Alice")));
    block_on(async {
        let answer = get(&runtime, "/with_state?who=Zoe").await;
        assert_eq!(answer, (200, "Alice says hello Zoe!".into()));
        assert_eq!(get(&runtime, "/with_state").await.0, 400);
    });
}

#[test]
fn a_type_with_a_config_that_does_not_fit() {
    let runtime = Runtime::builder().build().unwrap();
    let error = block_on(runtime.load(&example("proxy", Value::Null))).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("there is no `config`"), "{error}");
}
