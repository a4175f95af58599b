//! `dev`, with vlugins that are not available or do not end loading: each change that mends something is live, whatever
//! state the others are in, and the newest reason is shown everywhere.

#[cfg(unix)]
use crate::watching_sources::watched_in;
use crate::{
    developing::{dev, start},
    packaging::library,
    support::{Folder, Server, wait_for},
    watching::{Watching, plugins},
};
use std::fs;

const HELLO: &str = "OK response from a plugin";

#[test]
fn one_that_is_not_available_gives_its_prefix_up() {
    let at = |a: &str, b: &str| {
        plugins(&[
            &format!(
                r#"{{ "type": "native", "name": "a", "path": "a.lib", "config": "Alice"{a} }}"#
            ),
            &format!(r#"{{ "type": "native", "name": "b", "path": "nope.lib"{b} }}"#),
        ])
    };
    let folder = Folder::new(&at("", r#", "prefix": "/z""#));
    folder.write("a.lib", fs::read(library("hello_plugin")).unwrap());
    let it = start(folder);
    assert_eq!(
        (it.get("/a"), it.server.get("/z").status),
        (HELLO.into(), 503)
    );
    it.when(
        || {
            let exchanged = at(r#", "prefix": "/z""#, r#", "prefix": "/y""#);
            it.folder.write("plugins.json", exchanged);
        },
        "the vlugin `a` is replaced",
    );
    assert_eq!(
        (it.get("/z"), it.server.get("/y").status),
        (HELLO.into(), 503)
    );
    assert_eq!(it.server.get("/a").status, 404);
    let with_state = fs::read(library("with_state")).unwrap();
    it.when(
        || it.folder.write("a.lib", with_state),
        "the vlugin `a` is replaced",
    );
    assert_eq!(it.get("/z?who=Zoe"), "Alice says hello Zoe!");
}

/// One that stays as it was keeps its prefix. Another one that is to have it waits, and nothing else does.
#[test]
fn a_prefix_that_is_taken_holds_no_later_edit_up() {
    let all = |a: &str, b: &str, c: &str| {
        plugins(&[
            &format!(r#"{{ "type": "native", "name": "a", "path": "a.lib", "prefix": "{a}" }}"#),
            &format!(r#"{{ "type": "native", "name": "b", {b} }}"#),
            &format!(r#"{{ "type": "native", "name": "c", "path": "c.lib", "config": "{c}" }}"#),
        ])
    };
    let folder = Folder::new(&all("/a", r#""path": "a.lib", "prefix": "/z""#, "Carl"));
    let hello = fs::read(library("hello_plugin")).unwrap();
    let with_state = fs::read(library("with_state")).unwrap();
    folder.write("a.lib", &hello);
    folder.write("c.lib", &with_state);
    let it = start(folder);
    let says = |who: &str| format!("{who} says hello Zoe!");
    let exchanged = all("/z", r#""path": "nope.lib", "prefix": "/y""#, "Carol");
    it.when(
        || it.folder.write("plugins.json", exchanged),
        "and nothing is changed: the prefix /z is taken by the vlugin `b`",
    );
    assert_eq!((it.get("/a"), it.get("/z")), (HELLO.into(), HELLO.into()));
    assert_eq!(it.get("/c?who=Zoe"), says("Carl"));
    it.when(
        || it.folder.write("c.lib", &with_state),
        "the vlugin `c` is replaced",
    );
    assert_eq!(it.get("/c?who=Zoe"), says("Carol"));
    it.when(
        || it.folder.write("nope.lib", &hello),
        "the vlugin `a` is replaced",
    );
    assert_eq!((it.get("/z"), it.get("/y")), (HELLO.into(), HELLO.into()));
    assert_eq!(it.server.get("/a").status, 404);
}

#[test]
fn the_reason_is_the_newest_one() {
    let folder = Folder::new(&plugins(&[]));
    let it = start(folder);
    let whole = plugins(&[r#"{ "type": "native", "name": "two", "path": "two.lib" }"#]);
    let said = "the vlugin `two` is not available: ";
    it.when(|| it.folder.write("plugins.json", whole), said);
    it.server
        .wait_for_err("is served as it is now but for `two`");
    assert_eq!(it.server.get("/two").status, 503);
    it.server
        .wait_for_err("two.lib does not exist: put it there, or correct `path` (id ");
    it.when(|| it.folder.write("two.lib", "no library"), said);
    it.server
        .wait_until("is served as it is now but for `two`", 2);
    assert_eq!(it.server.get("/two").status, 503);
    let is_newest = |line: &str| {
        line.contains("ERROR GET /two failed with 503") && line.contains("is not a library but")
    };
    wait_for("the newest reason", || {
        it.server.err().lines().any(is_newest)
    });
    assert!(
        !it.server.err().contains("stays as it was"),
        "{}",
        it.server.err()
    );
}

#[cfg(unix)]
#[test]
fn a_source_that_was_never_built_has_one_reason() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "native", "name": "it", "source": "it" }"#,
    ]));
    watched_in(&folder, "it", "never_built");
    folder.write("it/src/lib.rs", "no Rust");
    let it = start(folder);
    it.server.wait_for_err("see cargo's errors above");
    let manifest = fs::read_to_string(it.folder.path().join("it/Cargo.toml")).unwrap();
    let manifest = manifest.replace("crate-type = [\"cdylib\"]", "");
    it.when(
        || it.folder.write("it/Cargo.toml", manifest),
        "is served as it is now but for `it`",
    );
    let err = it.server.err();
    assert!(err.contains("cdylib"), "{err}");
    assert!(!err.contains("stays as it was"), "{err}");
    assert!(!err.contains("put it there"), "{err}");
    assert_eq!(it.server.get("/it").status, 503);
}

#[cfg(target_os = "linux")]
fn answers(word: &str) -> String {
    format!("export default {{ fetch: () => new Response('{word}') }};")
}

/// `dev` with two scripts that answer with their names.
#[cfg(target_os = "linux")]
fn two_scripts() -> Watching {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "js", "name": "h" }"#,
        r#"{ "type": "js", "name": "a" }"#,
    ]));
    folder.write("h.js", answers("h"));
    folder.write("a.js", answers("a"));
    let mut command = dev(&folder);
    command.env("VALOR_DENO", crate::scripting::deno());
    let server = Server::spawn(command);
    Watching { folder, server }
}

/// A script in a loop is given up after half a minute.
#[cfg(target_os = "linux")]
#[test]
fn a_script_that_hangs_while_it_loads_holds_nothing_up() {
    let it = two_scripts();
    let given_up = |err: &str| err.contains("the vlugin `h` stays as it was");
    it.when(
        || it.folder.write("h.js", "for (;;) {}"),
        "h.js has changed",
    );
    for word in ["one", "two"] {
        it.when(
            || it.folder.write("a.js", answers(word)),
            "the vlugin `a` is replaced",
        );
        assert_eq!(it.get("/a"), word);
    }
    // The newer change of the same script overtakes the one that hangs.
    it.when(
        || it.folder.write("h.js", answers("mended")),
        "the vlugin `h` is replaced",
    );
    assert_eq!(it.get("/h"), "mended");
    assert!(!given_up(&it.server.err()), "{}", it.server.err());
}

#[cfg(target_os = "linux")]
#[test]
fn a_script_that_failed_is_tried_again_at_its_next_change() {
    let it = two_scripts();
    let failed = "the vlugin `h` stays as it was";
    it.when(
        || it.folder.write("h.js", "throw new Error('one');"),
        failed,
    );
    it.server.wait_for_err("is served as it is now but for `h`");
    for word in ["one", "two"] {
        it.when(
            || it.folder.write("a.js", answers(word)),
            "is served as it is now: 1 changed",
        );
    }
    assert_eq!(
        it.server.err().matches(failed).count(),
        1,
        "{}",
        it.server.err()
    );
    it.when(
        || it.folder.write("h.js", "throw new Error('two');"),
        failed,
    );
    // What it lacks may be in plugins.json.
    let text = fs::read(it.folder.path().join("plugins.json")).unwrap();
    it.when(|| it.folder.write("plugins.json", text), failed);
    it.when(
        || it.folder.write("h.js", answers("mended")),
        "the vlugin `h` is replaced",
    );
    assert_eq!(it.get("/h"), "mended");
}

#[test]
fn a_definition_that_has_a_fault_at_the_start_answers_503() {
    let site = r#"{ "type": "files", "name": "site", "path": "." }"#;
    let it = start(Folder::new(&plugins(&[
        site,
        r#"{ "type": "file", "name": "b", "path": "." }"#,
        r#"{ "type": "files", "name": "gone", "prefix": "/c", "pth": "." }"#,
    ])));
    let statuses = || ["/b", "/c", "/site/plugins.json"].map(|it_is| it.server.get(it_is).status);
    assert_eq!(statuses(), [503, 503, 200]);
    it.server
        .wait_for_err("it is not loaded: plugins.json:1:75: plugins[1].type: ");
    let health = it.server.get("/_health").body;
    assert_eq!(
        health,
        r#"{"status":"degraded","unavailable":{"b":"not loaded","gone":"not loaded"}}"#
    );
    let mended = plugins(&[site, r#"{ "type": "files", "name": "b", "path": "." }"#]);
    it.when(
        || it.folder.write("plugins.json", mended),
        "is served as it is now: 2 changed",
    );
    assert_eq!(it.server.get("/b/plugins.json").status, 200);
    assert_eq!(it.server.get("/c").status, 404);
    let health = it.server.get("/_health").body;
    assert_eq!(health, r#"{"status":"ready","unavailable":{}}"#);
}

#[test]
fn a_plugins_json_that_is_broken_at_the_start_is_no_health() {
    use std::io::BufRead;
    let it = start(Folder::new("{ \"plugins\": ["));
    let health = it.server.get("/_health").body;
    assert_eq!(
        health,
        r#"{"status":"degraded","unavailable":{"plugins.json":"not loaded"}}"#
    );
    // The page for people shows it.
    let mut events = it.server.begin("/_welcome/events");
    let mut line = String::new();
    while !line.contains(r#""fault":"plugins.json:1:"#) {
        line.clear();
        assert!(events.read_line(&mut line).unwrap() > 0);
    }
    it.when(
        || it.folder.write("plugins.json", plugins(&[])),
        "is served as it is now",
    );
    let health = it.server.get("/_health").body;
    assert_eq!(health, r#"{"status":"ready","unavailable":{}}"#);
}
