//! Libraries with another version of `valor_abi`: of the same ABI, and of another.

use super::{copies::Copy, *};
use std::process::Command;
use valor_runtime::Request;

/// The unchanged `valor_abi`, under another version.
const RENUMBERED: Copy = Copy {
    name: "abi_renumbered",
    version: "7.3.1",
    edits: &[],
};

/// The end of a table, with one more function. Its reader learns whether the table has it.
macro_rules! with_added {
    ($end:literal) => {
        concat!(
            $end,
            "    /// Added.\n",
            "    pub added: extern \"C\" fn() -> u64,\n}\n"
        )
    };
}

/// ABI 1.1: every table has one more function, and each side uses the other's if it is there. The vlugin's name ends
/// with the result of the host's function. The host prints the result of the vlugin's.
const NEWER: Copy = Copy {
    name: "abi_newer",
    version: "7.4.0",
    edits: &[
        (
            "native/Cargo.toml",
            "version = \"1.0.0\"",
            "version = \"1.1.0\"",
        ),
        (
            "native/src/types.rs",
            "-> FfiFuture<FfiResult<FfiInstance>>,\n}\n",
            with_added!("-> FfiFuture<FfiResult<FfiInstance>>,\n"),
        ),
        (
            "native/src/types.rs",
            "fn(data: *const ()),\n}\n\n/// The host of one vlugin",
            concat!(
                with_added!("fn(data: *const ()),\n"),
                "\n/// The host of one vlugin"
            ),
        ),
        (
            "native/src/types.rs",
            "fn(data: *const ()),\n}\n\n/// A line for the log",
            concat!(
                with_added!("fn(data: *const ()),\n"),
                "/// Added.\npub extern \"C\" fn added() -> u64 {\n    7\n}\n",
                "\n/// A line for the log"
            ),
        ),
        (
            "native/src/stream.rs",
            "fn(data: *mut ()),\n}\n",
            with_added!("fn(data: *mut ()),\n"),
        ),
        (
            "native/src/export.rs",
            "ValorModule { create }",
            "ValorModule { create, added: $crate::types::added }",
        ),
        (
            "native/src/stream.rs",
            "drop: drop_stream,",
            "drop: drop_stream,\nadded: crate::types::added,",
        ),
        (
            "native/src/export.rs",
            "drop: drop_instance,",
            "drop: drop_instance,\nadded: crate::types::added,",
        ),
        (
            "native/src/export.rs",
            "name(host.data) }.into_string();",
            "name(host.data) }.into_string();
             let added = host.vtable.added().map(|added| added().to_string());
             let name = name + &added.unwrap_or_default();",
        ),
        (
            "native/src/import.rs",
            "drop: drop_host,",
            "drop: drop_host,\nadded: crate::types::added,",
        ),
        (
            "native/src/import.rs",
            "let on_request = self.instance.vtable.on_request();",
            "let on_request = self.instance.vtable.on_request();
             let added = self.instance.vtable.added().map(|added| added());
             println!(\"added: {added:?}\");",
        ),
    ],
};

/// ABI 1.0 by its number, but one field has another type.
const CHANGED: Copy = Copy {
    name: "abi_changed",
    version: "7.5.0",
    edits: &[
        (
            "native/src/types.rs",
            "pub status: u16,",
            "pub status: u32,",
        ),
        (
            "native/src/types.rs",
            "status: fault.status,",
            "status: fault.status.into(),",
        ),
        (
            "native/src/types.rs",
            "                fault.status,",
            "                fault.status as u16,",
        ),
    ],
};

/// The answer of a vlugin of `fixtures/another_abi` to a body in two pieces.
fn conversation(vlugin: &Arc<dyn Vlugin>) -> String {
    use valor_abi_wire::{Body, Bytes, Chunk};
    let pieces = ["one", "two"].map(|piece| Ok(Chunk::Data(Bytes::from_static(piece.as_bytes()))));
    let mut request = Request::new("POST", "/").unwrap();
    request.body = Body::stream(Some(6), futures_lite::stream::iter(pieces));
    smol::block_on(async {
        let response = vlugin.clone().on_request(request).await.unwrap();
        let body = response.body.bytes(1 << 10).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    })
}

#[test]
fn another_version_of_the_crate_with_the_same_abi_is_loaded() {
    let host = TestHost::new("tested");
    let definition = definition_of(&RENUMBERED.vlugin());
    let loaded = smol::block_on(loader_in(Path::new("")).load(&definition, false, host.clone()));
    let loaded = loaded.unwrap();
    assert_eq!(loaded.metadata.as_ref().unwrap().version, "7.3.1");
    assert_eq!(conversation(&loaded.vlugin), "tested heard onetwo");
    assert_eq!(*host.log.lock().unwrap(), ["INFO heard onetwo"]);
}

#[test]
fn a_newer_minor_version_is_loaded() {
    let loaded = load(&loader_in(Path::new("")), &definition_of(&NEWER.vlugin())).unwrap();
    let metadata = loaded.metadata.unwrap();
    assert_eq!((metadata.abi_major, metadata.abi_minor), (1, 1));
    // This host's table ends before the function that the library knows, and the library sees that.
    assert_eq!(conversation(&loaded.vlugin), "tested heard onetwo");
}

/// What the host of ABI 1.1 prints after it has talked to this copy's vlugin.
#[track_caller]
fn said_to_newer_host(copy: &Copy) -> String {
    let symbol = format!("valor_module_{}", copy.name);
    let output = Command::new(NEWER.host())
        .arg(copy.vlugin())
        .arg(symbol)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn a_host_of_a_newer_minor_version_loads_older_libraries() {
    assert_eq!(
        said_to_newer_host(&RENUMBERED),
        "added: None\ntested heard onetwo\n"
    );
    assert_eq!(
        said_to_newer_host(&NEWER),
        "added: Some(7)\ntested7 heard onetwo\n"
    );
    let refused = said_to_newer_host(&CHANGED);
    assert!(refused.starts_with("refused: "), "{refused}");
    assert!(refused.contains("status"), "{refused}");
}

#[test]
fn a_changed_field_is_refused() {
    let dir = temp();
    let this = valor_abi_wire::metadata::Metadata::this_rustc();
    let library = CHANGED.vlugin();
    assert_eq!(
        refused(dir.path(), &definition_of(&library)),
        format!(
            "{} does not fit this host: mismatched type of `status` in `FfiFault` (this host has \
             u16, the library u32); it was built by rustc {this}, this host by rustc {this}: \
             build it again with valor_abi {}",
            library.display(),
            env!("CARGO_PKG_VERSION")
        )
    );
}
