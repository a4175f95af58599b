//! `web`: the folder that it writes, what it leaves alone, what it refuses, and the same folder served.

use crate::support::{Finished, Folder, Server, finish, run, valor_cli, workspace};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The module of an example, built by the first call.
fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        let folder = Folder::new(&format!(
            r#"{{ "plugins": [{{ "type": "wasm", "name": "greet", "source": {:?} }}] }}"#,
            workspace().join("examples/greet")
        ));
        let dist = Path::new(env!("CARGO_TARGET_TMPDIR")).join("greet");
        let mut command = valor_cli();
        command.args(["web", "--build", "-p", &folder.file("plugins.json"), "-o"]);
        command.arg(&dist);
        let built = finish(command);
        assert_eq!(built.code, Some(0), "{}", built.err);
        dist.join("vlugins/greet.wasm")
    })
}

/// A folder with a plugins.json, the module, and a small site.
fn project(plugins: &str) -> Folder {
    let folder = Folder::new(plugins);
    folder.write("greet.wasm", fs::read(module()).unwrap());
    folder.write("site/index.html", "<h1>Mine</h1>");
    folder.write("site/deep/a b.txt", "text");
    folder.write("site/.hidden", "secret");
    folder
}

const PLUGINS: &str = r#"{ "plugins": [
    { "type": "wasm", "name": "greet", "path": "greet.wasm", "prefix": "/api/greet", "config": { "a": 1 } },
    { "type": "wasm", "name": "again", "path": "greet", "allow": ["api.example"], "limits": { "timeout": 2.5 } },
    { "type": "native", "name": "library" },
    { "type": "files", "name": "site", "path": "site", "prefix": "/docs%20here" }
] }"#;

fn write(folder: &Folder) -> Finished {
    finish(folder.web())
}

/// The contents of a folder, by path.
pub fn all(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap();
            found.insert(name.replace('\\', "/"), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_folder_for_a_static_server() {
    let folder = project(PLUGINS);
    let finished = write(&folder);
    assert_eq!(
        (finished.code, &*finished.err),
        (Some(0), ""),
        "{finished:?}"
    );
    let lines: Vec<_> = finished.out.lines().collect();
    assert_eq!(lines.len(), 7, "{}", finished.out);
    assert!(
        lines[1].ends_with("/api/greet    vlugins/greet.wasm  written"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].ends_with("/again        vlugins/greet.wasm  written"),
        "{}",
        lines[2]
    );
    let left_out = "unavailable: a native vlugin does not run in a browser; it is left out";
    assert!(lines[3].ends_with(left_out), "{}", lines[3]);
    assert_eq!(
        lines[5],
        format!("wrote 25 files to {}", folder.file("dist"))
    );
    assert_eq!(
        lines[6],
        "content-security-policy: default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
         connect-src 'self' api.example:*"
    );

    let dist = folder.path().join("dist");
    let files = all(&dist);
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            ".valor-web",
            "account.js",
            "docs here/deep/a b.txt",
            "docs here/index.html",
            "guest.js",
            "index.html",
            "plugins.json",
            "valor-admin.js",
            "valor-check.js",
            "valor-dispatch.js",
            "valor-js.js",
            "valor-keys.js",
            "valor-line.js",
            "valor-next.js",
            "valor-page.css",
            "valor-page.js",
            "valor-pages.js",
            "valor-registry.js",
            "valor-rules.js",
            "valor-store.js",
            "valor-sw.js",
            "valor-vlugins.js",
            "valor-worker.js",
            "valor.d.ts",
            "valor.js",
            "vlugins/greet.wasm",
        ]
    );
    assert_eq!(files["vlugins/greet.wasm"], fs::read(module()).unwrap());
    let worker = fs::read(workspace().join("valor_runtime/web/valor-sw.js")).unwrap();
    let (text, line) = files["valor-sw.js"].split_at(worker.len());
    assert_eq!(text, worker);
    let line = std::str::from_utf8(line).unwrap();
    assert!(line.starts_with("// What it imports: "), "{line}");

    let sha256 = Sha256::digest(fs::read(module()).unwrap());
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let listed: Value = serde_json::from_slice(&files["plugins.json"]).unwrap();
    let file = "vlugins/greet.wasm";
    assert_eq!(
        listed,
        serde_json::json!({ "plugins": [
            { "type": "wasm", "name": "greet", "path": file, "prefix": "/api/greet", "config": { "a": 1 },
              "sha256": sha256 },
            { "type": "wasm", "name": "again", "path": file, "allow": ["api.example"], "limits": { "timeout": 2.5 },
              "sha256": sha256 },
            { "type": "files", "name": "site", "path": "docs here", "prefix": "/docs%20here" }
        ] })
    );

    // The same input gives the same folder, in place of the first and next to it.
    assert_eq!(write(&folder).code, Some(0));
    assert_eq!(all(&dist), files);
    let other = project(PLUGINS);
    assert_eq!(write(&other).code, Some(0));
    assert_eq!(all(&other.path().join("dist")), files);
}

