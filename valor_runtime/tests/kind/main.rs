//! A kind of vlugin is one folder and one row: the folder `probe` has all of one that Valor does not know. It is read
//! from a plugins.json, loaded, listed, inspected and limited as the others are.

mod probe;

use futures_lite::future::block_on;
use probe::{PROBE, ProbeLoader};
use serde_json::{Value, json};
use std::{fs, sync::Arc};
use valor_runtime::{
    Body, Definition, Kind, KindRow, Kinds, RegistryAccess, Request, Response, Runtime, Vlugin,
    definition::InPage, from_fn, inspect,
};

/// Probes by name, in a folder, and a runtime that brings the kind.
struct Stage {
    folder: tempfile::TempDir,
    runtime: Arc<Runtime>,
}

impl Stage {
    fn with(probes: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in probes {
            fs::write(folder.path().join(format!("{name}.probe")), text).unwrap();
        }
        let loader = Arc::new(ProbeLoader(folder.path().to_owned()));
        let runtime = Runtime::builder()
            .kind(PROBE, loader)
            .registry(RegistryAccess::Loopback)
            .build()
            .unwrap();
        Self { folder, runtime }
    }

    /// Loads what a plugins.json says.
    fn load(&self, plugins: Value) {
        let text = json!({ "plugins": plugins }).to_string();
        let definitions = self.runtime.kinds().definitions(&text).unwrap();
        for definition in definitions.iter() {
            block_on(self.runtime.load(definition)).unwrap();
        }
    }

    fn send(&self, mut request: Request) -> Response {
        request.head.set_peer("127.0.0.1:50000");
        let _ = request.head.push("host", b"localhost");
        block_on(self.runtime.clone().on_request(request)).expect("a runtime always answers")
    }

    fn ask(&self, target: &str) -> (u16, String) {
        let response = self.send(Request::new("GET", target).unwrap());
        let status = response.head.status();
        (status, text(response))
    }

    fn json(&self, method: &str, target: &str, body: Value) -> (u16, Value) {
        let mut request = Request::new(method, target).unwrap();
        request
            .head
            .push("content-type", b"application/json")
            .unwrap();
        request.body = Body::from(body.to_string());
        let response = self.send(request);
        let status = response.head.status();
        (
            status,
            serde_json::from_str(&text(response)).unwrap_or_default(),
        )
    }
}

fn text(response: Response) -> String {
    let bytes = block_on(response.body.bytes(1 << 20)).expect("a body");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn it_is_loaded_from_a_plugins_json() {
    let stage = Stage::with(&[("one", "the first"), ("two", "call one")]);
    stage.load(json!([
        { "type": "probe", "name": "one", "prefix": "/first" },
        { "type": "probe", "name": "two" },
    ]));
    assert_eq!(stage.ask("/first"), (200, "the first".into()));
    assert_eq!(stage.ask("/two"), (200, "the first".into()));
}

#[test]
fn its_file_stands_in_a_file_with_its_faults() {
    let stage = Stage::with(&[]);
    let file = stage.folder.path().join("plugins.json");
    let text = r#"{ "plugins": [
        { "type": "probe", "name": "a", "colour": 1 }, { "type": "probe", "name": "b" }
    ] }"#;
    fs::write(&file, text).unwrap();
    let (definitions, faults) = stage.runtime.kinds().sound_from_file(&file);
    let names: Vec<_> = definitions.iter().map(|it| (&*it.name, it.kind)).collect();
    assert_eq!(names, [("b", PROBE)]);
    let line = faults.unwrap().to_string();
    assert!(line.ends_with("plugins[0].colour: unknown key; known are `type`, `name`, `prefix`, `strip`, `rewrite`, \
                            `path`, `source`, `config`, `sha256`, `allow`, `callees`, `limits`, `files`, `writable`, `instance`, `group`, \
                            `start` and `optional`"), "{line}");
}

