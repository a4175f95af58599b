//! `--build` and `build`: builds the crates that definitions name as `source` with cargo.
//!
//! One `cargo build` builds all crates of a workspace. cargo's messages give the path of each library, so that nothing
//! is copied or guessed. A crate that cannot be built is reported for its definitions; the others are built anyway.

mod crates;
pub mod dep_info;
mod fault;
mod memory;
mod recipe;

pub use crates::{Inputs, Workspaces, library_name, manifest, metadata};
pub use fault::BuildFault;
pub use recipe::Product;

use crate::{log_writer::LogWriter, programs::Stop, wasm_tools};
use cargo_metadata::{Message, Package, PackageId};
use fault::{cannot_run, fault};
use recipe::{Part, Recipe, Tool};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};
use valor_runtime::Definition;

/// How to build.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// Flushed before cargo writes to the same place.
    pub log: &'a LogWriter,
    /// cargo's release profile instead of dev.
    pub release: bool,
    /// Whether the log is JSON, so that cargo's lines must become records.
    pub json: bool,
    /// Whether to show only errors and warnings.
    pub quiet: bool,
    /// Ends the build early.
    pub stop: &'a Stop,
}

/// The library, or why there is none.
pub type Outcome = Result<PathBuf, BuildFault>;

/// Builds the crates of all definitions that name one. Returns the library, or why there is none, by the index that
/// came with the definition. `base` is the folder that a `source` is relative to.
pub fn build<'a>(
    definitions: impl Iterator<Item = (usize, &'a Definition)>,
    base: &Path,
    how: How<'_>,
) -> BTreeMap<usize, Outcome> {
    let mut outcomes = BTreeMap::new();
    let told = &mut |index, outcome| _ = outcomes.insert(index, outcome);
    build_each(definitions, base, how, told);
    outcomes
}

/// The same, but reports each outcome as soon as it is known. Libraries are built before modules, modules before
/// components, and workspaces in the order of the definitions. A stopped build reports nothing more.
pub fn build_each<'a>(
    definitions: impl Iterator<Item = (usize, &'a Definition)>,
    base: &Path,
    how: How<'_>,
    told: &mut dyn FnMut(usize, Outcome),
) {
    let mut known = Workspaces::new(how.stop);
    let mut workspaces = Vec::new();
    // With the number of the workspace.
    let mut wanted: BTreeMap<(Recipe, usize), Vec<Wanted>> = BTreeMap::new();
    for (index, definition) in definitions {
        let Some(source) = &definition.source else {
            continue;
        };
        match known.package(&base.join(source), Product::of(definition)) {
            Ok((workspace, package, recipe)) => {
                let known = workspaces.iter().position(|it| *it == workspace);
                let number = known.unwrap_or(workspaces.len());
                if known.is_none() {
                    workspaces.push(workspace);
                }
                let packages = wanted.entry((recipe, number)).or_default();
                match packages.iter_mut().find(|it| it.package.id == package.id) {
                    Some(wanted) => wanted.indices.push(index),
                    None => packages.push(Wanted {
                        package,
                        indices: vec![index],
                    }),
                }
            }
            Err(fault) => told(index, Err(fault)),
        }
    }
    for ((recipe, number), packages) in wanted {
        let at_once = match recipe.tool {
            Tool::Cargo => packages.len(),
            // If one does not compile, it makes no component of the others.
            Tool::CargoComponent => 1,
        };
        for packages in packages.chunks(at_once) {
            if how.stop.is_stopped() {
                return;
            }
            build_workspace(&workspaces[number], recipe, packages, how, told);
        }
    }
}

/// A package, and the definitions that need it: one crate may be mounted several times.
struct Wanted {
    package: Package,
    indices: Vec<usize>,
}

