//! The faults that a plugins.json can have, each as the exact line that a person reads.

use super::*;
use serde_json::Value;

fn faults(text: &str) -> Vec<String> {
    match Definitions::from_json(text) {
        Ok(definitions) => panic!("{text} was taken: {definitions:?}"),
        Err(faults) => faults.to_string().lines().map(str::to_owned).collect(),
    }
}

/// The faults of one entry with the two required keys, and these.
fn of_entry(keys: &str) -> Vec<String> {
    faults(&format!(
        "{{\"plugins\":[{{\"type\":\"native\",\"name\":\"a\",\n{keys}}}]}}"
    ))
}

#[rustfmt::skip]
const TEXTS: &[(&str, &str)] = &[
    ("", "1:1: the text is empty; write { \"plugins\": [] } at least"),
    (" \n ", "1:1: the text is empty; write { \"plugins\": [] } at least"),
    ("{\n  \"plugins\": [", "2:15: the text ends too early: a bracket, brace or quote is never closed"),
    ("{ \"plugins\": [],\n}", "2:1: JSON allows no comma after the last element; take it out"),
    ("{ \"plugins\": [1,] }", "1:17: JSON allows no comma after the last element; take it out"),
    ("{\n  // a\n  \"plugins\": [] }", "2:3: JSON has no comments; take this one out"),
    ("{ \"plugins\": [] /* a */ }", "1:17: JSON has no comments; take this one out"),
    ("# a\n{}", "1:1: JSON has no comments; take this one out"),
    ("{ 'plugins': [] }", "1:3: JSON strings need double quotes"),
    ("{ plugins: [] }", "1:3: a key needs double quotes"),
    ("{ \"ä\": [1 \"b\"] }", "1:11: not valid JSON: expected a comma or a closing bracket, found `\"`"),
    ("{ \"plugins\": nope }", "1:15: not valid JSON: expected a string in double quotes, a number, true, false, null, \
        an object or an array"),
    ("{} {}", "1:4: not valid JSON: trailing characters"),
    ("{ \"plugins\": [1e999] }", "1:15: `1e999` is out of range: a number is at most about 1.8e308 in either \
        direction"),
    ("[]", "1:1: expected an object, found an array; write { \"plugins\": [ … ] }"),
    ("{}", "1:1: `plugins` is missing; write { \"plugins\": [ … ] }"),
    ("{\"plugins\": {}}", "1:13: plugins: expected an array, found an object"),
    ("{\"$schema\": 7, \"plugins\": []}", "1:13: $schema: expected a string, found 7"),
    ("{\"plugin\": [], \"plugins\": []}", "1:2: plugin: unknown key; did you mean `plugins`?"),
    ("{\"plugins\": [], \"x\": 1}", "1:17: x: unknown key; known are `$schema` and `plugins`"),
    ("{\"plugins\": [],\n \"plugins\": []}", "2:2: plugins: this key is there already at 1:2; take one of them out"),
];

#[test]
fn faults_of_the_text() {
    for (text, fault) in TEXTS {
        assert_eq!(faults(text), [*fault], "of {text:?}");
    }
    let deep = format!("{{\"plugins\": {}", "[".repeat(100_000));
    assert_eq!(
        faults(&deep),
        ["1:139: arrays and objects are nested more than 127 deep; remove levels"]
    );
    // Two of the levels are the file's.
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"plugins": [{{"type": "native", "name": "a", "config": {open}{close}}}]}}"#)
    };
    assert!(Definitions::from_json(&nested(124)).is_ok());
    assert!(Definitions::from_json(&nested(125)).is_err());
}

