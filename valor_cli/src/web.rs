//! `valor_cli web`: from a plugins.json to a folder for a static server, whose page runs the vlugins in
//! its service worker.
//!
//! What goes into the folder is gathered first, with every fault on the way; only then is something written.
//! `contents` is what is to be written, `folder` writes it without touching what is not its own, `again` does it once
//! more whenever something changes, `scripts` makes one module of a `js` vlugin, `copied` looks through the folders of
//! `files` vlugins, `serve` is `--serve`.

mod again;
mod contents;
mod copied;
mod folder;
mod policy;
mod scripts;
mod serve;

use crate::{
    args::{LogFormat, WebArgs},
    build_sources::Stop,
    exit::{FAULTS, Failure},
    load::Vlugins,
    log_writer::LogWriter,
    output::print_line,
    plugins_file::{NAME_IT, PluginsFile},
    rows::show,
    table::{Row, State},
};
use contents::Contents;
use folder::Folder;
use scripts::Scripts;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use valor_runtime::{
    Definition, RuntimeError,
    loader::{InPage, LoadError, WasmLoader},
    web::{self, HOST, PAGE, SCRIPTS, WORKER},
};

/// The name of the list of vlugins that the service worker reads.
const PLUGINS: &str = "plugins.json";
/// The folder of the modules.
const MODULES: &str = "vlugins";
/// What a page is called that is asked for by its folder's name.
const INDEX: &str = "index.html";

/// Writes the folder, and serves it where that is asked for.
///
/// # Errors
/// Everything that keeps it from being written or served; nothing is written then.
pub fn web(args: &WebArgs, log: &LogWriter) -> Result<(), Failure> {
    let file = PluginsFile::of(args.plugins.as_deref(), NAME_IT)?;
    let watching = match args.watch {
        true => Some(again::Again::start(args, &file, log)?),
        false => None,
    };
    let stop = Stop::default();
    let wasm_opt = args.wasm_opt.found()?;
    let mut vlugins = read(args, &file);
    vlugins.build(&args.build, &args.log, log, &stop);
    vlugins.shrink_when(args.wasm_opt, args.build.release, wasm_opt.as_ref());
    let mut imports = Imports::new();
    let made = write(args, vlugins, &mut imports)?;
    tell(args, log, &made);
    let Some(listen) = &args.serve else {
        return Ok(());
    };
    let policy = serve::Policy::new(made.policy);
    if let Some(watching) = watching {
        let built = made.vlugins.libraries();
        watching.listen(policy.clone(), built, imports, stop.clone())?;
    }
    let served = serve::serve(&args.output, listen, policy, &args.log, log);
    stop.now();
    served
}

/// What was written.
struct Made {
    vlugins: Vlugins,
    /// The definitions as the folder has them.
    written: Vec<Definition>,
    files: usize,
    /// The Content-Security-Policy that its page gets by with.
    policy: String,
}

/// The files that scripts import, by their names.
type Imports = BTreeMap<String, Vec<PathBuf>>;

/// Reads plugins.json.
fn read(args: &WebArgs, file: &PluginsFile) -> Vlugins {
    let mut vlugins = Vlugins::read(Some(file.clone()), args.build.is_wanted());
    // Native ones do not run in a browser, so nobody waits for cargo to build them.
    let runs = |it: &Definition| it.kind.in_page() != InPage::Never;
    let names = vlugins.all().into_iter().filter(runs).map(|it| it.name);
    vlugins.only(&names.collect());
    vlugins
}

/// Writes the folder, with what was built. Notes what scripts import, also if it is not written.
fn write(args: &WebArgs, mut vlugins: Vlugins, imports: &mut Imports) -> Result<Made, Failure> {
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
    };
    for (index, definition) in vlugins.well() {
        match definition.kind.in_page() {
            InPage::Script => match scripts.put(&definition, &mut contents, imports) {
                Ok((definition, script)) => {
                    written.push(definition);
                    imported.push(script);
                }
                Err(fault) if fault.is_missing => vlugins.missing(index, fault.key, fault.line),
                Err(fault) => vlugins.fault(index, fault.key, fault.line),
            },
            InPage::Module => match module(&loader, &definition, &mut contents) {
                Ok(definition) => written.push(definition),
                Err(error) => vlugins.failed(index, &RuntimeError::Load(error)),
            },
            InPage::Folder => {
                let from = base.join(definition.path.as_deref().unwrap_or(Path::new("")));
                match copied::copy(&definition, &from, &args.output, &mut contents) {
                    Ok(definition) => written.push(definition),
                    Err(fault) => vlugins.fault(index, fault.key, fault.line),
                }
            }
            // Native ones, and whatever else no browser runs.
            _ => {}
        }
    }
    vlugins.faults()?;

    contents.bytes(
        SCRIPTS,
        web::scripts(&imported).into_bytes(),
        "what imports the JavaScript vlugins",
    );
    contents.bytes(WORKER, web::worker(&imported), of_host);
    let list = serde_json::json!({ "plugins": written });
    contents.bytes(
        PLUGINS,
        format!("{list:#}\n").into_bytes(),
        "the list of vlugins",
    );
    // A page of one's own is a reason to write none, be it in the folder already or on its way there.
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

/// Puts a module into the folder, and gives the definition that names it there.
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

/// Says what was written, and what was left out and why.
fn tell(args: &WebArgs, log: &LogWriter, made: &Made) {
    let Made {
        vlugins,
        written,
        files,
        policy,
    } = made;
    let (files, policy) = (*files, policy.as_str());
    let row = |(definition, state): (&Definition, State)| {
        let twin = written.iter().find(|it| it.name == definition.name);
        let file = twin.and_then(|twin| twin.path.as_deref());
        let state = match (state, twin) {
            (State::Good(_), Some(_)) => State::Good("written".into()),
            (State::Good(_), None) => State::Missing(format!(
                "a {} vlugin does not run in a browser; it is left out",
                definition.kind
            )),
            (state, _) => state,
        };
        Row {
            cells: vec![
                definition.name.clone(),
                definition.kind.to_string(),
                definition.prefix(),
                file.map_or_else(|| "-".to_owned(), |file| file.display().to_string()),
            ],
            state,
        }
    };
    let rows: Vec<_> = vlugins.states().map(row).collect();
    show(&rows, &args.log, log);
    let dir = args.output.display();
    match args.log.log_format {
        LogFormat::Json => log::info!(
            target: "valor", folder = dir.to_string().as_str(), files = files, policy = policy;
            "written"
        ),
        LogFormat::Text if args.log.quiet => {}
        LogFormat::Text => {
            print_line(format_args!("wrote {files} files to {dir}"));
            print_line(format_args!("content-security-policy: {policy}"));
        }
    }
}

fn failed(line: impl ToString) -> Failure {
    Failure::new(FAULTS, [line.to_string()])
}