/// Builds packages of one workspace and reports an outcome for each. If one does not compile, the others are still
/// built.
fn build_workspace(
    workspace: &Path,
    recipe: Recipe,
    packages: &[Wanted],
    how: How<'_>,
    told: &mut dyn FnMut(usize, Outcome),
) {
    let names: Vec<_> = packages.iter().map(|it| &**it.package.name).collect();
    let profile = if how.release { "release" } else { "dev" };
    let start = Instant::now();
    log::info!(
        target: "valor::build", profile = profile;
        "building {} in {}{}", names.join(", "), workspace.display(), recipe.product.said()
    );
    let tools = match (recipe.tool, recipe.product.target()) {
        (Tool::CargoComponent, _) => wasm_tools::have_cargo_component(cargo(), how.stop),
        (Tool::Cargo, Some(target)) => wasm_tools::have_target(target, workspace, how.stop),
        (Tool::Cargo, None) => Ok(()),
    };
    how.log.flush();
    let begin = |it: &Wanted| dep_info::begin(&it.package.id, recipe.product);
    let builds: Vec<_> = packages.iter().map(begin).collect();

    let mut left: Vec<_> = packages.iter().collect();
    let mut tell = |wanted: &Wanted, outcome: Outcome| {
        for &index in &wanted.indices {
            told(index, outcome.clone());
        }
    };
    let mut made = BTreeMap::new();
    let mut built = |id: PackageId, library: PathBuf| {
        made.insert(id.clone(), library.clone());
        if let Some(at) = left.iter().position(|it| it.package.id == id) {
            tell(left.remove(at), Ok(library));
        }
    };
    let ran = match (recipe.tool, &tools) {
        (Tool::Cargo, _) => run_cargo(workspace, recipe, packages, how, &mut built),
        (Tool::CargoComponent, Ok(())) => run_component(recipe, packages, how, &mut built),
        (Tool::CargoComponent, Err(_)) => Ok(false),
    };
    if how.stop.is_stopped() {
        return;
    }
    for (build, wanted) in builds.into_iter().zip(packages) {
        // If one has failed, cargo writes no dep-info of the others either.
        let made = made.get(&wanted.package.id).filter(|_| ran == Ok(true));
        build.end(made.map(PathBuf::as_path));
    }
    let took = start.elapsed().as_secs_f64();
    let built = packages.len() - left.len();
    log::info!(
        target: "valor::build", profile = profile;
        "built {built} of {} crates in {took:.1} s", packages.len()
    );
    for wanted in left {
        let outcome = match (&ran, &tools) {
            (Err(error), _) => error.clone(),
            (Ok(_), Ok(())) => fault(format!(
                "its crate `{}` cannot be built; see cargo's errors above",
                wanted.package.name
            )),
            (Ok(_), Err(missing)) => BuildFault {
                line: format!(
                    "its crate `{}` cannot be built: {missing}",
                    wanted.package.name
                ),
                no_tool: true,
            },
        };
        tell(wanted, Err(outcome));
    }
}

/// The cargo that cargo_metadata chooses: $CARGO, which cargo itself sets for the programs that it runs, or the one on
/// the PATH.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs `cargo build` and reports each library when cargo does; returns whether all of it was built.
fn run_cargo(
    workspace: &Path,
    recipe: Recipe,
    packages: &[Wanted],
    how: How<'_>,
    built: &mut dyn FnMut(PackageId, PathBuf),
) -> Result<bool, BuildFault> {
    let mut command = Command::new(cargo());
    command
        .current_dir(workspace)
        .args(["build", "--keep-going"])
        .arg(match recipe.part {
            Part::Library => "--lib",
            Part::Program => "--bins",
        });
    for wanted in packages {
        command.arg("--package").arg(&wanted.package.id.repr);
    }
    if let Some(target) = recipe.product.target() {
        command.args(["--target", target]);
    }
    // Whatever the exit code, a crate without a library was not built.
    run(command, recipe, how, built)
}

/// Runs `cargo component build`, and reports each component once that has made one of what cargo has built;
/// returns whether all were made.
fn run_component(
    recipe: Recipe,
    packages: &[Wanted],
    how: How<'_>,
    built: &mut dyn FnMut(PackageId, PathBuf),
) -> Result<bool, BuildFault> {
    let mut is_whole = true;
    for Wanted { package, .. } in packages {
        let mut command = Command::new(cargo());
        // It takes no id for a package.
        let name = format!("{}@{}", package.name, package.version);
        let folder = package
            .manifest_path
            .parent()
            .expect("a file is in a folder");
        command
            .current_dir(folder)
            .args(["component", "build", "--package", &name]);
        let mut all = Vec::new();
        match run(command, recipe, how, &mut |id, file| all.push((id, file)))? {
            true => all.into_iter().for_each(|(id, file)| built(id, file)),
            false => is_whole = false,
        }
    }
    Ok(is_whole)
}

