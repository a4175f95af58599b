//! `valor_cli run`: what it serves, what it logs, and how it ends.

use crate::support::{Folder, Server, libraries, run};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// A folder with a plugins.json of these native vlugins, and the arguments to serve it.
fn folder(entries: &str) -> Folder {
    Folder::new(&format!("{{ \"plugins\": [{entries}] }}"))
}

fn start(folder: &Folder, args: &[&str]) -> Server {
    let file = folder.file("plugins.json");
    let libraries = libraries().to_str().unwrap();
    let mut all = vec!["-p", &file, "--plugin-dir", libraries];
    all.extend(args);
    Server::start(&all)
}

const HELLO: &str = r#"{ "type": "native", "name": "hello", "path": "hello_plugin" }"#;

#[test]
fn serves_logs_and_tells_what_is_mounted_where() {
    let folder = folder(HELLO);
    let server = start(&folder, &[]);
    let answer = server.send("GET", "/hello/x?y", &[("x-request-id", "my-id")], "");
    assert_eq!(
        (answer.status, &*answer.body),
        (200, "OK response from a plugin")
    );
    assert_eq!(answer.header("x-correlation-id"), Some("my-id"));
    assert_eq!(server.get("/nothing").status, 404);
    server.wait_for_err("GET /nothing 404 - ");

    let err = server.err();
    let line = err
        .lines()
        .find(|line| line.contains("GET /hello"))
        .unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[1..6], ["INFO", "GET", "/hello/x", "200", "hello"]);
    assert!(words[6].ends_with("ms"), "{line}");
    assert_eq!(words[7], "my-id");
    let out = server.out();
    assert!(!format!("{out}{err}").contains('\u{1b}'), "{out}{err}");
    for row in ["hello ", "_health ", "_metrics "] {
        assert!(out.lines().any(|line| line.starts_with(row)), "{out}");
    }
    assert!(!out.contains("_plugins"), "{out}");
}

#[test]
fn a_log_in_json_has_a_record_in_each_line() {
    let folder = folder(HELLO);
    let server = start(&folder, &["--log-format", "json"]);
    let agent = [("user-agent", "it \"says\"")];
    assert_eq!(server.send("GET", "/hello?who=Zoe", &agent, "").status, 200);
    server.wait_for_err("valor::access");
    assert_eq!(server.out(), "");
    let err = server.err();
    let records: Vec<Value> = err
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    for record in &records {
        assert!(record["ts"].as_str().unwrap().ends_with('Z'), "{record}");
    }
    let mounted = records
        .iter()
        .find(|record| record["name"] == "hello")
        .unwrap();
    assert_eq!(
        (&mounted["prefix"], &mounted["state"]),
        (&"/hello".into(), &"ready".into())
    );
    let request = records
        .iter()
        .find(|record| record["target"] == "valor::access")
        .unwrap();
    assert_eq!(request["method"], "GET");
    assert_eq!(request["path"], "/hello");
    assert_eq!(request["status"], 200);
    assert_eq!(request["vlugin"], "hello");
    assert_eq!(request["bytes"], 25);
    assert_eq!(request["query"], "who=Zoe");
    assert_eq!(request["http"], 11);
    assert_eq!(request["host"], "localhost");
    assert_eq!(request["user_agent"], "it \"says\"");
    assert_eq!(request["referer"], Value::Null);
    let peer = request["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    assert!(
        request["duration_us"].is_u64() && request["id"].is_string(),
        "{request}"
    );
}

#[test]
fn an_answer_to_head_is_logged_without_the_bytes_that_were_not_sent() {
    let folder = folder(HELLO);
    let server = start(&folder, &["--access-log", "combined"]);
    assert_eq!(server.send("HEAD", "/hello", &[], "").status, 200);
    server.wait_for_err("\"HEAD /hello HTTP/1.1\" 200 0 ");
    // What the server itself refuses is no different.
    assert_eq!(server.send("HEAD", "/nothing", &[], "").status, 404);
    server.wait_for_err("\"HEAD /nothing HTTP/1.1\" 404 0 ");
}

