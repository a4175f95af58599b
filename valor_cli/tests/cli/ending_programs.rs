//! What the program starts (cargo and its compilers, esbuild, a Deno that is asked) ends with it, however it ends.

use crate::{
    support::{Folder, Server, started, valor_cli, wait_for, wait_for_the_end_of},
    watching::plugins,
};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

/// A tool that never finishes if its first argument is `$ENDLESS`: it starts a compiler, and writes both process ids to
/// files.
const TOOL: &str = r#"#!/bin/sh
case "$1" in
$ENDLESS)
    sleep 600 > /dev/null 2>&1 &
    echo $! > "$COMPILER"
    echo $$ > "$TOOL.new" && mv "$TOOL.new" "$TOOL"
    exec sleep 600
esac
exec "$REAL_CARGO" "$@"
"#;

const NATIVE: &str = r#"{ "type": "native", "name": "it", "source": "it" }"#;

/// A command that starts such a tool.
struct Started {
    folder: Folder,
    command: Command,
    tool: PathBuf,
    compiler: PathBuf,
}

impl Started {
    /// One for a folder with this plugins.json, and a crate.
    fn new(entries: &[&str], args: &[&str]) -> Self {
        let folder = Folder::new(&plugins(entries));
        folder.write("tool", TOOL);
        let script = folder.path().join("tool");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        folder.write(
            "it/Cargo.toml",
            "[package]\nname = \"it\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n",
        );
        folder.write("it/src/lib.rs", "");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let (tool, compiler) = (folder.path().join("pid"), folder.path().join("compiler"));
        let mut command = with_default_signals(valor_cli());
        command
            .env("REAL_CARGO", cargo)
            .env("CARGO", &script)
            .env("VALOR_ESBUILD", &script)
            .env("ENDLESS", "build")
            .env("TOOL", &tool)
            .env("COMPILER", &compiler)
            .current_dir(folder.path())
            .args(args);
        Self {
            folder,
            command,
            tool,
            compiler,
        }
    }

    /// Starts it, and waits until the tool runs.
    fn begin(&mut self) -> Child {
        let program = started(self.command.stderr(Stdio::piped()), Command::spawn);
        wait_for("the tool", || self.tool.exists());
        program
    }

    /// Waits until the program has ended, and then the tool and its compiler. Returns how the program ended and its
    /// output.
    fn end(&self, mut program: Child) -> (ExitStatus, String) {
        let status = program.wait().unwrap();
        self.ends();
        let said = std::io::read_to_string(program.stderr.take().unwrap());
        (status, said.unwrap())
    }

    /// Waits until the tool and its compiler have ended.
    fn ends(&self) {
        for process in [&self.tool, &self.compiler] {
            wait_for_the_end_of(&fs::read_to_string(process).unwrap());
        }
    }
}

/// The same command. A test's signals end it, even if the test was started with some ignored, as by `nohup` or `&` of a
/// shell.
fn with_default_signals(command: Command) -> Command {
    if cfg!(not(target_os = "linux")) {
        return command;
    }
    let mut env = Command::new("env");
    env.arg("--default-signal").arg(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => env.env(name, value),
            None => env.env_remove(name),
        };
    }
    env
}

fn signal(name: &str, process: &str) {
    let mut kill = Command::new("kill");
    let sent = started(kill.args(["-s", name, process.trim()]), Command::status);
    assert!(sent.success());
}

#[test]
fn a_build_does_not_outlive_the_program() {
    let args = ["run", "--addr", "127.0.0.1:0", "--build", "--watch"];
    let mut it = Started::new(&[], &args);
    let server = Server::spawn(std::mem::replace(&mut it.command, valor_cli()));
    it.folder.write("plugins.json", plugins(&[NATIVE]));
    wait_for("the build", || it.tool.exists());
    server.signal("TERM");
    let ended = server.end();
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    it.ends();
}

/// Nothing is served yet.
#[test]
fn the_first_build_does_not_outlive_the_program_either() {
    for name in ["TERM", "INT"] {
        let mut it = Started::new(&[NATIVE], &["run", "--addr", "127.0.0.1:0", "--build"]);
        let program = it.begin();
        signal(name, &program.id().to_string());
        let (status, said) = it.end(program);
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(
            said.contains("stopped before anything was served"),
            "{said}"
        );
    }
}

#[test]
fn whatever_ends_a_command_ends_what_it_has_started() {
    // How a Deno is asked for its version.
    const DENO: &str = "eval";
    const SCRIPT: &str = r#"{ "type": "js", "name": "it", "path": "it.ts" }"#;
    const MODULE: &str = r#"{ "type": "wasm", "name": "it", "source": "it" }"#;
    let native = crate::support::libraries().join(format!(
        "{}hello_plugin{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    let native = native.to_str().unwrap();
    let commands: [(&str, &str, &[&str]); 8] = [
        (NATIVE, "build", &["check", "--build"]),
        (NATIVE, "build", &["build"]),
        (MODULE, "build", &["web", "--build", "-o", "dist"]),
        (SCRIPT, "--*", &["web", "-o", "dist"]),
        (SCRIPT, DENO, &["check"]),
        (SCRIPT, DENO, &["web", "-o", "dist"]),
        (NATIVE, "metadata", &["package", native, "--source", "it"]),
        (NATIVE, "--*", &["package", "it.ts"]),
    ];
    for (entry, endless, args) in commands {
        for name in ["TERM", "INT", "HUP", "KILL"] {
            let mut it = Started::new(&[entry], args);
            it.folder.write("it.ts", "export default {}");
            it.command.env("ENDLESS", endless);
            let temporary = it.folder.path().join("temporary");
            fs::create_dir(&temporary).unwrap();
            it.command.env("TMPDIR", &temporary);
            if endless == DENO {
                let tool = it.folder.path().join("tool");
                it.command.env("VALOR_DENO", tool);
            }
            let program = it.begin();
            signal(name, &program.id().to_string());
            let (status, said) = it.end(program);
            assert!(status.signal().is_some(), "{args:?}: {status}: {said}");
            let left = fs::read_dir(&temporary).unwrap().count();
            assert!(name == "KILL" || left == 0, "{args:?}, {name}: {left}");
        }
    }
    let mut it = Started::new(&[NATIVE], &["run", "--addr", "127.0.0.1:0", "--build"]);
    let program = it.begin();
    signal("KILL", &program.id().to_string());
    assert_eq!(it.end(program).0.signal(), Some(9));
}

#[test]
fn a_cargo_that_somebody_ends_takes_its_compilers_along() {
    let mut it = Started::new(&[NATIVE], &["check", "--build"]);
    let program = it.begin();
    signal("KILL", &fs::read_to_string(&it.tool).unwrap());
    let (status, said) = it.end(program);
    assert_eq!(status.code(), Some(1), "{said}");
    let line =
        "plugins[0].source: vlugin `it`: cargo was killed during the build (signal: 9 (SIGKILL))";
    assert!(said.contains(line), "{said}");
}

/// A user who types what only the program itself passes gets the help.
#[test]
fn nobody_else_starts_a_keeper() {
    let finished = crate::support::run(&["__keeper"]);
    assert_eq!(finished.code, Some(2), "{}", finished.err);
}
