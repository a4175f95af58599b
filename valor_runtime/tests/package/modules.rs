//! WebAssembly modules in packages. Only a definition of type `wasm` takes them.

use super::{fixture, hello_plugin, temp, write};
use futures_lite::future::block_on;
use std::{fs, path::Path};
use valor_abi_wire::metadata::Metadata;
use valor_runtime::{
    Definition, Kind, Runtime, RuntimeError, http, inspect_package,
    package::{Manifest, Package, WASM_TARGET},
};

/// The manifest of a package of the guest.
pub fn manifest() -> Manifest {
    let shown = valor_runtime::inspect(fixture::guest()).unwrap();
    let metadata = shown.metadata.unwrap();
    Manifest::new(metadata.name, metadata.version, "1.0")
}

fn guest() -> Vec<u8> {
    fs::read(fixture::guest()).unwrap()
}

/// What a definition of this type makes of a package: the answer, or the error.
pub fn load(kind: Kind, file: &Path) -> Result<String, String> {
    let runtime = Runtime::builder().build().unwrap();
    let mut definition = Definition::new(kind, "it");
    definition.path = Some(file.to_owned());
    let loaded: Result<(), RuntimeError> = block_on(runtime.load(&definition));
    loaded.map_err(|error| {
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line}");
        line.replace(&*file.to_string_lossy(), "FILE")
    })?;
    let req = http::Request::new(http::Method::Get, "http://localhost/it");
    Ok(block_on(async { runtime.handle(req).await.body_string().await }).unwrap())
}

#[test]
fn a_module_stands_beside_libraries_and_each_type_takes_its_own() {
    let dir = temp();
    let library = fs::read(hello_plugin()).unwrap();
    let this = Metadata::this_target();
    let bytes = Package::write(
        super::manifest(),
        vec![(this, &library), (WASM_TARGET, b"\0asm")],
    );
    let file = write(&dir, &bytes.unwrap());
    assert_eq!(
        load(Kind::Native, &file).unwrap(),
        "OK response from a plugin"
    );
    let line = load(Kind::Wasm, &file).unwrap_err();
    assert!(line.starts_with("FILE "), "{line}");

    let bytes = Package::write(
        manifest(),
        vec![(this, b"\x7fELF"), (WASM_TARGET, &guest())],
    );
    let file = write(&dir, &bytes.unwrap());
    assert_eq!(load(Kind::Wasm, &file).unwrap(), "hello");
    let line = load(Kind::Native, &file).unwrap_err();
    assert!(line.starts_with("FILE is damaged: "), "{line}");

    let package = fs::read(&file).unwrap();
    let package = Package::read(&file, &package).unwrap();
    let names: Vec<_> = package.libraries().map(|(it, _)| it.file.clone()).collect();
    assert!(
        names.contains(&format!("{WASM_TARGET}/guest.wasm")),
        "{names:?}"
    );
}

#[test]
fn what_a_package_has_is_told_to_those_who_name_it_otherwise() {
    let dir = temp();
    let this = Metadata::this_target();
    let bytes = Package::write(manifest(), vec![(WASM_TARGET, &*guest())]);
    let file = write(&dir, &bytes.unwrap());
    assert_eq!(
        load(Kind::Native, &file).unwrap_err(),
        format!(
            "FILE has no library for {this}, but a WebAssembly module: write `\"type\": \"wasm\"`, or build \
             the vlugin with `--target {this}` and package it with the module"
        )
    );
    let shown = inspect_package(&file).unwrap();
    assert_eq!(shown.kinds, [Kind::Wasm]);
    assert!(
        shown.to_string().ends_with("\nloads    yes, as \"wasm\""),
        "{shown}"
    );
    assert_eq!(serde_json::to_value(&shown).unwrap()["types"][0], "wasm");
    assert!(shown.agrees().is_ok());

    let file = write(&dir, &super::packed(&[]));
    assert_eq!(
        load(Kind::Wasm, &file).unwrap_err(),
        format!(
            "FILE has no library for {WASM_TARGET}, but for {this}: build the vlugin with `--target {WASM_TARGET}` \
             and package it with the others"
        )
    );
}

#[test]
fn a_packed_module_goes_through_the_checks_of_a_plain_one() {
    let dir = temp();
    let guest = guest();
    let half = &guest[..guest.len() / 2];
    let other = Manifest::new(manifest().name, "9.9.9", "1.0");
    for (manifest, bytes, part) in [
        (manifest(), half, "FILE is not a WebAssembly module"),
        (
            manifest(),
            b"\0asm\x01\0\0\0",
            "FILE has no export `memory`",
        ),
        (
            other,
            &guest,
            "FILE says that its library for wasm32-unknown-unknown is of version `9.9.9`",
        ),
    ] {
        let bytes = Package::write(manifest, vec![(WASM_TARGET, bytes)]).unwrap();
        let file = write(&dir, &bytes);
        let line = load(Kind::Wasm, &file).unwrap_err();
        assert!(line.starts_with(part), "{line}");
        // Inspection reports the fault before.
        let shown = inspect_package(&file).unwrap();
        assert!(shown.kinds.is_empty());
        let reason = shown.verdict.unwrap_err().to_string();
        assert_eq!(reason.replace(&*file.to_string_lossy(), "FILE"), line);
    }
}
