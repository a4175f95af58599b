//! `run --build --watch`: crates are edited while the program serves. Builds delay nobody.

use crate::{
    support::{Folder, Server, valor_cli, workspace},
    watching::{Busy, DONE, Watching, plugins},
};
use std::{fs, path::Path};

/// The crate of a vlugin that answers with a word.
fn source(folder: &Folder, word: &str) {
    source_in(folder, "it", word);
}

/// The same in another folder.
pub fn source_in(folder: &Folder, path: &str, word: &str) {
    let code = format!(
        "#[valor::vlugin]\npub async fn on_request(_: valor::http::Request) -> &'static str {{ \"{word}\" }}\n"
    );
    folder.write(&format!("{path}/src/lib.rs"), code);
}

/// Creates the crate in a folder. Tests run concurrently and share a target folder, so each gives the crate another
/// name: cargo writes two crates of the same name to the same place.
fn watched(folder: &Folder, name: &str) {
    watched_in(folder, "it", name);
}

/// The same in another folder.
pub fn watched_in(folder: &Folder, path: &str, name: &str) {
    let valor = workspace().join("valor_abi");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n[profile.dev]\ndebug = false\n\
         [dependencies]\nvalor = {{ package = \"valor_abi\", path = {valor:?} }}\n"
    );
    folder.write(&format!("{path}/Cargo.toml"), manifest);
    let lock = workspace().join("valor_runtime/tests/fixtures/Cargo.lock");
    folder.write(&format!("{path}/Cargo.lock"), fs::read(lock).unwrap());
    source_in(folder, path, "one");
}

/// A cargo that builds no module before it may, and notes what it builds.
#[cfg(all(unix, feature = "wasm"))]
pub const SLOW_FOR_MODULES: &str = r#"#!/bin/sh
case "$*" in build*) echo "$*" >> "$GATE.log" ;; esac
case "$*" in *wasm32*) while [ ! -e "$GATE" ]; do sleep 0.05; done ;; esac
exec "$REAL_CARGO" "$@"
"#;

/// Makes a command build with that cargo, whose gate is open at first: the file that opens it.
#[cfg(all(unix, feature = "wasm"))]
pub fn with_a_gate(command: &mut std::process::Command, folder: &Folder) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    folder.write("bin/cargo", SLOW_FOR_MODULES);
    let (cargo, gate) = (
        folder.path().join("bin/cargo"),
        folder.path().join("bin/gate"),
    );
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&gate, "").unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fixtures");
    let real = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    command
        .envs([
            ("REAL_CARGO", &*real),
            ("CARGO", cargo.as_os_str()),
            ("GATE", gate.as_os_str()),
        ])
        .env("CARGO_TARGET_DIR", target);
    gate
}

/// One crate for both: an edit of it is a library before it is a module.
#[cfg(all(unix, feature = "wasm"))]
#[test]
fn a_library_does_not_wait_for_a_module() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "native", "name": "it", "source": "it" }"#,
        r#"{ "type": "wasm", "name": "module", "source": "it" }"#,
    ]));
    watched(&folder, "watched_twice");
    let mut command = valor_cli();
    let gate = with_a_gate(&mut command, &folder);
    command
        .args(["run", "--addr", "127.0.0.1:0", "--build", "--watch", "-p"])
        .arg(folder.path().join("plugins.json"));
    let server = Server::spawn(command);
    let it = Watching { folder, server };
    assert_eq!(
        (it.get("/it"), it.get("/module")),
        ("one".into(), "one".into())
    );
    fs::remove_file(&gate).unwrap();
    it.when(|| source(&it.folder, "two"), "the vlugin `it` is replaced");
    assert_eq!(
        (it.get("/it"), it.get("/module")),
        ("two".into(), "one".into())
    );
    it.when(
        || fs::write(&gate, "").unwrap(),
        "the vlugin `module` is replaced",
    );
    assert_eq!(it.get("/module"), "two");
}

