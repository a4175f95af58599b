//! What this host does not grant to a vlugin: found by `check` and by a server, told where it stands.

use crate::support::{Folder, Server, libraries, run};

const UNOFFERED: &str = "which this host does not offer; it offers nothing: take the name out";

#[test]
fn a_callee_that_the_host_does_not_offer_is_pointed_to() {
    let text = "{ \"plugins\": [{ \"type\": \"files\", \"name\": \"a\", \"path\": \".\" },\n\
                { \"type\": \"native\", \"name\": \"b\", \"path\": \"x.so\", \"callees\": [\"*\",\n\"_x\"] },\n\
                { \"type\": \"native\", \"name\": \"c\", \"path\": \"x.so\", \"allow\": [\"b:x\"] }] }";
    let folder = Folder::new(text);
    let file = folder.file("plugins.json");
    let checked = run(&["check", "-p", &file]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert_eq!(
        checked.faults(),
        [
            format!(
                "{file}:3:1: plugins[1].callees[1]: the vlugin `b`: `callees` names `_x`, {UNOFFERED}"
            ),
            format!(
                "{file}:4:60: plugins[2].allow[0]: the vlugin `c`: `b:x` in `allow` has a port that is not a number; \
                 write `host`, `host:port`, `*.domain`, `[ipv6]:port`, or `*` for all"
            ),
        ]
    );
}

#[test]
fn callees_are_given_on_the_command_line() {
    let server = Server::start(&["-w", "--plugin-dir", libraries().to_str().unwrap()]);
    let ask = |args: &[&str]| run(&[&["plugins", "--addr", &server.addrs[0]], args].concat());
    let add = ["add", "hello", "--path", "hello_plugin", "--callees"];
    let refused = ask(&[&add[..], &["_x", "--callees", "*", "--callees", "_y"]].concat());
    assert_eq!(refused.code, Some(1), "{refused:?}");
    // What the command line says has no lines.
    assert_eq!(
        refused.faults(),
        [format!(
            "422 callees[0]: `callees` names `_x`, {UNOFFERED}; callees[2]: `callees` names `_y`, {UNOFFERED}"
        )]
    );
    let added = ask(&[&add[..], &["one", "--callees", "two"]].concat());
    assert_eq!(added.code, Some(0), "{added:?}");
    // They are replaced as a whole, and kept if they are not named.
    let refused = ask(&["replace", "hello", "--callees", "__"]);
    let line = "422 callees[0]: `__` names nothing that a host can offer; write `_` once and a name behind it, such as \
                `_count`";
    assert_eq!(refused.faults(), [line]);

    let folder = Folder::new("{}");
    let text = "{ \"type\": \"native\", \"name\": \"hello\",\n\"callees\": [\"_x\"] }";
    folder.write("it.json", text);
    let file = folder.file("it.json");
    let refused = ask(&["replace", "--definition", &file]);
    assert_eq!(
        refused.faults(),
        [format!(
            "422 {file}:2:13: callees[0]: `callees` names `_x`, {UNOFFERED}"
        )]
    );
    let both = ask(&["add", "--definition", &file, "--callees", "a"]);
    assert_eq!(both.code, Some(2), "{both:?}");
}