#[test]
fn a_later_run_replaces_what_is_its_own() {
    let folder = project(PLUGINS);
    assert_eq!(write(&folder).code, Some(0));
    // The user's page, and files next to it.
    folder.write("dist/index.html", "<h1>My page</h1>");
    folder.write("dist/mine.css", "body {}");
    folder.write(
        "plugins.json",
        r#"{ "plugins": [{ "type": "wasm", "name": "greet", "path": "greet.wasm" }] }"#,
    );
    let finished = write(&folder);
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    let files = all(&folder.path().join("dist"));
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            ".valor-web",
            "account.js",
            "guest.js",
            "index.html",
            "mine.css",
            "plugins.json",
            "valor-admin.js",
            "valor-check.js",
            "valor-dispatch.js",
            "valor-js.js",
            "valor-keys.js",
            "valor-line.js",
            "valor-next.js",
            "valor-pages.js",
            "valor-registry.js",
            "valor-rules.js",
            "valor-store.js",
            "valor-sw.js",
            "valor-vlugins.js",
            "valor-worker.js",
            "valor.d.ts",
            "valor.js",
            "vlugins/greet.wasm",
        ]
    );
    assert_eq!(files["index.html"], b"<h1>My page</h1>");
    assert!(!folder.path().join("dist/docs here").exists());
}

#[test]
fn a_files_vlugin_at_the_root_brings_the_page() {
    let folder = project(
        r#"{ "plugins": [
            { "type": "files", "name": "page", "path": "site", "prefix": "/", "config": { "fallback": "index.html" } }
        ] }"#,
    );
    let finished = write(&folder);
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    assert!(
        finished.err.contains("is not known to a static server"),
        "{}",
        finished.err
    );
    let files = all(&folder.path().join("dist"));
    assert_eq!(files["index.html"], b"<h1>Mine</h1>");
    assert!(files.contains_key("deep/a b.txt") && !files.contains_key("valor-page.js"));
    assert!(!files.keys().any(|name| name.contains("hidden")));
}