/// While a module is built: a script, a folder, plugins.json and the crate of a library.
#[cfg(all(target_os = "linux", feature = "wasm"))]
#[test]
fn an_edit_does_not_wait_for_the_build_of_another_vlugin() {
    let script = r#"{ "type": "js", "name": "script" }"#;
    let all = [
        r#"{ "type": "native", "name": "it", "source": "it" }"#,
        r#"{ "type": "wasm", "name": "module", "source": "other/it" }"#,
        script,
    ];
    let folder = Folder::new(&plugins(&all));
    watched(&folder, "watched_native");
    watched_in(&folder, "other/it", "watched_module");
    let answers = |word: &str| format!("export default {{ fetch: () => new Response('{word}') }};");
    folder.write("script.js", answers("one"));
    let mut command = valor_cli();
    let gate = with_a_gate(&mut command, &folder);
    command
        .env("VALOR_DENO", crate::scripting::deno())
        .args(["run", "--addr", "127.0.0.1:0", "--build", "--watch", "-p"])
        .arg(folder.path().join("plugins.json"));
    let server = Server::spawn(command);
    let it = Watching { folder, server };
    let get = || (it.get("/it"), it.get("/module"), it.get("/script"));
    assert_eq!(get(), ("one".into(), "one".into(), "one".into()));
    fs::remove_file(&gate).unwrap();
    let builds = "for WebAssembly";
    it.when(|| source_in(&it.folder, "other/it", "two"), builds);
    it.when(
        || it.folder.write("script.js", answers("two")),
        "the vlugin `script` is replaced",
    );
    it.when(|| source(&it.folder, "two"), "the vlugin `it` is replaced");
    assert_eq!(get(), ("two".into(), "one".into(), "two".into()));
    // What gave way is built again, once the library is there.
    it.server.wait_until(builds, 3);
    let more = r#"{ "type": "files", "name": "folder", "path": "other" }"#;
    let entries = [&all[..], &[more]].concat();
    it.when(
        || it.folder.write("plugins.json", plugins(&entries)),
        "the vlugin `folder` is added",
    );
    assert_eq!(it.server.get("/folder/it/Cargo.toml").status, 200);
    it.when(
        || fs::write(&gate, "").unwrap(),
        "the vlugin `module` is replaced",
    );
    assert_eq!(it.get("/module"), "two");
    // Each edit of a crate was one build, and so was the one that gave way.
    let built = fs::read_to_string(it.folder.path().join("bin/gate.log")).unwrap();
    let count = |package: &str| built.lines().filter(|it| it.contains(package)).count();
    assert_eq!((count("watched_native"), count("watched_module")), (2, 3));
}

#[test]
fn a_source_is_built_again() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "native", "name": "it", "source": "it" }"#,
    ]));
    watched(&folder, "watched");
    let mut command = valor_cli();
    // Where the fixtures of the runtime's tests are built from the same.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fixtures");
    command
        .env("CARGO_TARGET_DIR", target)
        .args(["run", "--addr", "127.0.0.1:0", "--build", "--watch", "-p"])
        .arg(folder.path().join("plugins.json"));
    let server = Server::spawn(command);
    let it = Watching { folder, server };
    let busy = Busy::ask(&it.server, "/it");
    busy.hears("one");
    it.when(|| source(&it.folder, "two"), "the vlugin `it` is replaced");

    busy.hears("two");

    // Nothing that an editor or cargo leaves there is a source.
    for name in [
        "it/src/lib.rs~",
        "it/src/.lib.rs.swp",
        "it/target/debug/x.d",
        "it/it.log",
    ] {
        it.folder.write(name, "");
    }
    it.when(|| source(&it.folder, "no\" \"code"), DONE);
    let err = it.server.err();
    let line = "plugins[0].source: vlugin `it`: its crate `watched` cannot be built";
    assert!(err.contains(line), "{err}");
    assert_eq!(it.get("/it"), "two");
    it.when(
        || source(&it.folder, "three"),
        "the vlugin `it` is replaced",
    );
    busy.hears("three");
    assert_eq!(busy.answers(), ["one", "two", "three"]);
    // The first, and those of the three changes.
    assert_eq!(it.server.err().matches("valor::build: building").count(), 4);
}

