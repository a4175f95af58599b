//! What a core module is that was given as a component. `check_start` asks, for a line that says how to get a component
//! of it.

use crate::{escape::one_line, loader::ComponentError};
use valor_abi_wire::metadata::SECTION;
use wasmparser::{Parser, Payload};

/// The modules that programs for WASI 0.1 import from.
const PREVIEW1: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// What this core module is. It is read as far as it is sound; nothing of it is trusted.
pub(super) fn judge(bytes: &[u8]) -> ComponentError {
    let (mut preview1, mut has_bindings) = (None, false);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::CustomSection(section)) => {
                if section.name() == SECTION {
                    return ComponentError::ValorModule;
                }
                // What wit-bindgen leaves for `wasm-tools component new`.
                has_bindings |= section.name().starts_with("component-type");
            }
            Ok(Payload::ImportSection(imports)) => {
                let modules = imports.into_imports().flatten().map(|it| it.module);
                preview1 = modules.into_iter().find(|it| PREVIEW1.contains(it));
            }
            Ok(Payload::ExportSection(exports)) => {
                for export in exports.into_iter().flatten() {
                    if export.name == "valor_abi" {
                        return ComponentError::ValorModule;
                    }
                    has_bindings |= export.name.starts_with("wasi:http/");
                }
            }
            Ok(_) => {}
            Err(error) => {
                let why = one_line(&error.to_string());
                return ComponentError::NotAComponent(format!(
                    "it is a damaged core module: {why}"
                ));
            }
        }
    }
    match (has_bindings, preview1) {
        (true, Some(module)) => ComponentError::NotAdapted(module.to_owned()),
        (true, None) => ComponentError::NotWrapped,
        (false, Some(module)) => ComponentError::Preview1(module.to_owned()),
        (false, None) => ComponentError::CoreModule,
    }
}