/// Runs a build and reports each file when cargo does; returns whether all of it was built. The output for people goes
/// to standard error: with cargo's progress line on a terminal, as plain lines into a pipe, as records if the log is
/// JSON.
fn run(
    mut command: Command,
    recipe: Recipe,
    how: How<'_>,
    built: &mut dyn FnMut(PackageId, PathBuf),
) -> Result<bool, BuildFault> {
    command
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    if how.release {
        command.arg("--release");
    }
    if how.quiet {
        command.arg("--quiet");
    }
    if how.json {
        command.args(["--color", "never"]).stderr(Stdio::piped());
    }
    let cargo = how.stop.start(&mut command);
    let mut cargo = cargo.map_err(|error| cannot_run(error.into()))?;
    let (stdout, stderr) = (cargo.stdout.take(), cargo.stderr.take());
    std::thread::scope(|scope| {
        if let Some(stderr) = stderr {
            scope.spawn(|| log_lines(stderr));
        }
        if let Some(stdout) = stdout {
            let messages = Message::parse_stream(BufReader::new(stdout));
            let files = messages.filter_map(|message| file_of(message.ok()?, recipe));
            files.for_each(|(package, file)| built(package, file));
        }
    });
    let status = cargo.wait().map_err(|error| cannot_run(error.into()))?;
    match status.code() {
        Some(code) => Ok(code == 0),
        None => Err(fault(format!(
            "cargo was killed during the build ({status}), by the system or by someone else; build it again"
        ))),
    }
}

fn log_lines(stderr: impl Read) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if !line.trim().is_empty() {
            log::info!(target: "valor::build", "{line}");
        }
    }
}

/// The package and the file, if cargo has built what the recipe says.
fn file_of(message: Message, recipe: Recipe) -> Option<(PackageId, PathBuf)> {
    let artifact = match message {
        Message::CompilerArtifact(artifact) => artifact,
        Message::BuildScriptExecuted(script) => {
            dep_info::note_script(&script);
            return None;
        }
        _ => return None,
    };
    if !recipe.is_of(&artifact.target) {
        return None;
    }
    let file = artifact
        .filenames
        .into_iter()
        .find(|file| file.extension() == Some(recipe.product.extension()))?;
    Some((artifact.package_id, file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_in(dir: &Path, manifest: &str) {
        std::fs::create_dir_all(dir.join("src")).unwrap();
        std::fs::write(dir.join("Cargo.toml"), manifest).unwrap();
        std::fs::write(dir.join("src/lib.rs"), "").unwrap();
    }

    #[test]
    fn what_cannot_be_built_is_told_of_by_definition() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        crate_in(
            &base.join("no_library"),
            "[package]\nname = \"no_library\"\n[workspace]",
        );
        crate_in(&base.join("broken"), "[package\n");
        crate_in(&base.join("workspace"), "[workspace]\nmembers = []");
        let mut definitions: Vec<_> = ["no_library", "broken", "workspace", "nowhere"]
            .map(|source| {
                let mut definition = Definition::new(valor_runtime::Kind::Native, source);
                definition.source = Some(source.into());
                definition
            })
            .into();
        let mut component = Definition::new(valor_runtime::Kind::Wasi, "component");
        component.source = Some("no_library".into());
        definitions.push(component);
        let log = LogWriter::start(std::io::sink()).unwrap();
        let how = How {
            log: &log,
            release: false,
            json: false,
            quiet: true,
            stop: &Stop::default(),
        };
        let outcomes = build(definitions.iter().enumerate(), base, how);
        let line = |index: usize| outcomes[&index].clone().unwrap_err().line;
        let shown = |name: &str| base.join(name).display().to_string();
        assert_eq!(
            line(0),
            format!(
                "its source {} does not build a shared library; add to its Cargo.toml: [lib] crate-type = [\"cdylib\"]",
                shown("no_library")
            )
        );
        assert!(line(1).starts_with(&format!(
            "cargo cannot read its source {}: ",
            shown("broken")
        )));
        assert_eq!(line(1).lines().count(), 1);
        assert_eq!(
            line(2),
            format!(
                "its source {} is a workspace; name the folder of a crate in it",
                shown("workspace")
            )
        );
        assert_eq!(
            line(3),
            format!(
                "its source {} has no Cargo.toml; `source` names a crate's folder, relative to plugins.json",
                shown("nowhere")
            )
        );
        assert_eq!(line(4), line(0).replace("a shared library", "a component"));
    }
}