#[rustfmt::skip]
const ENTRIES: &[(&str, &str)] = &[
    ("7", "1:13: plugins[0]: expected an object such as { \"type\": \"native\", \"name\": \"hello\" }, found a number"),
    (r#"{"name": "a"}"#, "1:13: plugins[0]: `type` is missing; write \"type\": \"native\""),
    (r#"{"type": "native"}"#, "1:13: plugins[0]: `name` is missing; write \"name\": \"hello\""),
    (r#"{"type": "Nativ", "name": "a"}"#, "1:22: plugins[0].type: `Nativ` is not a type of vlugin; did you mean \
        `native`?"),
    (r#"{"type": "", "name": "a"}"#, "1:22: plugins[0].type: `` is not a type of vlugin; known are `native`, `wasm`, \
        `wasi`, `js` and `files`"),
    (r#"{"type": null, "name": "a"}"#, "1:22: plugins[0].type: expected a string, found null"),
    (r#"{"type": "native", "name": ""}"#, "1:40: plugins[0].name: a name has at least one character"),
    (r#"{"type": "native", "name": "a b"}"#, "1:40: plugins[0].name: ` ` is not allowed in a name; letters, digits, \
        `_`, `.` and `-` are"),
    (r#"{"type": "native", "name": "a\nb"}"#, "1:40: plugins[0].name: `\\n` is not allowed in a name; letters, digits, \
        `_`, `.` and `-` are"),
    (r#"{"type": "native", "name": "_health"}"#, "1:40: plugins[0].name: names that begin with `_` or `.` are Valor's \
        own; begin `_health` otherwise"),
    (r#"{"type": "native", "name": ".."}"#, "1:40: plugins[0].name: names that begin with `_` or `.` are Valor's own; \
        begin `..` otherwise"),
];

#[test]
fn faults_of_an_entry() {
    for (entry, fault) in ENTRIES {
        assert_eq!(faults(&format!("{{\"plugins\":[{entry}]}}")), [*fault]);
    }
    let long = "x".repeat(65);
    let fault = &faults(&format!(
        "{{\"plugins\":[{{\"type\":\"native\",\"name\":\"{long}\"}}]}}"
    ))[0];
    assert!(
        fault.ends_with("a name has at most 64 characters; this one has 65"),
        "{fault}"
    );
}

#[rustfmt::skip]
const KEYS: &[(&str, &str)] = &[
    (r#""prefix": "a""#, "2:11: plugins[0].prefix: a prefix begins with `/`; write `/a`"),
    (r#""prefix": """#, "2:11: plugins[0].prefix: a prefix begins with `/`; write `/`"),
    (r#""prefix": "/a/""#, "2:11: plugins[0].prefix: a prefix ends without `/`; write `/a`"),
    (r#""prefix": "//""#, "2:11: plugins[0].prefix: a prefix ends without `/`; write `/`"),
    (r#""prefix": "/a//b""#, "2:11: plugins[0].prefix: a prefix has no empty segment (`//`)"),
    (r#""prefix": "/a/../b""#, "2:11: plugins[0].prefix: a prefix has no `..` segment: paths are resolved before \
        routing, so it would never be reached"),
    (r#""prefix": "/a/%2E""#, "2:11: plugins[0].prefix: a prefix has no `.` segment: paths are resolved before \
        routing, so it would never be reached"),
    (r#""prefix": "/a%2Fb""#, "2:11: plugins[0].prefix: `%2f` (an encoded slash) is not allowed in a prefix"),
    (r#""prefix": "/a?b""#, "2:11: plugins[0].prefix: `?` is not allowed in a prefix, which is a path without a query"),
    (r#""prefix": "/a b""#, "2:11: plugins[0].prefix: ` ` is not allowed in a prefix, which is a path without a query"),
    (r#""prefix": "/caf\u00e9""#, "2:11: plugins[0].prefix: `é` must be percent-encoded in a path; write `%C3%A9` for \
        it"),
    (r#""prefix": "/_health""#, "2:11: plugins[0].prefix: prefixes that begin with `/_` are Valor's own; choose \
        another"),
    (r#""prefix": ["/a"]"#, "2:11: plugins[0].prefix: expected a string, found an array"),
    (r#""prefx": "/a""#, "2:1: plugins[0].prefx: unknown key; did you mean `prefix`?"),
    (r#""mount": "/a""#, "2:1: plugins[0].mount: unknown key; did you mean `prefix`?"),
    (r#""file": "a.so""#, "2:1: plugins[0].file: unknown key; did you mean `path`?"),
    (r#""Config": 1"#, "2:1: plugins[0].Config: unknown key; did you mean `config`?"),
    (r#""a\nb": 1"#, "2:1: plugins[0].a\\nb: unknown key; known are `type`, `name`, `prefix`, `strip`, `rewrite`, \
        `path`, `source`, `config`, `sha256`, `allow`, `callees`, `limits`, `files`, `writable`, `instance`, `group`, `start` and `optional`"),
    (r#""url": "http://x""#, "2:1: plugins[0].url: this key has no meaning for the types of vlugins that this version \
        runs"),
    (r#""name": "b""#, "2:1: plugins[0].name: this key is there already at 1:30; take one of them out"),
    (r#""path": """#, "2:9: plugins[0].path: a path has at least one character; leave the key out otherwise"),
    (r#""path": "a\u0000b""#, "2:9: plugins[0].path: a path has no NUL character"),
    (r#""source": 1"#, "2:11: plugins[0].source: expected a string, found 1"),
    (r#""sha256": "abc""#, "2:11: plugins[0].sha256: a SHA-256 is 64 hexadecimal digits, as `sha256sum FILE` prints \
        them; found 3 digits"),
    (r#""sha256": "wxyz""#, "2:11: plugins[0].sha256: a SHA-256 is 64 hexadecimal digits, as `sha256sum FILE` prints \
        them; found `wxyz`"),
    (r#""allow": "*""#, "2:10: plugins[0].allow: expected an array of hosts, found a string"),
    (r#""allow": ["a", ""]"#, "2:16: plugins[0].allow[1]: a host has at least one character"),
    (r#""allow": [1]"#, "2:11: plugins[0].allow[0]: expected a string, found 1"),
    (r#""allow": ["https://a.org/x"]"#, "2:11: plugins[0].allow[0]: a host is written here without its scheme; write \
        `a.org` for `https://…`"),
    (r#""allow": ["a.org/x"]"#, "2:11: plugins[0].allow[0]: `/` is not allowed in a host; write `host`, `host:port`, \
        `*.domain` or `*`"),
    (r#""optional": "yes""#, "2:13: plugins[0].optional: expected true or false, found a string"),
    (r#""limits": 3"#, "2:11: plugins[0].limits: expected an object such as { \"timeout\": 30 }, found 3"),
    (r#""limits": {"timeout": "5s"}"#, "2:23: plugins[0].limits.timeout: expected a number of seconds, found a string; \
        write 5"),
    (r#""limits": {"timeout": 0}"#, "2:23: plugins[0].limits.timeout: a timeout is above 0 and at most 86400 seconds \
        (a day), not 0"),
    (r#""limits": {"timeout": -0.5}"#, "2:23: plugins[0].limits.timeout: a timeout is above 0 and at most 86400 \
        seconds (a day), not -0.5"),
    (r#""limits": {"timeout": 1e9}"#, "2:23: plugins[0].limits.timeout: a timeout is above 0 and at most 86400 seconds \
        (a day), not 1000000000"),
    (r#""limits": {"body": 1.5}"#, "2:20: plugins[0].limits.body: expected a whole number of bytes, at least 1, found \
        1.5"),
    (r#""limits": {"body": -1}"#, "2:20: plugins[0].limits.body: expected a whole number of bytes, at least 1, found \
        -1"),
    (r#""limits": {"body": 0}"#, "2:20: plugins[0].limits.body: a body's limit is 1 to 1099511627776 bytes (1 TiB), \
        not 0"),
    (r#""limits": {"concurrency": 5000000000}"#, "2:27: plugins[0].limits.concurrency: a concurrency is 1 to 1000000 \
        requests, not 5000000000"),
    (r#""limits": {"timout": 1}"#, "2:12: plugins[0].limits.timout: unknown key; did you mean `timeout`?"),
    (r#""limits": {"memory": 1}"#, "2:22: plugins[0].limits.memory: `memory` has no meaning for a `native` vlugin: \
        only those of types `wasm`, `wasi` and `js` have it; take it out"),
    (r#""limits": {"body": 1, "body": 2}"#, "2:23: plugins[0].limits.body: this key is there already at 2:12; take one \
        of them out"),
    (r#""config": {"a": 1, "b": [{"c": 2, "\u0063": 3}], "a": 4}"#, "2:35: plugins[0].config.b[0].c: this key is there \
        already at 2:27; take one of them out\n\
        2:50: plugins[0].config.a: this key is there already at 2:12; take one of them out"),
    (r#""x": 1, "x": 2"#, "2:1: plugins[0].x: unknown key; known are `type`, `name`, `prefix`, `strip`, `rewrite`, \
        `path`, `source`, `config`, `sha256`, `allow`, `callees`, `limits`, `files`, `writable`, `instance`, `group`, `start` and `optional`\n\
        2:9: plugins[0].x: this key is there already at 2:1; take one of them out"),
];

#[test]
fn faults_of_a_key() {
    for (keys, fault) in KEYS {
        assert_eq!(of_entry(keys).join("\n"), *fault, "of {keys}");
    }
}

#[rustfmt::skip]
const OF_FILES: &[(&str, &str)] = &[
    (r#""prefix": "/""#, "1:13: plugins[0]: `path` is missing; write the folder to serve, \"path\": \"public\""),
    (r#""path": "p", "source": "s""#, "2:24: plugins[0].source: `source` has no meaning for a `files` vlugin, which is \
        part of Valor; take it out"),
    (r#""path": "p", "allow": ["a"]"#, "2:23: plugins[0].allow: `allow` has no meaning for a `files` vlugin, which is \
        part of Valor; take it out"),
    (r#""path": "p", "config": "x""#, "2:24: plugins[0].config: expected an object such as { \"index\": \"index.html\" \
        }, found a string"),
    (r#""path": "p", "config": {"indx": "x"}"#, "2:25: plugins[0].config.indx: unknown key; did you mean `index`?"),
    (r#""path": "p", "config": {"index": "a/b"}"#, "2:34: plugins[0].config.index: `a/b` cannot be served as the page \
        of a folder; write the name of a file, such as index.html"),
    (r#""path": "p", "config": {"index": ".x"}"#, "2:34: plugins[0].config.index: `.x` cannot be served as the page of \
        a folder; write the name of a file, such as index.html"),
    (r#""path": "p", "config": {"index": false}"#, "2:34: plugins[0].config.index: expected a string, found false"),
    (r#""path": "p", "config": {"fallback": "../x"}"#, "2:37: plugins[0].config.fallback: `../x` is not a file that \
        can be served; write its path from the folder, such as index.html"),
    (r#""path": "p", "config": {"fallback": "/x"}"#, "2:37: plugins[0].config.fallback: `/x` is not a file that can be \
        served; write its path from the folder, such as index.html"),
    (r#""path": "p", "config": {"cache_control": "a\nb"}"#, "2:42: plugins[0].config.cache_control: `a\\nb` is not the \
        value of a header; write one such as max-age=3600"),
];

#[rustfmt::skip]
const OF_SCRIPTS: &[(&str, &str, &str)] = &[
    ("js", r#""source": "s""#, "2:11: plugins[0].source: `source` has no meaning for a `js` vlugin, which is not \
        built; give its file in `path`"),
    ("js", r#""group": "_a""#, "2:10: plugins[0].group: names that begin with `_` or `.` are Valor's own; begin `_a` \
        otherwise"),
    ("js", r#""group": """#, "2:10: plugins[0].group: the name of a group has at least one character"),
    ("js", r#""limits": {"memory": 65536}"#, "2:22: plugins[0].limits.memory: a script has at least 16777216 bytes (16 \
        MiB) of memory, not 65536"),
    ("js", r#""limits": {"instances": 2}"#, "2:25: plugins[0].limits.instances: `instances` has no meaning for a `js` \
        vlugin: only those of types `wasm` and `wasi` have it; take it out"),
    ("wasm", r#""group": "a""#, "2:10: plugins[0].group: `group` has no meaning for a `wasm` vlugin: only a \
        `js` vlugin has its own process; take it out"),
    ("native", r#""start": "lazy""#, "2:10: plugins[0].start: `start` has no meaning for a `native` vlugin: only a \
        `js` vlugin has its own process; take it out"),
];

#[test]
fn faults_of_scripts() {
    for (kind, keys, fault) in OF_SCRIPTS {
        let text = format!("{{\"plugins\":[{{\"type\":\"{kind}\",\"name\":\"a\",\n{keys}}}]}}");
        assert_eq!(faults(&text), [*fault], "of {keys}");
        // The same rules apply in code.
        let entry: Value = serde_json::from_str(&text).unwrap();
        let definition: Definition = serde_json::from_value(entry["plugins"][0].clone()).unwrap();
        assert!(definition.check().is_err(), "{keys}");
    }
    let text = r#"{ "type": "js", "name": "a", "start": "lasy" }"#;
    let fault = Definition::from_json(text).unwrap_err().to_string();
    assert_eq!(
        fault,
        "1:39: start: `lasy` is not a way to start; did you mean `lazy`?"
    );
    let text = r#"{ "type": "js", "name": "a", "start": "lazy", "group": "g",
        "limits": { "memory": 16777216, "cpu": 2 } }"#;
    let read = Definition::from_json(text).unwrap();
    read.check().unwrap();
    assert_eq!(
        (read.start, read.group.as_deref()),
        (Start::Lazy, Some("g"))
    );
}

#[test]
fn faults_of_files() {
    for (keys, fault) in OF_FILES {
        let text = format!("{{\"plugins\":[{{\"type\":\"files\",\"name\":\"a\",\n{keys}}}]}}");
        assert_eq!(faults(&text), [*fault], "of {keys}");
        // The same rules apply in code.
        let entry: Value = serde_json::from_str(&text).unwrap();
        let definition: Definition = serde_json::from_value(entry["plugins"][0].clone()).unwrap();
        assert!(definition.check().is_err(), "{keys}");
    }
    let right = r#"{ "type": "files", "name": "a", "path": "p",
        "config": { "index": "a.html", "fallback": "b/c.html", "cache_control": "public, max-age=60" } }"#;
    Definition::from_json(right).unwrap().check().unwrap();
    Definition::from_json(r#"{ "type": "files", "name": "a", "path": "p", "config": null }"#)
        .unwrap();
}

#[test]
fn names_and_prefixes_are_each_there_once() {
    let text = r#"{ "plugins": [
        { "type": "native", "name": "a" },
        { "type": "native", "name": "a" },
        { "type": "native", "name": "b", "prefix": "/a" },
        { "type": "native", "name": "c", "prefix": "/d" },
        { "type": "native", "name": "d" }
    ] }"#;
    assert_eq!(
        faults(text),
        [
            "3:37: plugins[1].name: the name `a` is taken by plugins[0] at 2:37; each has its own",
            "4:52: plugins[2].prefix: the prefix `/a` is taken by plugins[0] at 2:37; each has its own",
            "6:37: plugins[4].name: the prefix `/d` is taken by plugins[3] at 5:52; say another `prefix`",
        ]
    );
}

#[test]
fn all_faults_at_once_and_in_the_order_of_the_text() {
    let text = r#"{ "plugins": [
        { "type": "navite", "name": "a b", "limits": { "body": "x", "timeout": true } },
        [],
        { "name": "a b", "path": 1, "allow": [""] }
    ], "extra": 1 }"#;
    let lines: Vec<_> = faults(text);
    let keys: Vec<_> = lines
        .iter()
        .map(|line| line.split(": ").nth(1).unwrap_or_default())
        .collect();
    assert_eq!(
        keys,
        [
            "plugins[0].type",
            "plugins[0].name",
            "plugins[0].limits.body",
            "plugins[0].limits.timeout",
            "plugins[1]",
            "plugins[2]",
            "plugins[2].name",
            "plugins[2].path",
            "plugins[2].allow[0]",
            "extra",
        ]
    );
}

#[test]
fn what_is_right_is_taken_with_its_positions() {
    let text = "\u{feff}{ \"$schema\": \"x\", \"plugins\": [
        { \"type\": \"native\", \"name\": \"hello\" },
        { \"name\": \"ä\\u0041\", \"type\": \"native\" }
    ] }"
    .replace("ä\\u0041", "\\u0041lice");
    let definitions = Definitions::from_json(&text).unwrap();
    let names: Vec<_> = definitions.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["hello", "Alice"]);
    let fault = |index, key| definitions.fault(index, key, "x").to_string();
    assert_eq!(fault(0, "name"), "2:37: plugins[0].name: x");
    assert_eq!(fault(1, "type"), "3:41: plugins[1].type: x");
    assert_eq!(fault(1, "path"), "3:9: plugins[1]: x", "the entry itself");
}

#[test]
fn every_key_arrives() {
    let text = format!(
        r#"{{ "type": "native", "name": "x.y-Z_9", "prefix": "/", "path": "a/b.so", "source": "src",
            "config": {{ "deep": [1, {{ "a": null, "b": 2 }}] }}, "sha256": "{}",
            "allow": ["*", "a.org:443", "*.b.org", "[::1]:80"], "callees": ["*", "b", "_c"],
            "limits": {{ "timeout": 0.5, "body": 7, "concurrency": 3 }}, "optional": true }}"#,
        "AB".repeat(32)
    );
    let read = Definition::from_json(&text).unwrap();
    let mut by_serde: Definition = serde_json::from_str(&text).unwrap();
    by_serde.sha256 = by_serde.sha256.map(|it| it.to_lowercase());
    assert_eq!(read, by_serde);
    assert_eq!(read.prefix(), "/");
    assert_eq!(read.limits.concurrency(), 3);
    read.check().unwrap();
    let again = serde_json::to_string(&read).unwrap();
    assert_eq!(Definition::from_json(&again).unwrap(), read);
}

#[test]
fn definitions_made_in_code_are_held_to_the_same_rules() {
    let mut definition = Definition::new(Kind::Native, "a/b");
    definition.prefix = Some("x".into());
    definition.path = Some("".into());
    definition.limits.timeout = Some(f64::NAN);
    definition.allow = Some(vec!["a".into(), "".into()]);
    let faults = definition.check().unwrap_err().to_string();
    let keys: Vec<_> = faults
        .lines()
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect();
    assert_eq!(
        keys,
        ["name", "prefix", "path", "allow[1]", "limits.timeout"]
    );
    assert_eq!(Definition::new(Kind::Native, "a").check(), Ok(()));
}

/// The same rules apply to a definition made in code and to a text: both get the same faults.
#[test]
fn code_and_texts_get_the_same_faults() {
    let cases = include_str!("../../tests/web/definitions.txt").replace("\r\n", "\n");
    let mut count = 0;
    for case in cases.split("\n\n").skip(1) {
        let text = case.lines().next().unwrap_or_default();
        // Code has no numbers and levels beyond those that JSON can express.
        let Ok(all) = serde_json::from_str::<Value>(text) else {
            continue;
        };
        for entry in all["plugins"].as_array().into_iter().flatten() {
            // What Rust's types cannot express needs no check.
            let Ok(definition) = serde_json::from_value::<Definition>(entry.clone()) else {
                continue;
            };
            // In code, an empty list of files is the same as none.
            if definition.files.is_empty() && entry.get("files").is_some() {
                continue;
            }
            let sorted = |faults: Result<(), DefinitionFaults>| {
                let faults = faults.err().map(|it| it.faults).unwrap_or_default();
                let faults = faults.into_iter();
                let mut faults: Vec<_> = faults.map(|it| (it.key, it.message)).collect();
                faults.sort();
                faults
            };
            let by_code = sorted(definition.check());
            let mut by_text = sorted(Definition::from_json(&entry.to_string()).map(drop));
            for (key, message) in &mut by_text {
                // In a text, a missing key is a fault of the definition.
                if message.starts_with("`path` is missing") {
                    *key = "path".into();
                }
            }
            by_text.sort();
            assert_eq!(by_code, by_text, "{entry}");
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
}

#[test]
fn faults_of_a_file_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plugins.json");
    let shown = file.display();
    let fault = || Definitions::from_file(&file).unwrap_err().to_string();
    assert_eq!(
        fault(),
        format!("{shown}: there is no such file; check its path")
    );

    for (bytes, expected) in [
        (
            &b"{ \"plugins\":\n \xff }"[..],
            "2:2: this is not UTF-8 from here on; save the file as UTF-8",
        ),
        (
            b"\xff\xfe{\0}\0",
            " this is UTF-16 or UTF-32; save it as UTF-8",
        ),
        (b"{\0}\0", " this is UTF-16 or UTF-32; save it as UTF-8"),
        (b"\0{\0\xe9", " this is UTF-16 or UTF-32; save it as UTF-8"),
        (
            b"{}",
            "1:1: `plugins` is missing; write { \"plugins\": [ … ] }",
        ),
    ] {
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(fault(), format!("{shown}:{expected}"));
    }

    let sound_and_not = r#"{ "plugins": [7, { "type": "native", "name": "a" }], "x": 1 }"#;
    std::fs::write(&file, sound_and_not).unwrap();
    let (definitions, faults) = Definitions::sound_from_file(&file);
    let faults = faults.map_or(0, |faults| faults.faults.len());
    assert_eq!((definitions.len(), faults), (1, 2));
    assert_eq!(definitions.fault(0, "name", "x").key, "plugins[1].name");

    std::fs::write(&file, "{ \"plugins\": [] }").unwrap();
    let definitions = Definitions::from_file(&file).unwrap();
    assert_eq!((definitions.file(), definitions.len()), (Some(&*file), 0));

    let fault = Definitions::from_file(dir.path()).unwrap_err().to_string();
    if cfg!(unix) {
        let expected = "this is a directory; name the plugins.json in it";
        assert_eq!(fault, format!("{}: {expected}", dir.path().display()));
    }
}

#[test]
fn a_fault_is_one_line_whatever_the_text_has_in_it() {
    let text =
        r#"{ "plugins": [{ "type": "a\nb\u001b[31m", "na\rme\u2028": "x", "name": "x\u0007" }] }"#;
    let lines = Definitions::from_json(text).unwrap_err();
    let printed = lines.to_string();
    assert_eq!(printed.lines().count(), lines.faults.len());
    assert!(
        !printed.contains(|c: char| c.is_control() && c != '\n'),
        "{printed:?}"
    );
}
