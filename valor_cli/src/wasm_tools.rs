//! The tools that WebAssembly modules and components need besides cargo: the target's std, which rustup installs,
//! `cargo component` for crates that are meant for it, and binaryen's `wasm-opt`, which shrinks modules.
//! `build_sources`, `build` and `doctor` call it. If one of them is missing, a line says so, and what to do.

use crate::programs::{Stop, silent};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};
use valor_runtime::{escape::one_line, lock::locked};

/// The features that rustc uses in modules for this target; a tool that knows more of them may use only these.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Makes sure that the target's std is installed for builds in this folder, with rustup if it is missing. If that fails
/// too, it returns the line that says so.
///
/// # Errors
/// What is missing, and the remedy. A compiler that finds its std elsewhere builds anyway.
pub fn have_target(target: &str, folder: &Path, stop: &Stop) -> Result<(), String> {
    // It does not go away by itself, and asking takes a while with each build of `--watch`.
    static HAD: Mutex<BTreeSet<(String, PathBuf)>> = Mutex::new(BTreeSet::new());
    let this = (target.to_owned(), folder.to_owned());
    if locked(&HAD).contains(&this) {
        return Ok(());
    }
    if has_std(target, folder, stop) {
        locked(&HAD).insert(this);
        return Ok(());
    }
    log::info!(target: "valor::build", "the target {target} is missing; rustup installs it");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", target]).current_dir(folder);
    let rustup = stop.output(&mut rustup);
    let why = match rustup {
        Ok(output) if output.status.success() => match has_std(target, folder, stop) {
            true => return Ok(()),
            // Not rustup's.
            false => " for this compiler".to_owned(),
        },
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            last.map_or(String::new(), |line| format!(" ({})", line.trim()))
        }
        Err(_) => String::new(),
    };
    Err(format!(
        "the target {target} is not installed{why}: rustup target add {target}"
    ))
}

/// The compiler that cargo runs.
pub fn rustc() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// Whether the compiler that cargo runs in this folder has the target's std.
pub fn has_std(target: &str, folder: &Path, stop: &Stop) -> bool {
    let mut rustc = Command::new(rustc());
    rustc
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(folder);
    let Ok(output) = stop.output(&mut rustc) else {
        return false;
    };
    let libdir = String::from_utf8_lossy(&output.stdout);
    fs::read_dir(libdir.trim()).is_ok_and(|mut files| {
        files.any(|file| {
            file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
        })
    })
}

/// Makes sure that this cargo has the command `component`.
///
/// # Errors
/// If it does not; with the remedy.
pub fn have_cargo_component(cargo: OsString, stop: &Stop) -> Result<(), String> {
    let mut version = Command::new(cargo);
    let asked = stop.output(version.args(["component", "--version"]));
    match asked.is_ok_and(|asked| asked.status.success()) {
        true => Ok(()),
        false => Err(
            "it has [package.metadata.component] in its Cargo.toml, and `cargo component`, which builds such crates, \
             is not installed: cargo install cargo-component --locked"
                .to_owned(),
        ),
    }
}

/// `wasm-opt`, if it is installed: `$WASM_OPT`, or the one on the PATH.
pub struct WasmOpt(PathBuf);

impl WasmOpt {
    /// What is run, whether it is there or not.
    pub fn program() -> OsString {
        std::env::var_os("WASM_OPT").unwrap_or_else(|| "wasm-opt".into())
    }

    /// Looks for it.
    ///
    /// # Errors
    /// If it is not installed; with the remedy.
    pub fn find() -> Result<Self, String> {
        let tool = Self::program();
        let mut version = Command::new(&tool);
        match Stop::default().output(version.arg("--version")) {
            Ok(output) if output.status.success() => Ok(Self(tool.into())),
            _ => Err(format!(
                "there is no {} to make the modules smaller; install binaryen (apt install binaryen, \
                 brew install binaryen), or name it in $WASM_OPT",
                tool.display()
            )),
        }
    }

    /// Shrinks a module in place: the file is complete at any time. Returns its size before and after.
    ///
    /// # Errors
    /// The tool's error, in one line.
    pub fn shrink(&self, file: &Path) -> Result<(u64, u64), String> {
        let size = |file: &Path| fs::metadata(file).map(|metadata| metadata.len());
        let wrong = |error: std::io::Error| format!("{}: {error}", file.display());
        let before = size(file).map_err(wrong)?;
        let part = file.with_extension("wasm.part");
        let mut shrink = Command::new(&self.0);
        shrink
            .arg("-Oz")
            .args(FEATURES)
            .arg(file)
            .arg("-o")
            .arg(&part);
        let ran = Stop::default().output(&mut shrink);
        let ran = ran.map_err(|error| format!("{} {error}", self.0.display()))?;
        if !ran.status.success() {
            if let Err(error) = fs::remove_file(&part)
                && error.kind() != ErrorKind::NotFound
            {
                return Err(wrong(error));
            }
            let program = self.0.display();
            let said = match one_line(&String::from_utf8_lossy(&ran.stderr)) {
                said if said.is_empty() => {
                    format!("{}; see that it is wasm-opt", silent("it", ran.status))
                }
                said => said,
            };
            return Err(format!(
                "{program} cannot make {} smaller: {said}",
                file.display()
            ));
        }
        let after = size(&part).map_err(wrong)?;
        fs::rename(&part, file).map_err(wrong)?;
        Ok((before, after))
    }
}
