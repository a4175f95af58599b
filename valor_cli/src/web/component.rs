//! [`modules`]: a WebAssembly component as what a browser runs, an ES module and the core modules that it instantiates.
//!
//! `components` calls it. The generator is jco's (`js-component-bindgen`). Functions that wait become suspending ones
//! (JSPI). Any bytes give modules or one line that says why not.

// Its path is that of this file, which a test includes.
#[path = "mended.rs"]
mod mended;

use js_component_bindgen::{AsyncMode, InstantiationMode, TranspileOpts, transpile};
use mended::mended;
use sha2::{Digest, Sha256};
use std::panic;
use valor_runtime::{
    hex::hex,
    web::{self, Component, Core},
};

/// The file name of the ES module.
const MODULE: &str = "component.js";

/// The functions of wasi 0.2 that wait; the component is suspended meanwhile. Those of 0.3 say it themselves.
const WAIT: &[&str] = &[
    "wasi:io/poll#poll",
    "wasi:io/poll#[method]pollable.block",
    "wasi:io/streams#[method]input-stream.blocking-read",
    "wasi:io/streams#[method]input-stream.blocking-skip",
    "wasi:io/streams#[method]output-stream.blocking-flush",
    "wasi:io/streams#[method]output-stream.blocking-splice",
    "wasi:io/streams#[method]output-stream.blocking-write-and-flush",
    "wasi:io/streams#[method]output-stream.blocking-write-zeroes-and-flush",
];

/// The functions that the host calls, and the minor version of wasi:http that each belongs to.
const CALLED: [(&str, u8); 2] = [("wasi:http/incoming-handler", 2), ("wasi:http/handler", 3)];

/// A component for a page.
pub struct Modules {
    /// The minor version of wasi:http that it exports: 2 or 3.
    version: u8,
    /// File names and bytes, [`MODULE`] among them.
    files: Vec<(String, Vec<u8>)>,
}

impl Modules {
    /// What the service worker imports of the component with this SHA-256 if its modules are in this folder, and the
    /// files by their paths.
    pub fn placed(self, folder: &str, sha256: &str) -> (Component, Vec<(String, Vec<u8>)>) {
        let path = |file: &str| format!("{folder}/{file}");
        let cores = self.files.iter().filter(|(file, _)| file != MODULE);
        let cores = cores.map(|(file, bytes)| Core {
            file: file.clone(),
            path: path(file),
            sha256: hex(&Sha256::digest(bytes)),
        });
        let component = Component {
            path: path(MODULE),
            sha256: sha256.to_owned(),
            version: self.version,
            cores: cores.collect(),
        };
        let files = self.files.into_iter();
        let files = files.map(|(file, bytes)| (path(&file), bytes));
        (component, files.collect())
    }
}

/// Makes modules of a component.
///
/// # Errors
/// One line that says why a page cannot run it.
pub fn modules(component: &[u8]) -> Result<Modules, String> {
    match component {
        [0, b'a', b's', b'm', 13, 0, 1, 0, ..] => {}
        [0, b'a', b's', b'm', ..] => {
            return Err(
                "it is a module, not a component: `wasm-tools component new` makes one of a module for wasi, and \
                 \"type\": \"wasm\" runs a module made with `#[vlugin]`"
                    .to_owned(),
            );
        }
        _ => {
            return Err(
                "it is not a WebAssembly component: give the file that a build for `wasm32-wasip2` writes"
                    .to_owned(),
            );
        }
    }
    let exports = CALLED.map(|(name, _)| format!("{name}#handle"));
    let options = TranspileOpts::builder()
        .name(MODULE.trim_end_matches(".js").to_owned())
        .no_typescript(true)
        .instantiation_mode(InstantiationMode::Async)
        .nodejs_compat_disabled(true)
        .no_namespaced_exports(true)
        .async_mode(AsyncMode::JavaScriptPromiseIntegration {
            imports: WAIT.iter().map(|&it| it.to_owned()).collect(),
            exports: exports.to_vec(),
        })
        .build();
    // The generator takes some faults of a component for its own.
    let made = panic::catch_unwind(|| transpile(component, options));
    let made = made
        .map_err(|_| "no modules can be made of it: js-component-bindgen panicked".to_owned())?
        .map_err(|error| format!("no modules can be made of it: {error:#}"))?;
    let exported = |wanted: &str| {
        let mut names = made.exports.iter().map(|(name, _)| name.split('@').next());
        names.any(|it| it == Some(wanted))
    };
    let mut versions = CALLED.iter().filter(|(name, _)| exported(name));
    let version = match (versions.next(), versions.next()) {
        (Some(&(_, version)), None) => version,
        (None, _) => {
            return Err(
                "it exports neither `wasi:http/incoming-handler@0.2` nor `wasi:http/handler@0.3`, so it answers no \
                 request"
                    .to_owned(),
            );
        }
        _ => {
            return Err(
                "it exports both `wasi:http/incoming-handler` and `wasi:http/handler`: leave one of them out"
                    .to_owned(),
            );
        }
    };
    let mut imports = made.imports.iter();
    if let Some(name) = imports.find(|it| !web::offers(version, it)) {
        return Err(format!(
            "it imports `{name}`, which a page does not have: build it without, or leave the vlugin to a server"
        ));
    }
    let mut files = made.files;
    if version == 3 {
        let module = files.iter_mut().find(|(file, _)| file == MODULE);
        let (_, module) = module.ok_or("js-component-bindgen wrote no module")?;
        *module = mended(&String::from_utf8_lossy(module))?.into_bytes();
    }
    Ok(Modules { version, files })
}