#[test]
#[cfg(unix)]
fn links_that_lead_out_or_round_are_not_followed() {
    use std::os::unix::fs::symlink;
    let folder = project(r#"{ "plugins": [{ "type": "files", "name": "site", "path": "." }] }"#);
    let site = folder.path().join("site");
    symlink("/etc/passwd", site.join("out.txt")).unwrap();
    symlink(&site, site.join("round")).unwrap();
    symlink(site.join("index.html"), site.join("inside.html")).unwrap();
    // Twice: the output folder lies inside the copied one.
    for _ in 0..2 {
        let finished = write(&folder);
        assert_eq!(finished.code, Some(0), "{}", finished.err);
    }
    let files = all(&folder.path().join("dist/site"));
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "greet.wasm",
            "plugins.json",
            "site/deep/a b.txt",
            "site/index.html",
            "site/inside.html",
        ]
    );
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_written() {
    let refused = |folder: &Folder, part: &str| {
        let before = all(folder.path());
        let finished = write(folder);
        assert_eq!(finished.code, Some(1), "{part}: {finished:?}");
        let faults = finished.faults();
        assert!(
            faults.iter().any(|fault| fault.contains(part)),
            "{part}: {faults:?}"
        );
        assert_eq!(all(folder.path()), before, "{part}");
    };
    let wasm =
        |rest: &str| format!(r#"{{ "plugins": [{{ "type": "wasm", "name": "greet"{rest} }}] }}"#);
    let folder = project(&wasm(r#", "path": "nowhere.wasm""#));
    refused(
        &folder,
        "plugins.json:1:58: plugins[0].path: vlugin `greet`: ",
    );
    let zeros = "0".repeat(64);
    let folder = project(&wasm(&format!(r#", "sha256": "{zeros}""#)));
    refused(&folder, "plugins[0].sha256: ");
    let folder = project(&wasm(r#", "path": "plugins.json""#));
    refused(&folder, "plugins[0].path: ");
    let folder = project(&wasm(r#", "callees": ["*", "_count"]"#));
    refused(
        &folder,
        "plugins.json:1:61: plugins[0].callees: vlugin `greet`: `callees` names `_count`, which a page does not offer",
    );
    let folder = project(&wasm(r#", "instance": "request""#));
    refused(
        &folder,
        "plugins[0].instance: vlugin `greet`: a page does not begin a module anew with each request",
    );
    let folder = project(r#"{ "plugins": [{ "type": "files", "name": "a", "path": "none" }] }"#);
    refused(&folder, "plugins[0].path: vlugin `a`: the folder ");
    let folder = project(
        r#"{ "plugins": [{ "type": "files", "name": "a", "path": "site", "prefix": "/%ff" }] }"#,
    );
    refused(
        &folder,
        "plugins[0].prefix: vlugin `a`: /%ff cannot be the name of a folder",
    );

    // Files that are not its own.
    let folder = project(&wasm(""));
    folder.write("dist/valor.js", "mine");
    refused(
        &folder,
        "valor.js already exists, and is not as `web` wrote it",
    );
    let folder = project(&wasm(""));
    folder.write("dist/valor.js/x", "mine");
    refused(
        &folder,
        "valor.js is a folder, but a file must be written there",
    );
    let folder = project(&wasm(""));
    folder.write("dist", "mine");
    refused(&folder, "dist is a file: -o names a folder");
    let folder = project(&wasm(""));
    folder.write("dist/.valor-web", "0  ../../x\n");
    refused(&folder, "is not the list of files that `web` writes");
    let folder = project(
        r#"{ "plugins": [{ "type": "files", "name": "a", "path": "site", "prefix": "/" }] }"#,
    );
    folder.write("site/valor.js", "mine");
    refused(
        &folder,
        "valor.js is Valor's host in the browser and of the files of `a` at the same time",
    );
}

#[test]
fn the_folder_is_written_anew_when_something_changes() {
    let folder = project(
        r#"{ "plugins": [
            { "type": "files", "name": "docs", "path": "site" },
            { "type": "js", "name": "app", "path": "app/app.js" }
        ] }"#,
    );
    let script =
        |text: &str| format!("export default {{ fetch() {{ return new Response({text:?}) }} }}");
    folder.write("app/app.js", script("one"));
    let mut command = folder.web();
    command.args(["--serve", "127.0.0.1:0", "--watch"]);
    let server = Server::spawn(command);
    let text = |target: &str| server.get(target).body;
    assert_eq!(text("/docs/"), "<h1>Mine</h1>");
    assert!(text("/vlugins/app.js").contains("one"));

    folder.write("site/index.html", "<h1>Other</h1>");
    crate::support::wait_for("a changed file", || text("/docs/") == "<h1>Other</h1>");
    folder.write("site/new/it.txt", "new");
    crate::support::wait_for("a new folder", || text("/docs/new/it.txt") == "new");
    folder.write("app/app.js", script("two"));
    crate::support::wait_for("a changed script", || {
        text("/vlugins/app.js").contains("two")
    });

    folder.write("plugins.json", "{");
    server.wait_for_err("stays as it was");
    assert_eq!(text("/docs/"), "<h1>Other</h1>");
    let mended = r#"{ "plugins": [{ "type": "files", "name": "pages", "path": "site" }] }"#;
    folder.write("plugins.json", mended);
    crate::support::wait_for("another plugins.json", || {
        text("/pages/") == "<h1>Other</h1>"
    });
    // What was written before and is not any more is removed last.
    let gone = |target: &str| server.get(target).status == 404;
    crate::support::wait_for("the end of the others", || {
        gone("/docs/") && gone("/vlugins/app.js")
    });
    // Its own writes are no change: it comes to rest.
    let count = || server.err().matches("is written again").count();
    crate::support::wait_for("the end of writing", || {
        let before = count();
        std::thread::sleep(std::time::Duration::from_secs(1));
        count() == before
    });
}

/// cargo runs for an edited crate and for nothing else, and nothing else waits for it.
#[cfg(unix)]
#[test]
fn an_edit_of_a_page_runs_no_cargo_and_waits_for_none() {
    use crate::{
        support::wait_for,
        watching_sources::{source_in, watched_in, with_a_gate},
    };
    let folder = project(
        r#"{ "plugins": [
            { "type": "files", "name": "docs", "path": "site" },
            { "type": "wasm", "name": "module", "source": "module" }
        ] }"#,
    );
    watched_in(&folder, "module", "watched_for_a_page");
    let mut command = valor_cli();
    let gate = with_a_gate(&mut command, &folder);
    let (plugins, dist) = (folder.file("plugins.json"), folder.file("dist"));
    command.args(["web", "-p", &plugins, "-o", &dist, "--build"]);
    command.args(["--serve", "127.0.0.1:0", "--watch"]);
    let server = Server::spawn(command);
    let page = |text: &str| {
        folder.write("site/index.html", text);
        wait_for(text, || server.get("/docs/").body == text);
    };
    let module = || std::fs::read(folder.path().join("dist/vlugins/module.wasm")).unwrap();
    let builds = || {
        let log = std::fs::read_to_string(folder.path().join("bin/gate.log")).unwrap();
        log.lines().count()
    };
    let first = module();
    page("<h1>One</h1>");
    page("<h1>Two</h1>");
    assert_eq!(builds(), 1);
    std::fs::remove_file(&gate).unwrap();
    source_in(&folder, "module", "another word");
    wait_for("a build", || builds() == 2);
    page("<h1>Three</h1>");
    assert!(module() == first);
    std::fs::write(&gate, "").unwrap();
    wait_for("the new module", || module() != first);
    page("<h1>Four</h1>");
    // A module that cannot be built holds up nothing but itself.
    source_in(&folder, "module", "no\" \"code");
    server.wait_until("stays as it was", 1);
    page("<h1>Five</h1>");
    assert_eq!(builds(), 3);
}

#[test]
fn served_as_a_static_server_would() {
    let folder = project(PLUGINS);
    let mut command = folder.web();
    command.args(["--serve", "127.0.0.1:0"]);
    let server = Server::spawn(command);
    for (target, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/valor.js", "text/javascript; charset=utf-8"),
        ("/plugins.json", "application/json"),
        ("/valor-sw.js?plugins=x", "text/javascript; charset=utf-8"),
        ("/docs%20here/deep/a%20b.txt", "text/plain; charset=utf-8"),
    ] {
        let answer = server.get(target);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(kind)),
            "{target}"
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("'wasm-unsafe-eval'") && policy.ends_with("api.example:*"),
            "{policy}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "{target}");
    }
    let head = server.send("HEAD", "/vlugins/greet.wasm", &[], "");
    assert_eq!(head.header("content-type"), Some("application/wasm"));
    // The page answers it, and nobody else reads it.
    assert_eq!(server.get("/api/greet").status, 404);
    assert_eq!(server.get("/.valor-web").status, 404);
}

#[cfg(unix)]
#[test]
fn what_is_no_folder_and_cannot_be_made_one_is_said() {
    let folder = Folder::new(r#"{ "plugins": [] }"#);
    folder.write("file", "");
    let (file, link) = (folder.file("file"), folder.file("link"));
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    for (output, line) in [
        (
            format!("{file}/dist"),
            format!("cannot be written: {file} is not a folder; name one in its place"),
        ),
        (
            link.clone(),
            format!(
                "{link} is a link to what is not there: take it away, or name another folder with -o"
            ),
        ),
    ] {
        let finished = run(&["web", "-p", &folder.file("plugins.json"), "-o", &output]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let faults = finished.faults();
        assert!(
            faults.len() == 1 && faults[0].ends_with(&line),
            "{finished:?}"
        );
    }
}
