//! The sources of the first Valor, unchanged, in crates of every edition whose only dependency
//! is `valor`.

mod support;

use support::{cargo, folder, valor_abi, workspace, write};

const FUNCTION: &str = r#"
use valor::*;

#[vlugin]
pub async fn on_request(_req: http::Request) -> http::Response {
    "OK response from a plugin".into()
}

#[test]
fn answers() {
    testing::create(VLUGIN, ()).get("/").assert_body("OK response from a plugin");
}
"#;

const WITH_STATE: &str = r#"
use valor::*;

use http::{Method, Request, Response, StatusCode};

#[vlugin]
pub async fn on_create(cx: &mut Context) {
    let name = cx.config::<String>().unwrap();
    cx.set(name);
}

pub async fn on_request(cx: &Context, req: Request) -> http::Result<Response> {
    let name = cx.get::<String>();
    if req.method() != Method::Get {
        return Ok(Response::new(StatusCode::MethodNotAllowed));
    }
    let who = req
        .url()
        .query_pairs()
        .find_map(|(k, v)| if k == "who" { Some(v) } else { None })
        .ok_or_else(|| http::Error::from_str(http::StatusCode::BadRequest, "Missing buddy to greet"))?;
    Ok(format!("{} says hello {}!", name, who).into())
}

#[test]
fn answers() {
    let alice = testing::create(VLUGIN, "Alice");
    alice.get("/?who=Zoe").assert_body("Alice says hello Zoe!");
    alice.get("/").assert_status(400);
}
"#;

#[test]
fn old_sources_compile_and_answer_in_every_edition() {
    let folder = folder();
    let mut members = Vec::new();
    for edition in ["2018", "2021", "2024"] {
        for (name, source) in [("function", FUNCTION), ("with_state", WITH_STATE)] {
            let name = format!("{name}_of_{edition}");
            let manifest = format!(
                r#"
                [package]
                name = "{name}"
                version = "0.1.0"
                edition = "{edition}"

                [lib]
                crate-type = ["cdylib"]

                [dependencies]
                valor = {{ package = "valor_abi", path = "{}" }}
                "#,
                valor_abi()
            );
            write(&folder.path().join(&name).join("Cargo.toml"), &manifest);
            write(&folder.path().join(&name).join("src/lib.rs"), source);
            members.push(name);
        }
    }
    workspace(folder.path(), &members);
    cargo(folder.path(), &["test", "--quiet", "--workspace"]);
}
