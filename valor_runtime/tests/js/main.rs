//! JavaScript vlugins, run by Deno: conversations through a runtime, without a socket in front of it.
//!
//! They need a Deno: that of `VALOR_JS_TOOLS` (a `node_modules`), or the one on the PATH.

#![cfg(unix)]

mod requests;

use std::{path::PathBuf, sync::Arc};
use valor_runtime::{
    Body, Builder, Definition, Kind, Request, Response, Runtime, RuntimeError, Vlugin,
};

/// A folder with scripts, and a runtime that starts from there.
struct House {
    dir: tempfile::TempDir,
    runtime: Arc<Runtime>,
}

/// The Deno to test with.
fn deno() -> PathBuf {
    let tools = std::env::var_os("VALOR_JS_TOOLS").map(|dir| PathBuf::from(dir).join(".bin/deno"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = std::env::split_paths(&path)
        .map(|dir| dir.join("deno"))
        .collect();
    tools
        .into_iter()
        .chain(path)
        .find(|file| file.is_file())
        .expect("these tests need Deno: `npm install deno`, and VALOR_JS_TOOLS=…/node_modules")
}

impl House {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, |builder| builder)
    }

    fn with(files: &[(&str, &str)], more: impl FnOnce(Builder) -> Builder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let builder = Runtime::builder().base_dir(dir.path()).deno(deno());
        Self {
            runtime: more(builder).build().unwrap(),
            dir,
        }
    }

    /// Loads a script by its definition's JSON, without the type.
    async fn load(&self, json: serde_json::Value) -> Result<(), RuntimeError> {
        let mut json = json;
        json["type"] = "js".into();
        let definition = Definition::from_json(&json.to_string()).unwrap();
        assert_eq!(definition.kind, Kind::Js);
        self.runtime.load(&definition).await
    }

    async fn ask(&self, request: Request) -> Response {
        self.runtime.clone().on_request(request).await.unwrap()
    }

    async fn get(&self, target: &str) -> (u16, String) {
        let response = self.ask(Request::new("GET", target).unwrap()).await;
        (response.head.status(), text(response.body).await)
    }
}

async fn text(body: Body) -> String {
    let bytes = body.bytes(1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}
