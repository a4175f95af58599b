//! Components in packages. Only a definition of type `wasi` takes them.

use super::{
    fixture,
    modules::{self, load},
    temp, write,
};
use std::fs;
use valor_abi_wire::metadata::Metadata;
use valor_runtime::{
    Kind, inspect_package,
    package::{Manifest, Package, WASI_TARGET, WASM_TARGET},
};

fn component() -> Vec<u8> {
    fs::read(&fixture::components()[0]).unwrap()
}

#[test]
fn each_type_takes_its_own() {
    let dir = temp();
    let (library, guest) = (
        fs::read(fixture::hello_plugin()).unwrap(),
        fs::read(fixture::guest()).unwrap(),
    );
    let (this, component) = (Metadata::this_target(), component());
    let all = vec![
        (this, &*library),
        (WASM_TARGET, &guest),
        (WASI_TARGET, &component),
    ];
    // Whose name the manifest has does not matter to a component, which says none.
    let file = write(&dir, &Package::write(super::manifest(), all).unwrap());
    assert_eq!(
        load(Kind::Native, &file).unwrap(),
        "OK response from a plugin"
    );
    assert_eq!(load(Kind::Wasi, &file).unwrap(), "Hello, Method::Get /!");
    let line = load(Kind::Wasm, &file).unwrap_err();
    assert!(
        line.contains("is of name `hello_plugin`, but that says `guest`"),
        "{line}"
    );
    let shown = inspect_package(&file).unwrap();
    assert_eq!(shown.kinds, [Kind::Native, Kind::Wasi]);
}

#[test]
fn what_stands_under_another_target_is_refused() {
    let dir = temp();
    let guest = fs::read(fixture::guest()).unwrap();
    let component = component();
    let (it, half) = (&*component, &component[..component.len() / 2]);
    for (kind, target, bytes, line, shown) in [
        (
            Kind::Wasm,
            WASM_TARGET,
            it,
            "FILE is a WebAssembly component",
            "is of target `wasm32-unknown-unknown`, but that says `wasm32-wasip2` itself",
        ),
        (
            Kind::Wasi,
            WASI_TARGET,
            &guest,
            "FILE is a core module made by #[vlugin]",
            "is of target `wasm32-wasip2`, but that says `wasm32-unknown-unknown` itself",
        ),
        (
            Kind::Wasi,
            WASI_TARGET,
            half,
            "FILE is not a sound WebAssembly component",
            "is not a sound WebAssembly component",
        ),
        (
            Kind::Wasi,
            WASI_TARGET,
            b"\x7fELF",
            "FILE is not a WebAssembly component that exports wasi:http but a library or program (ELF)",
            "FILE is damaged: ",
        ),
    ] {
        let manifest = match bytes == guest {
            true => modules::manifest(),
            false => Manifest::component("it", "1.0.0"),
        };
        let file = write(
            &dir,
            &Package::write(manifest, vec![(target, bytes)]).unwrap(),
        );
        let refused = load(kind, &file).unwrap_err();
        assert!(refused.starts_with(line), "{refused}");
        // Inspection reports a fault before.
        let inspected = inspect_package(&file).unwrap();
        assert!(inspected.kinds.is_empty());
        let reason = inspected.verdict.unwrap_err().to_string();
        let reason = reason.replace(&*file.to_string_lossy(), "FILE");
        assert!(reason.contains(shown), "{reason}");
    }
}
