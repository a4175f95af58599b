//! From a plugins.json to the contents of the folder: reads it, collects every fault, and writes. `web` calls it once,
//! and `again` whenever something changes.

use super::{
    components::Components,
    contents::{Contents, MODULES},
    copied,
    folder::Folder,
    policy,
    scripts::{Imported, Scripts},
};
use crate::{args::WebArgs, exit::Failure, load::Vlugins, plugins_file::PluginsFile};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};
use valor_runtime::{
    Definition, RuntimeError,
    definition::Instance,
    loader::{InPage, LoadError, WasiLoader, WasmLoader},
    web::{self, COMPONENTS, HOST, PAGE, SCRIPTS, WORKER},
};

/// The name of the list of vlugins that the service worker reads.
const PLUGINS: &str = "plugins.json";
/// The page that is served for a folder's name.
const INDEX: &str = "index.html";

/// What was written.
pub(super) struct Made {
    pub(super) vlugins: Vlugins,
    /// The definitions as the folder has them.
    pub(super) written: Vec<Definition>,
    pub(super) files: usize,
    /// The Content-Security-Policy that is enough for its page.
    pub(super) policy: String,
}

/// Reads plugins.json.
pub(super) fn read(args: &WebArgs, file: &PluginsFile) -> Vlugins {
    let mut vlugins = Vlugins::read(Some(file.clone()), args.build.is_wanted());
    // Native vlugins do not run in a browser, so nobody waits for cargo to build them.
    let runs = |it: &Definition| it.kind.in_page() != InPage::Never;
    let names = vlugins.all().into_iter().filter(runs).map(|it| it.name);
    vlugins.only(&names.collect());
    vlugins
}

/// Writes the folder, with what was built. Notes what scripts import, even if nothing is written.
pub(super) fn write(
    args: &WebArgs,
    mut vlugins: Vlugins,
    imports: &mut Imported,
) -> Result<Made, Failure> {
    let folder = Folder::open(&args.output)?;
    let mut contents = Contents::default();
    let of_host = "Valor's host in the browser";
    for &(name, bytes) in HOST.iter().filter(|(name, _)| *name != WORKER) {
        contents.bytes(name, bytes, of_host);
    }
    let mut written = Vec::new();
    let mut imported = Vec::new();
    let base = vlugins.base().to_owned();
    let loader = WasmLoader::new(&base).plugin_dirs(&args.plugin_dir);
    let scripts = Scripts {
        base: &base,
        plugin_dirs: &args.plugin_dir,
        esbuild: args.esbuild.as_deref(),
        deno: args.deno.as_deref(),
        judges: RefCell::default(),
    };
    let reader = WasiLoader::new(&base).plugin_dirs(&args.plugin_dir);
    let mut components = Components::default();
    for (index, definition) in vlugins.well() {
        if let Some((key, line)) = not_in_a_page(&definition) {
            vlugins.fault(index, key, line);
            continue;
        }
        match definition.kind.in_page() {
            InPage::Script => match scripts.put(&definition, &mut contents, imports) {
                Ok((definition, script)) => {
                    written.push(definition);
                    imported.push(script);
                }
                Err(fault) if fault.is_missing => {
                    vlugins.missing(index, fault.key, fault.line, fault.shared);
                }
                Err(fault) => vlugins.fault(index, fault.key, fault.line),
            },
            InPage::Module => match module(&loader, &definition, &mut contents) {
                Ok(definition) => written.push(definition),
                Err(error) => vlugins.failed(index, &RuntimeError::Load(error)),
            },
            InPage::Component => match reader.read(&definition) {
                Ok(read) => match components.put(&definition, read, &mut contents) {
                    Ok(definition) => written.push(definition),
                    Err(fault) => vlugins.fault(index, fault.key, fault.line),
                },
                Err(error) => vlugins.failed(index, &RuntimeError::Load(error)),
            },
            InPage::Folder => {
                let from = base.join(definition.path.as_deref().unwrap_or(Path::new("")));
                match copied::copy(&definition, &from, &args.output, &mut contents) {
                    Ok(definition) => written.push(definition),
                    Err(fault) => vlugins.fault(index, fault.key, fault.line),
                }
            }
            // Native vlugins, and whatever else no browser runs.
            _ => {}
        }
    }
    vlugins.faults()?;

    let instantiated: Vec<_> = components.made.into_values().collect();
    if !instantiated.is_empty() {
        for &(name, bytes) in COMPONENTS {
            contents.bytes(name, bytes, of_host);
        }
    }
    contents.bytes(
        SCRIPTS,
        web::scripts(&imported, &instantiated).into_bytes(),
        "what imports the vlugins of the service worker's realm",
    );
    contents.bytes(WORKER, web::worker(&imported, &instantiated), of_host);
    let list = serde_json::json!({ "plugins": written });
    contents.bytes(
        PLUGINS,
        format!("{list:#}\n").into_bytes(),
        "the list of vlugins",
    );
    // If the user has a page, in the folder already or about to be copied there, none is written.
    if !contents.has(INDEX) && !folder.has_foreign(INDEX)? {
        for &(name, bytes) in PAGE {
            contents.bytes(name, bytes, "the page that lists the vlugins");
        }
    }
    contents.faults()?;
    let files = folder.write(contents)?;

    let policy = policy::policy(&written);
    Ok(Made {
        vlugins,
        written,
        files,
        policy,
    })
}

/// Says that a definition names something that only a host beside a page offers.
fn not_in_a_page(definition: &Definition) -> Option<(&'static str, String)> {
    let runs = definition.kind.in_page() != InPage::Never;
    let is_module = definition.kind.in_page() == InPage::Module;
    if is_module && definition.instance == Some(Instance::Request) {
        let line = "a page does not begin a module anew with each request (`\"instance\": \"request\"`): write \
                    `\"instance\": \"shared\"`, or leave the vlugin to a server";
        return Some(("instance", line.to_owned()));
    }
    let mut names = definition.callees.iter().flatten();
    let name = names.find(|it| runs && it.starts_with('_'))?;
    let line = format!(
        "`callees` names `{name}`, which a page does not offer; it offers nothing: take it out, or leave the vlugin to \
         a server"
    );
    Some(("callees", line))
}

/// Puts a module into the folder, and returns the definition that names it there.
fn module(
    loader: &WasmLoader,
    definition: &Definition,
    contents: &mut Contents,
) -> Result<Definition, LoadError> {
    let (bytes, sha256) = loader.read(definition)?;
    // One crate may be mounted several times; a browser compiles and keeps one file once.
    let path = match contents.named(&sha256) {
        Some(path) => path,
        None => {
            let path = format!("{MODULES}/{}.wasm", definition.name);
            contents.module(&path, bytes, &sha256);
            path
        }
    };
    Ok(Definition {
        path: Some(PathBuf::from(path)),
        source: None,
        sha256: Some(sha256),
        ..definition.clone()
    })
}
