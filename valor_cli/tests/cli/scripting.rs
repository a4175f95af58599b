//! JavaScript vlugins on the command line: which Deno runs them, the error without one, the log about them, and that
//! none of their processes outlives the program.

use crate::support::{Folder, Server, finish, started, valor_cli, wait_for};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

pub const SCRIPT: &str = r#"
export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/loop") while (true) {}
    if (pathname === "/talk") console.warn("said so");
    return new Response(String(Deno.pid));
  },
};"#;

/// The Deno to test with.
pub fn deno() -> PathBuf {
    tool("deno")
}

/// A program that npm installs, from `VALOR_JS_TOOLS` or the PATH.
pub fn tool(name: &str) -> PathBuf {
    let tools = std::env::var_os("VALOR_JS_TOOLS").map(|dir| PathBuf::from(dir).join(".bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = tools.into_iter().chain(std::env::split_paths(&path));
    let found = folders.find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()));
    found.unwrap_or_else(|| {
        panic!("this needs {name}: `npm install {name}`, and VALOR_JS_TOOLS=…/node_modules")
    })
}

pub fn folder(keys: &str) -> Folder {
    let folder = Folder::new(&format!(
        r#"{{ "plugins": [{{ "type": "js", "name": "page"{keys} }},
            {{ "type": "files", "name": "site", "path": "." }}] }}"#
    ));
    folder.write("page.js", SCRIPT);
    folder
}

/// `valor_cli` without any Deno.
pub fn without_deno(command: &str, folder: &Folder) -> Command {
    let mut it = valor_cli();
    it.env("PATH", folder.path()).env_remove("VALOR_DENO");
    it.args([command, "-p", &folder.file("plugins.json")]);
    it
}