/// The row says which keys and limits it has; those who ask are told so in the words of the others.
#[test]
fn its_keys_and_limits_are_those_of_its_row() {
    let kinds = Kinds::default().with(PROBE).unwrap();
    let line = |keys: &str| {
        let text = format!(r#"{{ "type": "probe", "name": "a", {keys} }}"#);
        let read = kinds.definition(&text);
        let made: Definition = serde_json::from_str(&text.replace("probe", "native")).unwrap();
        let made = Definition {
            kind: PROBE,
            ..made
        };
        // Code is held to the same.
        assert_eq!(kinds.check(&made).is_ok(), read.is_ok(), "{keys}");
        read.map_or_else(|faults| faults.to_string(), |_| "taken".into())
    };
    assert_eq!(
        line(r#""limits": { "calls": 1, "timeout": 1, "body": 1 }"#),
        "taken"
    );
    assert_eq!(
        line(r#""strip": false, "allow": ["a.example"], "config": [1]"#),
        "taken"
    );
    assert_eq!(
        line(r#""limits": { "memory": 65536 }"#),
        "1:55: limits.memory: `memory` has no meaning for a `probe` vlugin: only those of types `wasm`, `wasi` \
         and `js` have it; take it out"
    );
    assert_eq!(
        line(r#""source": "s""#),
        "1:43: source: `source` has no meaning for a `probe` vlugin, which is not built; give its file in `path`"
    );
    assert_eq!(
        line(r#""group": "g""#),
        "1:42: group: `group` has no meaning for a `probe` vlugin: only a `js` vlugin has its own process; take it out"
    );
    // The others are told of it where it is one of those that have a limit.
    let native = kinds
        .definition(r#"{ "type": "files", "name": "a", "path": "p", "limits": { "calls": 1 } }"#);
    let native = native.unwrap_err().to_string();
    assert!(
        native.contains("only those of types `native`, `wasm`, `wasi`, `js` and `probe` have it"),
        "{native}"
    );
    // And a slip gets a hint.
    let slip = kinds
        .definition(r#"{ "type": "prob", "name": "a" }"#)
        .unwrap_err();
    assert_eq!(
        slip.to_string(),
        "1:11: type: `prob` is not a type of vlugin; did you mean `probe`?"
    );
}

#[test]
fn the_schema_has_it() {
    let schema = Kinds::default().with(PROBE).unwrap().json_schema();
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("plugins", schema).unwrap();
    let schema = compiler.compile("plugins", &mut schemas).unwrap();
    for (keys, taken) in [
        (json!({ "limits": { "calls": 1 } }), true),
        (json!({ "limits": { "fetches": 1 } }), false),
        (json!({ "source": "s" }), false),
        (json!({ "start": "lazy" }), false),
    ] {
        let mut entry = json!({ "type": "probe", "name": "a" });
        let said = keys.as_object().unwrap().clone();
        entry.as_object_mut().unwrap().extend(said);
        let file = json!({ "plugins": [entry] });
        assert_eq!(schemas.validate(&file, schema).is_ok(), taken, "{keys}");
    }
}

#[test]
fn the_registry_lists_it_and_takes_it() {
    let stage = Stage::with(&[("one", "the first"), ("two", "the second")]);
    stage.load(json!([{ "type": "probe", "name": "one" }]));
    let (status, body) = stage.json("GET", "/_plugins", Value::Null);
    assert_eq!(status, 200);
    let listed = &body["plugins"][0];
    assert_eq!(
        (&listed["type"], &listed["runs"], &listed["state"]),
        (&json!("probe"), &json!("a test"), &json!("ready"))
    );

    let definition = json!({ "type": "probe", "name": "two" });
    let (status, body) = stage.json("POST", "/_plugins", definition);
    assert_eq!((status, &body["type"]), (201, &json!("probe")), "{body}");
    assert_eq!(stage.ask("/two"), (200, "the second".into()));
    let (status, body) = stage.json("PATCH", "/_plugins/two", json!({ "prefix": "/second" }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(stage.ask("/second"), (200, "the second".into()));

    let unfit = json!({ "type": "probe", "name": "three", "limits": { "cpu": 1 } });
    let (status, body) = stage.json("POST", "/_plugins", unfit);
    let detail = body["detail"].as_str().unwrap_or_default();
    assert_eq!(status, 422);
    assert!(
        detail.contains("`cpu` has no meaning for a `probe` vlugin"),
        "{detail}"
    );
    let absent = json!({ "type": "probe", "name": "four" });
    let (status, body) = stage.json("POST", "/_plugins", absent);
    assert_eq!(status, 422, "{body}");
}

/// What `valor_cli web` says of it is made from this; a test of that program has the sentence.
#[test]
fn no_page_and_no_package_has_it() {
    assert_eq!((PROBE.in_page(), PROBE.target()), (InPage::Never, None));
}

#[test]
fn inspect_refuses_its_file_in_one_sentence() {
    let stage = Stage::with(&[("one", "the first")]);
    let file = stage.folder.path().join("one.probe");
    let line = inspect(&file).unwrap_err().to_string();
    assert_eq!(
        line,
        format!(
            "{} is not a library but a text file: give the file that cargo builds for `crate-type = [\"cdylib\"]`",
            file.display()
        )
    );
}

#[test]
fn it_is_limited_like_the_others() {
    let stage = Stage::with(&[
        ("one", "the first"),
        ("waits", "wait"),
        ("calls", "call streams"),
    ]);
    let chunks = from_fn(|_| async {
        let mut response = Response::new(200);
        response.body = Body::stream(None, futures_lite::stream::pending());
        Ok(response)
    });
    stage.runtime.add("streams", chunks).unwrap();
    stage.load(json!([
        { "type": "probe", "name": "one", "limits": { "body": 3 } },
        { "type": "probe", "name": "waits", "limits": { "timeout": 0.01, "concurrency": 1 } },
        { "type": "probe", "name": "calls", "limits": { "calls": 1 } },
    ]));

    let mut request = Request::new("POST", "/one").unwrap();
    request.body = Body::from("four");
    assert_eq!(stage.send(request).head.status(), 413);

    let (status, body) = stage.ask("/waits");
    assert_eq!(status, 504);
    assert!(
        body.contains("the vlugin `waits` did not answer within 0.01 s"),
        "{body}"
    );
    let waiting = stage
        .runtime
        .clone()
        .on_request(Request::new("GET", "/waits").unwrap());
    let mut waiting = Box::pin(waiting);
    assert!(block_on(futures_lite::future::poll_once(&mut waiting)).is_none());
    assert_eq!(stage.ask("/waits").0, 503);

    // A call runs for as long as its response does.
    let first = stage.send(Request::new("GET", "/calls").unwrap());
    assert_eq!(first.head.status(), 200);
    assert_eq!(stage.ask("/calls").0, 503);
    drop(first);
    assert_eq!(
        stage
            .send(Request::new("GET", "/calls").unwrap())
            .head
            .status(),
        200
    );
}

#[test]
fn a_runtime_without_it_says_so() {
    let runtime = Runtime::builder().build().unwrap();
    let definition = Definition::new(PROBE, "one");
    let line = block_on(runtime.load(&definition)).unwrap_err().to_string();
    assert_eq!(
        line,
        "the definition of `one`: type: `probe` is not a type of vlugin; known are `native`, `wasm`, `wasi`, `js` and \
         `files`"
    );
    assert_eq!(runtime.locate(&definition).unwrap(), None);
}

#[test]
fn a_row_that_does_not_fit_is_refused() {
    static AGAIN: KindRow = KindRow::new("js", "another");
    static UNNAMED: KindRow = KindRow::new("a b", "another");
    static TAKES: KindRow = KindRow::new("a", "another").takes(&["timeout"]);
    static LACKS: KindRow = KindRow::new("a", "another").lacks(&[("group", "which has none")]);
    for (row, line) in [
        (
            &AGAIN,
            "there is a kind `js` already; give this one another word",
        ),
        (
            &UNNAMED,
            "`a b` is not a word for a kind: ` ` is not allowed in a name; letters, digits, `_`, `.` and `-` are",
        ),
        (&TAKES, "the row of `a` names `timeout`, which no row can"),
        (&LACKS, "the row of `a` names `group`, which no row can"),
    ] {
        let loader = Arc::new(ProbeLoader("".into()));
        let built = Runtime::builder().kind(Kind::new(row), loader).build();
        let error = built.err().expect("it does not fit");
        assert_eq!(error.to_string(), line);
    }
}