/// The program, serving a crate that is built from the folder `it` with a text that it includes.
fn serve_including(name: &str) -> Watching {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "native", "name": "it", "source": "it" }"#,
    ]));
    watched(&folder, name);
    folder.write("it/page.txt", "one");
    let code = "#[valor::vlugin]\npub async fn on_request(_: valor::http::Request) -> &'static str {\n    \
                include_str!(\"../page.txt\")\n}\n";
    folder.write("it/src/lib.rs", code);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fixtures");
    let mut command = valor_cli();
    command
        .env("CARGO_TARGET_DIR", target)
        .args(["run", "--addr", "127.0.0.1:0", "--build", "--watch", "-p"])
        .arg(folder.path().join("plugins.json"));
    let server = Server::spawn(command);
    Watching { folder, server }
}

/// Not even if something writes it all the time, as a database does.
#[test]
fn a_file_that_no_build_reads_starts_none() {
    let it = serve_including("watched_beside_data");
    assert_eq!(it.get("/it"), "one");
    let (enough, data) = (
        std::sync::atomic::AtomicBool::new(false),
        it.folder.path().join("it/data.db"),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut text = String::new();
            while !enough.load(std::sync::atomic::Ordering::Relaxed) {
                text.push('x');
                fs::write(&data, &text).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        let replaced = "the vlugin `it` is replaced";
        // What the compiler has read counts, whatever it is called.
        it.when(|| it.folder.write("it/page.txt", "two"), replaced);
        assert_eq!(it.get("/it"), "two");
        it.when(|| source(&it.folder, "three"), replaced);
        assert_eq!(it.get("/it"), "three");
        enough.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let err = it.server.err();
    assert_eq!(err.matches("valor::build: building").count(), 3, "{err}");
}

/// Until it compiles, each file in its folder may be what it lacks: but not the log of this program.
#[cfg(unix)]
#[test]
fn the_own_log_in_the_folder_of_a_crate_is_no_change() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "native", "name": "it", "source": "it" }"#,
    ]));
    watched(&folder, "watched_with_its_log");
    folder.write("it/src/lib.rs", "no Rust");
    let log = folder.path().join("it/out.txt");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fixtures");
    let mut dev = valor_cli();
    dev.args(["dev", "--addr", "127.0.0.1:0"])
        .arg(folder.path())
        .env("CARGO_TARGET_DIR", target)
        .stdout(std::process::Stdio::null())
        .stderr(fs::File::create(&log).unwrap());
    let mut dev = crate::support::started(&mut dev, std::process::Command::spawn);
    let said = |part: &str| fs::read_to_string(&log).unwrap().matches(part).count();
    let fault = "cannot be built; see cargo's errors above";
    for edit in 1..5 {
        crate::support::wait_for(fault, || said(fault) >= edit);
        folder.write("it/src/lib.rs", format!("no Rust {edit}"));
    }
    crate::support::wait_for(fault, || said(fault) >= 5);
    let builds = said("valor::build: building") + said("[valor::build] building");
    dev.kill().unwrap();
    dev.wait().unwrap();
    assert_eq!(builds, 5, "{}", fs::read_to_string(&log).unwrap());
}

/// What a build that fails lacks is in no dep-info.
#[test]
fn a_file_that_a_build_lacks_is_live_once_it_is_there() {
    let it = serve_including("watched_without_a_file");
    let code = fs::read_to_string(it.folder.path().join("it/src/lib.rs")).unwrap();
    let code = code.replace("page.txt", "other.txt");
    it.when(
        || it.folder.write("it/src/lib.rs", code),
        "cannot be built; see cargo's errors above",
    );
    it.when(
        || it.folder.write("it/other.txt", "other"),
        "the vlugin `it` is replaced",
    );
    assert_eq!(it.get("/it"), "other");
    it.when(
        || it.folder.write("it/other.txt", "another"),
        "the vlugin `it` is replaced",
    );
    assert_eq!(it.get("/it"), "another");
}