#[test]
fn without_deno_a_line_says_how_to_get_it_and_the_rest_is_served_where_it_is_optional() {
    let needed = folder("");
    let finished = finish(without_deno("check", &needed));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let position = format!(
        "{}:1:25: plugins[0].type: vlugin `page`: ",
        needed.file("plugins.json")
    );
    let line = "there is no Deno to run `js` vlugins with: it is neither in node_modules/.bin nor on the PATH; `npm \
                install deno` beside plugins.json, or see https://deno.com; if it is elsewhere, name it in VALOR_DENO \
                or with --deno";
    assert_eq!(finished.faults(), [format!("{position}{line}")]);

    let optional = folder(r#", "optional": true"#);
    let mut command = without_deno("run", &optional);
    command.args(["--addr", "127.0.0.1:0"]);
    let server = Server::spawn(command);
    let out = server.out();
    let row = out
        .lines()
        .find(|row| row.starts_with("page "))
        .unwrap_or_default();
    assert!(row.contains("`npm install deno`"), "{out}");
    assert_eq!(server.get("/page").status, 503);
    assert_eq!(server.get("/site/page.js").status, 200);
}

/// If a vlugin in this process changes the folder, relative names still refer to the old one.
#[test]
fn a_relative_deno_is_found_from_where_the_program_was_started() {
    let away = r#"{ "type": "native", "name": "away", "path": "away.lib" }"#;
    let folder = Folder::new(&format!(r#"{{ "plugins": [{away}] }}"#));
    folder.write("page.js", SCRIPT);
    let library = std::fs::read(crate::support::misbehaving()).unwrap();
    folder.write("away.lib", library);
    std::os::unix::fs::symlink(deno(), folder.path().join("my-deno")).unwrap();
    let mut command = valor_cli();
    command
        .current_dir(folder.path())
        .env_remove("VALOR_DENO")
        .args(["run", "-p", "plugins.json", "--deno", "./my-deno"])
        .args(["--addr", "127.0.0.1:0", "--addr", "unix:it.sock"]);
    let server = Server::spawn(command);
    assert_eq!(server.get("/away/leave").body, "left");
    // plugins.json is the same as before, and so is the Deno, which is only asked now.
    let page = r#"{ "type": "js", "name": "page" }"#;
    folder.write(
        "plugins.json",
        format!(r#"{{ "plugins": [{away}, {page}] }}"#),
    );
    server.signal("HUP");
    server.wait_for_err("is served as it is now");
    assert_eq!(server.get("/page").status, 200);
    let socket = folder.path().join("it.sock");
    assert!(socket.exists());
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
    assert!(
        !socket.exists(),
        "it is removed in the folder that it was made in"
    );
}

#[test]
fn without_a_package_a_line_says_what_to_run_and_the_rest_is_served_where_it_is_optional() {
    let example = crate::support::workspace().join("examples/hono");
    let deno = deno();
    let app = |keys: &str| {
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [
                {{ "type": "js", "name": "app", "path": "hono/hono.js"{keys} }},
                {{ "type": "files", "name": "site", "path": "." }}
            ] }}"#
        ));
        for name in ["hono.js", "package.json"] {
            let bytes = std::fs::read(example.join(name)).unwrap();
            folder.write(&format!("hono/{name}"), bytes);
        }
        folder
    };
    let needed = app("");
    let mut command = without_deno("check", &needed);
    // In the form that is visible from here.
    command.current_dir(needed.path());
    command.arg("--deno").arg(&deno);
    let finished = finish(command);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let position = format!(
        "{}:2:56: plugins[0].path: vlugin `app`: ",
        needed.file("plugins.json")
    );
    let line = "`hono` is not installed, which hono/hono.js imports: run `npm install` in hono";
    assert_eq!(finished.faults(), [format!("{position}{line}")]);

    let optional = app(r#", "optional": true"#);
    let mut command = without_deno("run", &optional);
    command.current_dir(optional.path());
    command.args(["--addr", "127.0.0.1:0", "--deno"]).arg(&deno);
    let server = Server::spawn(command);
    let out = server.out();
    let row = out.lines().find(|row| row.starts_with("app "));
    assert!(
        row.is_some_and(|row| row.ends_with(&format!("unavailable: {line}"))),
        "{out}"
    );
    assert_eq!(server.get("/app").status, 503);
    assert_eq!(server.get("/site/hono/hono.js").status, 200);
}

#[test]
fn deno_is_named_or_found_beside_plugins_json() {
    let folder = folder("");
    let with = |named: &dyn Fn(&mut Command) -> &mut Command| {
        let mut command = without_deno("check", &folder);
        named(&mut command);
        let finished = finish(command);
        (finished.code, finished.err)
    };
    let ok = (Some(0), String::new());
    assert_eq!(with(&|it| it.arg("--deno").arg(deno())), ok);
    assert_eq!(with(&|it| it.env("VALOR_DENO", deno())), ok);
    assert_eq!(with(&|it| it.env("PATH", deno().parent().unwrap())), ok);
    let modules = folder.path().join("node_modules/.bin");
    std::fs::create_dir_all(&modules).unwrap();
    std::os::unix::fs::symlink(deno(), modules.join("deno")).unwrap();
    assert_eq!(with(&|it| it), ok);
    // The named one comes first.
    let old = folder.path().join("old");
    std::fs::write(&old, "#!/bin/sh\necho 1.40.0; echo /deno\n").unwrap();
    std::fs::set_permissions(&old, PermissionsExt::from_mode(0o755)).unwrap();
    let (code, err) = with(&|it| it.arg("--deno").arg(&old).env("PATH", "/bin"));
    assert_eq!(code, Some(1));
    assert!(err.contains("needs Deno 2.9 or newer"), "{err}");
}

fn is_alive(pid: &str) -> bool {
    let state = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    state.is_ok_and(|state| !state.contains(") Z "))
}

#[test]
fn its_lines_are_in_the_log_and_its_process_ends_with_the_program() {
    let deno = deno();
    for (signal, keys) in [("TERM", ""), ("KILL", r#", "limits": { "cpu": 3600 }"#)] {
        let folder = folder(keys);
        let file = folder.file("plugins.json");
        let server = Server::start(&["-p", &file, "--deno", deno.to_str().unwrap()]);
        let pid = server.get("/page").body;
        assert!(is_alive(&pid), "{pid}");
        // Ctrl-C in a terminal goes to a group, and must not end what still runs.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let group = stat.rsplit(") ").next().unwrap().split(' ').nth(2).unwrap();
        assert_eq!(group, pid);
        assert_eq!(server.get("/page/talk").status, 200);
        server.wait_for_err("said so");
        let err = server.err();
        let line = err.lines().find(|line| line.contains("said so")).unwrap();
        assert!(line.contains("WARN") && line.contains("page"), "{line}");
        assert!(line.contains("page.js:6:39"), "{line}");
        if signal == "KILL" {
            // Also while it is in a loop, and reads nothing.
            let addr = server.addrs[0].clone();
            std::thread::spawn(move || {
                use std::io::{Read, Write};
                let mut stream = std::net::TcpStream::connect(addr).unwrap();
                let _ = stream.write_all(b"GET /page/loop HTTP/1.1\r\nhost: a\r\n\r\n");
                let _ = stream.read(&mut [0; 1]);
            });
            wait_for("it is in a loop", || {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
                let ticks = stat
                    .rsplit(") ")
                    .next()
                    .unwrap()
                    .split(' ')
                    .nth(11)
                    .unwrap();
                ticks.parse::<u64>().unwrap() > 50
            });
        }
        server.signal(signal);
        server.end();
        wait_for("its process has ended", || !is_alive(&pid));
    }
}

/// A script that imports two files, one of them in another folder.
fn importing() -> Folder {
    let folder =
        Folder::new(r#"{ "plugins": [{ "type": "js", "name": "main", "path": "app/main.js" }] }"#);
    let main = "import { text } from './lib.js'; import { more } from './deep/more.js';
        export default { fetch: () => new Response(text + more) };";
    folder.write("app/main.js", main);
    folder.write("app/lib.js", "export const text = 'one';");
    folder.write("app/deep/more.js", "export const more = ' more';");
    folder
}

fn serving(folder: &Folder, more: &[&str]) -> Server {
    let mut command = folder.run();
    command.env("VALOR_DENO", deno()).args(more);
    Server::spawn(command)
}

#[test]
fn a_change_in_what_a_script_imports_is_seen() {
    let folder = importing();
    let server = serving(&folder, &["--watch"]);
    let answers = |text: &str| wait_for(text, || server.get("/main").body == text);
    answers("one more");
    folder.write("app/lib.js", "export const text = 'two';");
    answers("two more");
    folder.write("app/deep/more.js", "export const more = ' much more';");
    answers("two much more");
    // If one is broken or gone, the old one keeps serving until it is fixed.
    folder.write("app/deep/more.js", "export const more = ;");
    server.wait_until("the vlugin `main` stays as it was", 1);
    answers("two much more");
    folder.write("app/deep/more.js", "export { more } from './further.js';");
    server.wait_until("the vlugin `main` stays as it was", 2);
    folder.write("app/deep/further.js", "export const more = ' further';");
    folder.write("app/lib.js", "export const text = 'three';");
    answers("three further");
    // New imports are watched from then on.
    folder.write("app/deep/further.js", "export const more = ' and further';");
    answers("three and further");
}

/// Failures of a version that is already gone are not reported.
#[test]
fn a_script_that_changes_while_it_is_loaded_is_loaded_next() {
    let folder = importing();
    let server = serving(&folder, &["--watch"]);
    assert_eq!(server.get("/main").body, "one more");
    let half = "console.warn('it begins');
        await new Promise((done) => setTimeout(done, 2000)); throw new Error('half of it');";
    folder.write("app/main.js", half);
    server.wait_until("it begins", 1);
    folder.write(
        "app/main.js",
        "export default { fetch: () => new Response('all of it') };",
    );
    wait_for("all of it", || server.get("/main").body == "all of it");
    let err = server.err();
    assert!(!err.contains("stays as it was"), "{err}");
}

#[test]
fn a_change_in_what_a_script_imports_is_seen_with_sighup() {
    let folder = importing();
    let server = serving(&folder, &[]);
    let again = |times| {
        server.signal("HUP");
        server.wait_until("is served as it is now", times);
    };
    assert_eq!(server.get("/main").body, "one more");
    again(1);
    assert!(
        server.err().contains("now: 0 changed in"),
        "{}",
        server.err()
    );
    folder.write("app/deep/more.js", "export const more = ' much more';");
    again(2);
    assert_eq!(server.get("/main").body, "one much more");
    assert!(
        server.err().contains("the vlugin `main` is replaced"),
        "{}",
        server.err()
    );
}

#[test]
fn a_package_that_is_installed_again_is_loaded_with_sighup() {
    let folder = Folder::new(r#"{ "plugins": [{ "type": "js", "name": "page" }] }"#);
    folder.write(
        "page.js",
        "import it from 'it'; export default { fetch: () => new Response(it) };",
    );
    folder.write("package.json", r#"{ "dependencies": { "it": "*" } }"#);
    let install = |package: &str, version: u32| {
        let manifest = format!(
            r#"{{ "name": "{package}", "version": "{version}.0.0", "type": "module", "main": "it.js" }}"#
        );
        let of = |name: &str| format!("node_modules/{package}/{name}");
        folder.write(&of("package.json"), manifest);
        let text = match package {
            "it" => "export { default } from 'deep';".to_owned(),
            _ => format!("export default '{version}';"),
        };
        folder.write(&of("it.js"), text);
        // As npm does.
        let list = format!(r#"{{ "packages": {{ "node_modules/{package}": "{version}.0.0" }} }}"#);
        folder.write("node_modules/.package-lock.json", list);
    };
    install("it", 1);
    install("deep", 1);
    let server = serving(&folder, &[]);
    let again = |times| {
        server.signal("HUP");
        server.wait_until("is served as it is now", times);
    };
    assert_eq!(server.get("/page").body, "1");
    again(1);
    assert!(
        server.err().contains("now: 0 changed in"),
        "{}",
        server.err()
    );
    install("deep", 2);
    again(2);
    assert_eq!(server.get("/page").body, "2", "{}", server.err());
}

#[test]
fn under_any_umask_what_is_temporary_is_nobody_elses() {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let folder = importing();
    let temp = folder.path().join("temp");
    std::fs::create_dir(&temp).unwrap();
    let run = folder.run();
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(run.get_program())
        .args(run.get_args());
    command.env("VALOR_DENO", deno()).env("TMPDIR", &temp);
    let server = Server::spawn(command);
    assert_eq!(server.get("/main").body, "one more");
    let mut seen = Vec::new();
    let mut folders = vec![temp];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            assert_eq!(metadata.mode() & 0o077, 0, "{:?}", entry.path());
            // Deno's own files are behind a folder that nobody else can enter.
            if metadata.is_dir() && entry.file_name() != "deno" {
                folders.push(entry.path());
            }
            if metadata.file_type().is_socket() || metadata.is_dir() {
                seen.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    for name in ["control", "0"] {
        assert!(seen.iter().any(|it| it == name), "{seen:?}");
    }
}

/// Neither the process nor its folder is left, even if the program cannot do anything about it.
#[cfg(target_os = "linux")]
#[test]
fn a_deno_that_is_asked_what_a_script_imports_does_not_outlive_the_program() {
    for signal in ["TERM", "KILL"] {
        let folder = folder("");
        let (asked, temporary) = (folder.path().join("asked"), folder.path().join("tmp"));
        std::fs::create_dir(&temporary).unwrap();
        let shown = asked.display();
        let endless = format!(
            "#!/bin/sh\nif [ \"$1\" = eval ]; then echo 2.9.6; echo \"$0\"; exit; fi\n\
             echo $$ > '{shown}.new' && mv '{shown}.new' '{shown}' && exec sleep 600\n"
        );
        folder.write("deno", endless);
        let deno = folder.path().join("deno");
        std::fs::set_permissions(&deno, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = valor_cli();
        command
            .args(["check", "-p"])
            .arg(folder.path().join("plugins.json"))
            .envs([("VALOR_DENO", &deno), ("TMPDIR", &temporary)]);
        let mut program = started(&mut command, Command::spawn);
        wait_for("the question", || asked.exists());
        let id = program.id().to_string();
        let mut kill = Command::new("kill");
        assert!(started(kill.args(["-s", signal, &id]), Command::status).success());
        program.wait().unwrap();
        crate::support::wait_for_the_end_of(&std::fs::read_to_string(asked).unwrap());
        let left: Vec<_> = std::fs::read_dir(temporary).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// As in a container that may use one processor of several.
#[test]
fn one_processor_is_enough_for_a_script() {
    let folder = folder("");
    let mut pinned = Command::new("taskset");
    pinned
        .args(["--cpu-list", "0", env!("CARGO_BIN_EXE_valor_cli"), "check"])
        .args(["-p", &folder.file("plugins.json")])
        .arg("--deno")
        .arg(deno());
    let checked = finish(pinned);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}
