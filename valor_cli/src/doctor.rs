//! `valor_cli doctor`: which tools are here, which version of each, what it is for, and the command that gets it. Each
//! is looked for where the other commands look for it. Whether one is needed follows from a plugins.json.

use crate::{
    args::DoctorArgs,
    build_sources::{Product, cargo},
    bundle::Bundler,
    exit::{FAULTS, Failure},
    output::{print, print_json, print_warning},
    plugins_file::{NAME_IT, PluginsFile},
    programs::{Stop, Unfinished},
    table::{Row, RowState, table},
    wasm_tools::{WasmOpt, has_std, rustc},
};
use serde::Serialize;
use serde_json::json;
use std::{
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};
use valor_runtime::{
    loader::{Judge, ScriptError},
    package::{SCRIPT_TARGET, WASI_TARGET, WASM_TARGET},
};

/// What gets cargo, rustc and rustup.
const RUST: &str = match cfg!(windows) {
    true => "winget install Rustlang.Rustup",
    false => "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
};

/// What gets wasm-opt.
const BINARYEN: &str = match (cfg!(windows), cfg!(target_os = "macos")) {
    (true, _) => "npm install --global binaryen",
    (_, true) => "brew install binaryen",
    _ => "apt install binaryen",
};

/// How long a tool may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes that it may say.
const WORDS: u64 = 64 * 1024;

const HEADS: [&str; 5] = ["tool", "version", "needed", "what it is for", "state"];

/// A tool that somebody may need.
#[derive(Debug, Serialize)]
struct Tool {
    tool: &'static str,
    /// `None` if it is missing or cannot be used.
    version: Option<String>,
    #[serde(rename = "for")]
    purpose: &'static str,
    needed: bool,
    /// The command that gets it.
    get: String,
    /// Why it cannot be used.
    reason: Option<String>,
}

/// What the vlugins of a plugins.json need.
#[derive(Default)]
struct Needs {
    /// What is built with cargo.
    products: Vec<Product>,
    scripts: bool,
}

/// Lists the tools. The exit code says whether one is missing that is needed.
///
/// # Errors
/// If a plugins.json that is named cannot be read.
pub fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let file = match args.plugins.is_none() && PluginsFile::is_absent() {
        true => None,
        false => Some(PluginsFile::of(args.plugins.as_deref(), NAME_IT)?),
    };
    let needs = match &file {
        Some(file) => needs(file)?,
        None => Needs::default(),
    };
    let base = file.as_ref().map_or(Path::new("."), |file| file.base());
    let tools = tools(args, base, &needs);
    if args.json {
        let plugins = file.map(|file| file.shown().display().to_string());
        let shown = json!({ "plugins": plugins, "tools": tools });
        print_json(&shown).map_err(Failure::fault)?;
    } else {
        let rows: Vec<_> = tools.iter().map(row).collect();
        print(&table(&HEADS, &rows));
    }
    let lacks = tools.iter().any(|it| it.needed && it.version.is_none());
    Ok(match lacks {
        true => FAULTS.into(),
        false => ExitCode::SUCCESS,
    })
}

/// # Errors
/// If nothing in it is sound.
fn needs(file: &PluginsFile) -> Result<Needs, Failure> {
    let shown = file.shown().display();
    if file.again().is_some_and(|path| !path.is_file()) {
        return Err(Failure::fault(format!(
            "{shown}: there is no such file; {NAME_IT}"
        )));
    }
    let (definitions, faults) = file.read();
    if faults.is_some() {
        let line = format!("{shown} has faults, which `valor_cli check` lists");
        match definitions.is_empty() {
            true => return Err(Failure::fault(line)),
            false => print_warning(&format!("{line}; what they concern is not counted")),
        }
    }
    let mut needs = Needs::default();
    for definition in definitions.iter().filter(|it| !it.optional) {
        if definition.source.is_some() {
            needs.products.push(Product::of(definition));
        }
        needs.scripts |= definition.kind.target() == Some(SCRIPT_TARGET);
    }
    Ok(needs)
}

