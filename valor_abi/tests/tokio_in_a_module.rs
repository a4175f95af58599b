//! The feature `tokio` in a WebAssembly module: the compiler says what to use instead. A crate that is built for both
//! switches it on for native builds only.

mod support;

use support::{cargo, cargo_fails, folder, valor_abi, workspace, write};

const WASM: [&str; 4] = ["check", "--target", "wasm32-unknown-unknown", "-p"];

#[test]
fn tokio_in_a_module_is_a_compile_error() {
    let folder = folder();
    let valor = |features| {
        let path = valor_abi();
        format!("valor = {{ package = \"valor_abi\", path = \"{path}\", features = {features} }}\n")
    };
    let crates = [
        ("in_a_module", valor("[\"tokio\"]")),
        (
            "for_both",
            format!(
                "{}\n[target.'cfg(not(target_family = \"wasm\"))'.dependencies]\n{}",
                valor("[]"),
                valor("[\"tokio\"]")
            ),
        ),
    ];
    workspace(
        folder.path(),
        &crates.each_ref().map(|(name, _)| (*name).into()),
    );
    for (name, dependencies) in crates {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [lib]\ncrate-type = [\"cdylib\"]\n\n[dependencies]\n{dependencies}"
        );
        write(&folder.path().join(name).join("Cargo.toml"), &manifest);
        let source = "use valor::*;\n\n\
             #[vlugin]\npub async fn on_request(_req: http::Request) -> &'static str {\n    \"\"\n}\n";
        write(&folder.path().join(name).join("src/lib.rs"), source);
    }
    cargo(folder.path(), &[&WASM[..], &["for_both"]].concat());
    let said = cargo_fails(folder.path(), &[&WASM[..], &["in_a_module"]].concat());
    for part in [
        "error: the feature `tokio` of `valor` is for native vlugins",
        "Use `valor::sleep`, `cx.fetch(…)` and `cx.client()` instead",
        "[target.'cfg(not(target_family = \"wasm\"))'.dependencies]",
    ] {
        assert!(said.contains(part), "`{part}` is not in:\n{said}");
    }
    // It, and that the crate could not be compiled: nothing else distracts from it.
    assert_eq!(said.matches("\nerror: ").count(), 2, "{said}");
}
