//! `cx.client()` of a WebAssembly module. `valor_abi` has one conversation for this client and for the real surf. Here
//! a module has it, through the host's fetch, with a server behind a socket.

use super::{fixture, get, request, runtime, socket};
use futures_lite::{AsyncReadExt, future::block_on};
use server::CASES;
use std::sync::Arc;
use valor_runtime::{Definition, Kind, Runtime, from_http};

#[allow(dead_code)] // What the vlugin's side shares with it.
#[path = "../../../valor_abi/tests/surf/server.rs"]
mod server;

/// A server, and a runtime whose vlugin talks to it.
fn talking() -> (socket::Serving, Arc<Runtime>) {
    let server = socket::serve(from_http(server::server));
    let mut definition = Definition::new(Kind::Wasm, "client");
    definition.path = Some(fixture::client().to_owned());
    definition.config = format!("http://{}", server.addr).into();
    definition.allow = Some(vec![server.addr.clone()]);
    let runtime = runtime(&definition);
    (server, runtime)
}

#[test]
fn each_case_is_answered_as_it_has_to_be() {
    let (_server, runtime) = talking();
    let mut wrong = Vec::new();
    for &(case, status, body) in CASES {
        let (answered, text) = block_on(get(&runtime, &format!("/client/{case}")));
        // The text of an error is the host's.
        if answered != status || !(text == body || body.is_empty()) {
            wrong.push(format!("{case}: {answered} {text}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_body_without_an_end_is_taken_as_it_is_read() {
    let (_server, runtime) = talking();
    block_on(async {
        let mut res = runtime.handle(request("/client/endless")).await;
        let mut body = res.take_body();
        let mut part = vec![0; 6 * 100_000];
        body.read_exact(&mut part).await.unwrap();
        assert!(part.ends_with(b"piece "));
        drop(body);
        assert_eq!(get(&runtime, "/client/free").await.1, "GET this is /new");
    });
}