/// All tools, in the order of the page.
fn tools(args: &DoctorArgs, base: &Path, needs: &Needs) -> Vec<Tool> {
    let rustc = version(&rustc());
    // A system's own packages of Rust come without it.
    let first = match version(&"rustup".into()) {
        Ok(_) => String::new(),
        Err(_) => format!("{RUST}, then "),
    };
    let std_for = |target, product, purpose| Tool {
        needed: needs.products.contains(&product),
        ..tool(
            target,
            purpose,
            format!("{first}rustup target add {target}"),
            {
                // It is of the compiler's version.
                let has_it = |version| match has_std(target, base, &Stop::default()) {
                    true => Ok(version),
                    false => Err(format!("rustc {version} does not have it")),
                };
                rustc.clone().and_then(has_it)
            },
        )
    };
    vec![
        Tool {
            needed: !needs.products.is_empty(),
            ..tool("cargo", "builds vlugins in Rust", RUST, version(&cargo()))
        },
        std_for(WASM_TARGET, Product::Module, "builds `wasm` vlugins"),
        std_for(WASI_TARGET, Product::Component, "builds `wasi` vlugins"),
        tool(
            "wasm-opt",
            "makes modules smaller",
            BINARYEN,
            version(&WasmOpt::program()),
        ),
        Tool {
            needed: needs.scripts,
            ..tool(
                "deno",
                "runs `js` vlugins",
                "npm install deno",
                deno(args, base),
            )
        },
        tool(
            "esbuild",
            "bundles scripts for `web` and `package`",
            "npm install esbuild",
            esbuild(args, base),
        ),
    ]
}

/// One that nothing needs so far.
fn tool(
    tool: &'static str,
    purpose: &'static str,
    get: impl Into<String>,
    found: Result<String, String>,
) -> Tool {
    let (version, reason) = match found {
        Ok(version) => (Some(version), None),
        Err(reason) => (None, Some(reason)),
    };
    Tool {
        tool,
        version,
        purpose,
        needed: false,
        get: get.into(),
        reason,
    }
}

/// The Deno that a script beside plugins.json would run in.
fn deno(args: &DoctorArgs, base: &Path) -> Result<String, String> {
    let script = base.join("main.js");
    let found = smol::block_on(Judge::required(args.deno.as_deref(), base, &script));
    let judge = found.map_err(|error| match error {
        // Without the remedy, which follows.
        ScriptError::NoDeno { reason } => reason,
        error => error.to_string(),
    })?;
    version(&judge.program().into())
}

/// The esbuild that would bundle a script beside plugins.json.
fn esbuild(args: &DoctorArgs, base: &Path) -> Result<String, String> {
    let bundler = Bundler {
        base,
        beside: &base.join("main.js"),
        esbuild: args.esbuild.as_deref(),
        external: None,
        for_page: false,
    };
    match bundler.program() {
        Ok(Some(program)) => version(&program.into()),
        Ok(None) => Err("it is not found".to_owned()),
        Err(untrusted) => Err(untrusted.to_string()),
    }
}

/// What a program says to `--version`: the first word that begins with a digit.
fn version(program: &OsString) -> Result<String, String> {
    let shown = PathBuf::from(program);
    let shown = shown.display();
    let mut command = Command::new(program);
    let command = command.arg("--version");
    let output = match Stop::of_program().answer(command, PATIENCE, WORDS) {
        Ok(output) => output,
        Err(Unfinished::Endless) => return Err(format!("{shown} does not say its version")),
        Err(Unfinished::System(error)) if error.kind() == ErrorKind::NotFound => {
            return Err(format!("{shown} is not found"));
        }
        Err(error) => return Err(format!("{shown} {error}")),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    match version.filter(|_| output.status.success()) {
        Some(version) => Ok(version.to_owned()),
        None => Err(format!("{shown} does not say its version")),
    }
}

fn row(tool: &Tool) -> Row {
    let missing = || {
        let reason = tool.reason.as_deref().unwrap_or_default();
        format!("{reason}; get it: {}", tool.get)
    };
    let state = match (&tool.version, tool.needed) {
        (Some(_), _) => RowState::Good("found".to_owned()),
        (None, true) => RowState::Bad(missing()),
        (None, false) => RowState::Missing(missing()),
    };
    let needed = match tool.needed {
        true => "yes",
        false => "no",
    };
    let version = tool.version.as_deref().unwrap_or("-");
    Row {
        cells: [tool.tool, version, needed, tool.purpose]
            .map(str::to_owned)
            .to_vec(),
        state,
    }
}
