//! A process has at most so many instances of modules. One more is refused with the number and what to do, and not as a
//! trap. The limit applies to the whole process, so this is a program with one test.

#![cfg(feature = "wasm")]

use futures_lite::future::block_on;
use valor_runtime::{Definition, Kind, Runtime};

#[test]
fn one_instance_too_many_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let module = wat::parse_str(include_str!("wasm/hello.wat")).unwrap();
    std::fs::write(folder.path().join("hello.wasm"), module).unwrap();
    let runtime = Runtime::builder().base_dir(folder.path()).build().unwrap();
    let definition = |at: usize| {
        let mut definition = Definition::new(Kind::Wasm, format!("v{at}"));
        definition.path = Some("hello.wasm".into());
        definition
    };
    let all: Vec<_> = (0..4096).map(definition).collect();
    for loaded in block_on(runtime.load_all(&all)) {
        loaded.unwrap();
    }
    let error = block_on(runtime.load(&definition(4096))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "vlugin `v4096` could not be created: this process has 4096 instances of modules, and there can be no more: \
         lower `limits.instances`, remove vlugins that are not needed, or run some of them in another process"
    );
    runtime.remove("v0").unwrap();
    block_on(runtime.load(&definition(4096))).unwrap();
}
