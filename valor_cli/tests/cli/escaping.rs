//! Text from outside on its way to a terminal: names of files, what files say about themselves, and a server's answers.
//! None of it controls the terminal, forges a line, or reverses the direction of writing.
#![cfg(unix)]

use crate::support::{Finished, Folder, Server, libraries, run, workspace};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpListener,
};

/// A title for the terminal, a cleared screen, a separate line, C1's CSI, and a reversed direction.
const EVIL: &str = "\u{1b}]0;PWNED\u{7}\u{1b}[2Jevil\nerror: forged\r\u{9b}31m\u{202e}\u{200b}";
/// The same as it is printed.
const SHOWN: &str = r"\u{1b}]0;PWNED\u{7}\u{1b}[2Jevil\nerror: forged\r\u{9b}31m\u{202e}\u{200b}";

/// The text contains only lines and the tabs between columns, and the evil name in its printed form.
fn is_plain(text: &str) {
    let strange = |c: char| !"\n\t".contains(c) && c.is_control() || "\u{202e}\u{200b}".contains(c);
    assert!(!text.contains(strange), "{text:?}");
    assert!(!text.contains("\nerror: forged"), "{text}");
}

fn shows(finished: &Finished) {
    is_plain(&finished.out);
    is_plain(&finished.err);
    let all = [&*finished.out, &finished.err].concat();
    assert!(all.contains(SHOWN), "{all}");
}

#[test]
fn names_of_files_are_shown_as_escapes() {
    let name = |end: &str| format!("{EVIL}{end}");
    let plugins = json!({ "plugins": [
        { "type": "native", "name": "lib", "path": name(".so") },
        { "type": "files", "name": "folder", "path": "evil" },
        { "type": "files", "name": "none", "path": name("") },
        { "type": EVIL, "name": EVIL, EVIL: 1 },
    ] });
    let folder = Folder::new(&plugins.to_string());
    folder.write(&name(".so"), "some text");
    let file = folder.file("plugins.json");
    let checked = run(&["check", "-p", &file]);
    assert_eq!(checked.code, Some(1));
    assert_eq!(
        checked.faults().len(),
        checked.err.lines().count(),
        "{checked:?}"
    );
    shows(&checked);
    // The name of plugins.json itself as well.
    let other = folder.file(&name(".json"));
    folder.write(&name(".json"), r#"{ "plugins": [{}] }"#);
    shows(&run(&["check", "-p", &other]));

    let library = folder.file(&name(".so"));
    shows(&run(&["inspect", &library]));
    let inspected = run(&["inspect", "--json", &library]);
    is_plain(&inspected.out);
    let value: Value = serde_json::from_str(&inspected.out).unwrap();
    assert_eq!(value["file"], library);
}

#[test]
fn the_table_and_the_log_keep_to_their_lines() {
    let path = format!("folder{EVIL}");
    let plugins = json!({ "plugins": [{ "type": "files", "name": "site", "path": path }] });
    let folder = Folder::new(&plugins.to_string());
    folder.write(&format!("{path}/index.html"), "");
    let file = folder.file("plugins.json");
    let checked = run(&["check", "-p", &file]);
    assert_eq!(
        (checked.code, checked.out.lines().count()),
        (Some(0), 2),
        "{checked:?}"
    );
    shows(&checked);
    let checked = run(&["check", "-p", &file, "--log-format", "json"]);
    is_plain(&checked.err);
    let record: Value = serde_json::from_str(&checked.err).unwrap();
    assert!(
        record["file"].as_str().unwrap().ends_with(&path),
        "{record}"
    );
}

#[test]
fn what_a_server_answers_is_shown_as_escapes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let vlugin = json!({
        "name": EVIL, "type": "native", "prefix": EVIL, "file": EVIL, "state": "unavailable",
        "reason": EVIL, EVIL: EVIL,
    });
    let answers = [
        (200, json!({ "plugins": [vlugin] })),
        (200, vlugin.clone()),
        (200, vlugin.clone()),
        (422, json!({ "detail": EVIL })),
    ];
    let served = std::thread::spawn(move || {
        for (status, answer) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let body = answer.to_string();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    let ask = |args: &[&str]| run(&[&["plugins", "--addr", &addr], args].concat());
    let listed = ask(&["list"]);
    assert_eq!(listed.out.lines().count(), 1, "{}", listed.out);
    assert_eq!(listed.out.matches(SHOWN).count(), 4, "{}", listed.out);
    shows(&listed);
    shows(&ask(&["show", "it"]));
    let shown = ask(&["show", "it", "--json"]);
    is_plain(&shown.out);
    assert_eq!(serde_json::from_str::<Value>(&shown.out).unwrap(), vlugin);
    let refused = ask(&["add", "it"]);
    assert_eq!(refused.faults().len(), 1, "{refused:?}");
    shows(&refused);
    served.join().unwrap();
}

#[test]
fn a_secret_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("{}");
    folder.write("token", "0123456789abcdef");
    let file = folder.file("token");
    let dir = libraries().to_str().unwrap();
    for (mode, is_warned) in [(0o644, true), (0o640, true), (0o600, false)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let args = ["-w", "--plugin-dir", dir, "--registry-token-file", &file];
        let server = Server::start(&args);
        // The client that sends it has it in a file as well.
        let addr = &*server.addrs[0];
        let listed = run(&["plugins", "--addr", addr, "--token-file", &file, "list"]);
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let warning = "may read the registry's token; `chmod ";
        assert_eq!(listed.err.contains(warning), is_warned, "{listed:?}");
        server.signal("TERM");
        let served = server.end();
        assert_eq!(served.err.contains(warning), is_warned, "{served:?}");
    }
    let key = folder.file("key");
    assert_eq!(run(&["keygen", &key]).code, Some(0));
    let library = crate::packaging::library("hello_plugin");
    let source = workspace().join("examples/hello_plugin");
    let package = folder.file("hello.vlugin");
    for (mode, is_warned) in [(0o600, false), (0o644, true)] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let packed = run(&[
            "package",
            library.to_str().unwrap(),
            "--source",
            source.to_str().unwrap(),
            "--sign",
            &key,
            "-o",
            &package,
        ]);
        assert_eq!(packed.code, Some(0), "{packed:?}");
        let warning = "every user of this machine may read the secret key; `chmod o= ";
        assert_eq!(packed.err.contains(warning), is_warned, "{packed:?}");
    }
}