#[test]
fn options_of_unix_sockets_want_one() {
    for (option, value) in [("--socket-mode", "0600"), ("--socket-group", "0")] {
        if cfg!(windows) && option == "--socket-group" {
            continue;
        }
        let ended = run(&["run", "-w", "--addr", "127.0.0.1:0", option, value]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let line = format!("{option} is for Unix sockets, and no --addr is one");
        assert!(ended.err.contains(&line), "{ended:?}");
    }
}

#[test]
fn requests_are_logged_in_the_combined_format() {
    let folder = folder(HELLO);
    let server = start(&folder, &["--access-log", "combined"]);
    let agent = [("user-agent", "it \"says\"")];
    assert_eq!(server.send("GET", "/hello?who=Zoe", &agent, "").status, 200);
    server.wait_for_err("\"GET /hello?who=Zoe HTTP/1.1\" 200 25 \"-\" \"it \\x22says\\x22\"\n");
    let err = server.err();
    let line = err.lines().find(|line| line.contains("/hello?")).unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
}

#[test]
fn requests_are_not_logged_where_that_is_not_wanted() {
    let folder = folder(HELLO);
    for quiet in ["--no-access-log", "--log=valor=info,valor::access=off"] {
        let server = start(&folder, &[quiet]);
        assert_eq!(server.get("/hello").status, 200);
        server.signal("TERM");
        let finished = server.end();
        assert!(finished.err.contains("drained"), "{}", finished.err);
        assert!(!finished.err.contains("GET"), "{}", finished.err);
    }
}

#[test]
fn what_does_not_load_keeps_the_rest_back_unless_it_is_told_to_keep_going() {
    let folder = folder(&format!(
        "{HELLO},\n{{ \"type\": \"native\", \"name\": \"gone\", \"path\": \"./gone.so\" }},\n7"
    ));
    let file = folder.file("plugins.json");
    let args = ["run", "-p", &file, "--addr", "127.0.0.1:0", "--plugin-dir"];
    let libraries = libraries().to_str().unwrap();
    let finished = run(&[&args[..], &[libraries]].concat());
    assert_eq!((finished.code, &*finished.out), (Some(1), ""));
    let faults = finished.faults();
    assert_eq!(faults.len(), 2, "{}", finished.err);
    assert!(
        faults[0].starts_with(&format!("{file}:2:45: plugins[1].path: ")),
        "{faults:?}"
    );
    assert!(
        faults[1].starts_with(&format!("{file}:3:1: plugins[2]: ")),
        "{faults:?}"
    );

    let server = start(&folder, &["--keep-going"]);
    for fault in faults {
        server.wait_for_err(fault);
    }
    assert_eq!(server.get("/hello").status, 200);
    let gone = server.get("/gone");
    assert_eq!(gone.status, 503);
    assert!(!gone.body.contains("gone.so"), "{}", gone.body);
    let health = server.get("/_health");
    assert_eq!(health.status, 200);
    assert!(
        health
            .body
            .starts_with(r#"{"status":"degraded","unavailable":{"gone":"not loaded""#),
        "{}",
        health.body
    );
    assert!(server.out().contains("failed: "), "{}", server.out());

    // If nothing of the file can be read, there is nothing to go on with.
    folder.write("plugins.json", "{");
    let finished = run(&["run", "--keep-going", "-p", &file, "--addr", "127.0.0.1:0"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
}

#[test]
fn an_address_that_is_taken_ends_with_3() {
    let folder = folder(HELLO);
    let server = start(&folder, &[]);
    let addr = &server.addrs[0];
    let finished = run(&["run", "-p", &folder.file("plugins.json"), "--addr", addr]);
    assert_eq!((finished.code, &*finished.out), (Some(3), ""));
    let [fault] = finished.faults()[..] else {
        panic!("{}", finished.err);
    };
    assert!(fault.contains(addr.as_str()), "{fault}");
}

#[test]
fn several_addresses() {
    let folder = folder(HELLO);
    let server = start(&folder, &["--addr", "127.0.0.1:0"]);
    assert_eq!(server.addrs.len(), 2);
    for addr in &server.addrs {
        let stream = std::net::TcpStream::connect(addr).unwrap();
        let answer = crate::support::converse(stream, "GET", "/hello", &[], "");
        assert_eq!(answer.status, 200);
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket() {
    let folder = folder(HELLO);
    let socket = folder.path().join("valor.sock");
    let addr = format!("unix:{}", socket.display());
    let server = start(&folder, &["--addr", &addr]);
    assert!(server.addrs.contains(&addr), "{:?}", server.addrs);
    let stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let answer = crate::support::converse(stream, "GET", "/hello", &[], "");
    assert_eq!(answer.status, 200);
}

/// It has the requested mode under any umask.
#[cfg(unix)]
#[test]
fn a_unix_socket_has_the_mode_and_owners_that_are_wanted() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = folder(HELLO);
    let started = |umask: &str, args: &str| {
        let program = env!("CARGO_BIN_EXE_valor_cli");
        let libraries = libraries().display();
        let mut command = std::process::Command::new("sh");
        command.current_dir(folder.path()).arg("-c").arg(format!(
            "umask {umask}; exec {program} run -p plugins.json --plugin-dir {libraries} --addr unix:it.sock \
             --addr 127.0.0.1:0 {args}"
        ));
        Server::spawn(command)
    };
    let socket = folder.path().join("it.sock");
    let own = std::fs::metadata(folder.path()).unwrap();
    for (umask, args, mode) in [
        ("077", "", 0o660),
        ("0", "", 0o660),
        ("022", "--socket-mode 0666", 0o666),
    ] {
        let server = started(umask, args);
        let metadata = std::fs::metadata(&socket).unwrap();
        assert_eq!(
            metadata.permissions().mode() & 0o777,
            mode,
            "{umask} {args}"
        );
        assert_eq!((metadata.uid(), metadata.gid()), (own.uid(), own.gid()));
        let stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        assert_eq!(
            crate::support::converse(stream, "GET", "/hello", &[], "").status,
            200
        );
        server.signal("TERM");
        assert_eq!(server.end().code, Some(0));
        assert!(!socket.exists());
    }
    // Root may give it to anyone; other users may keep it, and give it at most to one of their groups.
    let owners = match own.uid() {
        0 => "--socket-owner nobody --socket-group 12345".to_owned(),
        id => format!("--socket-owner {id} --socket-group {}", own.gid()),
    };
    let server = started("022", &owners);
    let metadata = std::fs::metadata(&socket).unwrap();
    if own.uid() == 0 {
        assert_eq!(metadata.gid(), 12345);
        assert_ne!(metadata.uid(), 0);
    }
    drop(server);
    for wrong in [
        ["--socket-mode", "888"],
        ["--socket-mode", "7777"],
        ["--socket-owner", "no such user"],
        ["--socket-group", "no such group"],
    ] {
        let finished = run(&[&["run"], &wrong[..]].concat());
        assert_eq!(finished.code, Some(2), "{finished:?}");
    }
}

#[test]
fn vlugins_are_registered_while_it_runs() {
    let libraries = libraries().to_str().unwrap();
    let server = Server::start(&["-w", "--plugin-dir", libraries]);
    let json = [("content-type", "application/json")];
    let definition = r#"{ "type": "native", "name": "later", "path": "hello_plugin" }"#;
    assert_eq!(
        server.send("POST", "/_plugins", &json, definition).status,
        201
    );
    assert_eq!(server.get("/later").body, "OK response from a plugin");

    let faulty = r#"{ "type": "native", "name": "_x", "prefx": 1 }"#;
    let answer = server.send("POST", "/_plugins", &json, faulty);
    assert_eq!(answer.status, 422);
    assert!(
        answer
            .body
            .contains("1:35: prefx: unknown key; did you mean `prefix`?"),
        "{}",
        answer.body
    );
    assert!(
        answer
            .body
            .contains("1:29: name: names that begin with `_`"),
        "{}",
        answer.body
    );
}

#[test]
fn the_token_of_the_registry() {
    let folder = Folder::new("{}");
    folder.write("token", "0123456789abcdef\n");
    folder.write("short", "0123");
    let server = Server::start(&["-w", "--registry-token-file", &folder.file("token")]);
    assert_eq!(server.get("/_plugins").status, 401);
    let bearer = [("authorization", "Bearer 0123456789abcdef")];
    assert_eq!(server.send("GET", "/_plugins", &bearer, "").status, 200);
    server.wait_for_err("without --plugin-dir");

    for (file, part) in [("short", "at least 16"), ("none", "cannot be read")] {
        let file = folder.file(file);
        let finished = run(&[
            "run",
            "-w",
            "--addr",
            "127.0.0.1:0",
            "--registry-token-file",
            &file,
        ]);
        assert_eq!(finished.code, Some(1));
        let [fault] = finished.faults()[..] else {
            panic!("{}", finished.err);
        };
        assert!(fault.starts_with(&file) && fault.contains(part), "{fault}");
    }
}

#[test]
fn limits_of_the_command_line_hold_where_the_file_is_silent() {
    let folder = folder(&format!(
        r#"{HELLO}, {{ "type": "native", "name": "large", "path": "hello_plugin", "limits": {{ "body": 100 }} }}"#
    ));
    let server = start(&folder, &["--max-body", "5"]);
    assert_eq!(server.send("POST", "/hello", &[], "12345").status, 200);
    assert_eq!(server.send("POST", "/hello", &[], "123456").status, 413);
    assert_eq!(server.send("POST", "/large", &[], "123456").status, 200);
}

#[test]
fn the_servers_limits_can_be_set() {
    let folder = folder(HELLO);
    let args = [
        "--max-head",
        "300",
        "--max-headers",
        "4",
        "--max-target",
        "20",
    ];
    let server = start(&folder, &args);
    let (long, many) = ("x".repeat(300), [("a", "b"), ("c", "d")]);
    for (target, headers, status) in [
        ("/hello", &many[..1], 200),
        ("/hello", &[("a", long.as_str())], 431),
        ("/hello", &many, 431),
        ("/hello/is/20/bytes?x", &[], 200),
        ("/hello/is/21/bytes?xy", &[], 414),
    ] {
        let answer = server.send("GET", target, headers, "");
        assert_eq!(answer.status, status, "{target} {headers:?}");
    }

    let times = [
        "--head-timeout",
        "0.2",
        "--body-timeout",
        "0.2",
        "--idle-timeout",
        "0.2",
        "--linger",
        "0.1",
    ];
    let server = start(&folder, &times);
    let post = "POST /hello HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n";
    // The vlugin answers without its body, which is waited for only so long.
    for (sent, status) in [("GET", "HTTP/1.1 408 "), (post, "HTTP/1.1 200 "), ("", "")] {
        let mut stream = std::net::TcpStream::connect(&server.addrs[0]).unwrap();
        std::io::Write::write_all(&mut stream, sent.as_bytes()).unwrap();
        let answer = std::io::read_to_string(stream).unwrap();
        assert!(answer.starts_with(status), "{sent}: {answer}");
    }
}

/// What ends the program, and its name for that.
#[cfg(unix)]
const SIGNALS: [(&str, &str); 2] = [("TERM", "SIGTERM"), ("INT", "SIGINT")];
#[cfg(windows)]
const SIGNALS: [(&str, &str); 1] = [("INT", "Ctrl-C")];

#[test]
fn a_signal_lets_what_runs_finish_and_ends_with_0() {
    for (signal, _) in SIGNALS {
        let folder = folder(HELLO);
        let server = start(&folder, &[]);
        assert_eq!(server.get("/hello").status, 200);
        server.signal(signal);
        let finished = server.end();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        // The log is written to its end.
        assert!(finished.err.contains("GET /hello 200"), "{}", finished.err);
        assert!(
            finished.err.trim_end().ends_with("drained, and ended"),
            "{}",
            finished.err
        );
    }
}

#[test]
fn a_request_that_runs_is_answered_after_the_signal() {
    let folder = folder(r#"{ "type": "native", "name": "echo" }"#);
    for (signal, name) in SIGNALS {
        let server = start(&folder, &[]);
        // The half of the body that is there comes back; the vlugin waits for the rest.
        let mut stream = TcpStream::connect(&server.addrs[0]).unwrap();
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n";
        write!(stream, "{head}half").unwrap();
        let mut came = vec![0; 12];
        stream.read_exact(&mut came).unwrap();
        assert_eq!(came, b"HTTP/1.1 200");
        server.signal(signal);
        server.wait_for_err(name);
        write!(stream, "full").unwrap();
        let answer = std::io::read_to_string(stream).unwrap();
        assert!(answer.ends_with("\r\n\r\nhalffull"), "{answer}");
        let finished = server.end();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.err.contains("drained"), "{}", finished.err);
    }
}

#[test]
fn a_second_signal_ends_at_once_with_130() {
    let folder = folder(r#"{ "type": "native", "name": "events" }"#);
    let (signal, name) = SIGNALS[0];
    let server = start(&folder, &["--drain", "3600"]);
    let _endless = server.begin("/events");
    server.signal(signal);
    server.wait_for_err(name);
    server.signal(signal);
    let finished = server.end();
    assert_eq!(finished.code, Some(130), "{finished:?}");
}
