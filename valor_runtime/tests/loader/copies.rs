//! Libraries that were built against a different `valor_abi`: copies of its source, made at each run and changed a
//! little. They represent future versions.

use super::fixture::{build, workspace};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How a copy differs from the source.
pub struct Copy {
    /// The name of the vlugin's crate, and of the copy. The crates of the copy stand in a folder with this name. The
    /// copies share a target folder, and cargo takes crates of the same name and version in the same place of their
    /// workspace for the same crate.
    pub name: &'static str,
    /// The version of `valor_abi`, and of the vlugin.
    pub version: &'static str,
    /// A file of `valor_abi`, a text that occurs there once, and its replacement.
    pub edits: &'static [(&'static str, &'static str, &'static str)],
}

impl Copy {
    /// The library of this copy's vlugin.
    pub fn vlugin(&self) -> PathBuf {
        let _one_at_a_time = lock();
        build(&self.write(), &["-p", self.name], "debug", self.name)
    }

    /// The program of this copy that loads a library and prints what its vlugin says.
    pub fn host(&self) -> PathBuf {
        let _one_at_a_time = lock();
        let library = build(&self.write(), &["-p", "abi_host"], "debug", "abi_host");
        library.with_file_name(format!("abi_host{}", std::env::consts::EXE_SUFFIX))
    }

    /// Writes the copy as a workspace. A file that is unchanged since the last run is left alone, so that cargo has
    /// nothing to rebuild.
    fn write(&self) -> PathBuf {
        assert_ne!(self.version, env!("CARGO_PKG_VERSION"), "it is another one");
        let (from, to) = (workspace(), self.folder());
        let manifest = read(&from.join("Cargo.toml"));
        let shared = cut(&manifest, "[workspace.package]", "[profile").replace(
            "path = \"valor_abi",
            &format!("path = \"{}/valor_abi", self.name),
        );
        write(
            &to.join("Cargo.toml"),
            &format!(
                "[workspace]\nresolver = \"3\"\n\
                 members = [\"{0}/valor_abi\", \"plugin\", \"host\"]\n\n{1}",
                self.name,
                self.renumbered(&shared)
            ),
        );
        // The same dependencies, so that the other fixtures share their builds.
        write(&to.join("Cargo.lock"), &read(&from.join("Cargo.lock")));
        write(
            &to.join("plugin/Cargo.toml"),
            &format!(
                "[package]\nname = \"{}\"\nversion.workspace = true\nedition.workspace = true\n\
                 [lib]\ncrate-type = [\"cdylib\"]\n\
                 [dependencies]\nfutures-lite.workspace = true\nvalor.workspace = true\n",
                self.name
            ),
        );
        write(
            &to.join("plugin/src/lib.rs"),
            include_str!("../fixtures/another_abi/plugin.rs"),
        );
        write(
            &to.join("host/Cargo.toml"),
            "[package]\nname = \"abi_host\"\nversion.workspace = true\n\
             edition.workspace = true\n\
             [dependencies]\nfutures-lite.workspace = true\nlibloading = \"0.8\"\nlog.workspace = true\n\
             serde_json.workspace = true\nvalor_abi_native.workspace = true\nvalor_abi_wire.workspace = true\n",
        );
        write(
            &to.join("host/src/main.rs"),
            include_str!("../fixtures/another_abi/host.rs"),
        );
        let mut edits = 0;
        for file in sources(&from.join("valor_abi")) {
            let name = file.strip_prefix(&from).unwrap();
            let mut text = read(&file);
            if name == Path::new("valor_abi/Cargo.toml") {
                text = text.replace(cut(&text, "[[test]]", "[lints]"), "");
            }
            if name.ends_with("Cargo.toml") {
                text = text.replace(&version(env!("CARGO_PKG_VERSION")), &version(self.version));
            }
            for (_, before, after) in self
                .edits
                .iter()
                .filter(|(path, ..)| Path::new("valor_abi").join(path) == name)
            {
                assert_eq!(text.matches(before).count(), 1, "{before} in {name:?}");
                text = text.replace(before, after);
                edits += 1;
            }
            write(&to.join(self.name).join(name), &text);
        }
        assert_eq!(edits, self.edits.len(), "a file of the edits is not there");
        to
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR"))
            .with_file_name("copies")
            .join(self.name)
    }

    fn renumbered(&self, manifest: &str) -> String {
        let ours = version(env!("CARGO_PKG_VERSION"));
        assert!(manifest.contains(&ours), "{manifest}");
        manifest.replace(&ours, &version(self.version))
    }
}

/// As a manifest says it.
fn version(version: &str) -> String {
    format!("version = \"{version}\"")
}

/// What the crates in a folder, and in those inside of it, are built from.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    let parts = ["Cargo.toml", "build.rs", "src"].map(|part| folder.join(part));
    sources.extend(
        parts
            .iter()
            .filter(|part| part.exists())
            .flat_map(|part| files(part)),
    );
    for entry in fs::read_dir(folder).unwrap() {
        let inner = entry.unwrap().path();
        if inner.join("Cargo.toml").exists() {
            sources.extend(self::sources(&inner));
        }
    }
    sources
}

/// Several tests ask for the same copy, and cargo must not read files while they are written.
fn lock() -> MutexGuard<'static, ()> {
    static WRITING: Mutex<()> = Mutex::new(());
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From one text up to another.
fn cut<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).expect(from);
    let len = text[start..].find(to).expect(to);
    &text[start..start + len]
}

/// A file, or all files in a folder.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let inside = fs::read_dir(path).unwrap();
    inside
        .flat_map(|entry| files(&entry.unwrap().path()))
        .collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn write(file: &Path, text: &str) {
    if fs::read_to_string(file).is_ok_and(|before| before == text) {
        return;
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}
