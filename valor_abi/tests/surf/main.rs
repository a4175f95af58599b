//! `cx.client()`: surf, over the host's fetch, and the client that replaces it in WebAssembly modules. Both have the
//! same conversation.
#![allow(clippy::duplicate_mod)] // On purpose: one file, compiled against both.

mod server;

use serde_json::Value;
use server::{CASES, FORBIDDEN};
use valor::{
    testing::{TestHost, TestResponse},
    *,
};

/// The real one.
#[path = "."]
mod native {
    use crate::server;
    use valor::Context;
    pub use valor::surf;

    #[path = "conversation.rs"]
    pub mod conversation;

    pub fn client(cx: &Context) -> surf::Client {
        cx.client()
    }
}

/// The one of WebAssembly modules, compiled for this target.
#[path = "."]
mod guest {
    use crate::server;
    use std::sync::Arc;
    use valor::{Context, http};
    use valor_abi_http as convert;
    use valor_abi_wire::{Fault, Host};

    #[allow(dead_code, unused_imports)] // All of it is public elsewhere.
    #[path = "../../src/surf/guest/mod.rs"]
    pub mod surf;

    #[path = "conversation.rs"]
    pub mod conversation;

    pub fn client(cx: &Context) -> surf::Client {
        surf::Client::with_http_client(Over(cx.host().clone()))
    }

    struct Over(Arc<dyn Host>);

    impl std::fmt::Debug for Over {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Over")
        }
    }

    #[surf::utils::async_trait]
    impl surf::HttpClient for Over {
        async fn send(&self, req: surf::http::Request) -> surf::Result<surf::http::Response> {
            let error = |fault: Fault| {
                let status = http::StatusCode::try_from(fault.status);
                http::Error::new(status.expect("a status of an error"), fault)
            };
            let request = convert::request_into_wire_absolute(req).await;
            let response = self.0.fetch(request.map_err(error)?).await;
            let response = convert::response_from_wire(response.map_err(error)?);
            response.map(Into::into).map_err(error)
        }
    }
}

/// The tests of a client, each with separate vlugins.
macro_rules! conversation {
    ($which:ident) => {
        mod $which {
            use super::*;
            use crate::$which::{client, conversation, surf};

            /// Runs the case of the conversation that its path names.
            struct Talks;

            impl Vlugin for Talks {
                type Config = Value;

                async fn on_create(_: Value, _: &mut Context) -> http::Result<Self> {
                    Ok(Self)
                }

                async fn on_request(
                    &self,
                    cx: &Context,
                    req: http::Request,
                ) -> http::Result<http::Response> {
                    let case = req.url().path().trim_start_matches('/');
                    match case {
                        "endless" => {
                            let url = "http://server.example/endless";
                            Ok(client(cx).get(url).await?.take_body().into())
                        }
                        "pass-on" => {
                            let url = "http://server.example/echo-stream";
                            let endless = futures_lite::stream::repeat_with(|| Ok("piece "));
                            let sent = client(cx).post(url).body(streaming(endless));
                            Ok(sent.await?.take_body().into())
                        }
                        "no-url" => client(cx).get("no URL").await.map(Into::into),
                        "debug" => {
                            let client = client(cx);
                            let builder = client.get(FORBIDDEN);
                            let req = surf::Request::from(client.get(FORBIDDEN));
                            assert!(format!("{builder:?} {req:?}").contains("forbidden.example"));
                            Ok(format!("{client:?}").into())
                        }
                        case => {
                            let answer =
                                conversation::ask(client(cx), case, "http://server.example");
                            answer.await.map(Into::into)
                        }
                    }
                }
            }

            fn ask(case: &str) -> TestResponse {
                TestHost::new()
                    .on_fetch(server::server)
                    .create(Entry::of::<Talks>("talks", "0.1.0"))
                    .get(&format!("/{case}"))
            }

            #[test]
            fn each_case_is_answered_as_it_has_to_be() {
                let mut wrong = Vec::new();
                for &(case, status, body) in CASES {
                    let mut response = ask(case);
                    // The text of an error is the host's.
                    let text = match response.fault() {
                        None => response.text(),
                        Some(_) => String::new(),
                    };
                    if (response.status(), &*text) != (status, body) {
                        let fault = response.fault();
                        wrong.push(format!("{case}: {} {text} {fault:?}", response.status()));
                    }
                }
                assert!(wrong.is_empty(), "{wrong:#?}");
            }

            #[test]
            fn bodies_stream_both_ways() {
                for case in ["endless", "pass-on"] {
                    let mut response = ask(case);
                    for _ in 0..3 {
                        assert_eq!(response.chunk().unwrap().unwrap(), "piece ", "{case}");
                    }
                }
            }

            #[test]
            fn a_refusal_that_is_passed_on_is_the_vlugins_failure() {
                ask("refused-passed-on")
                    .assert_status(500)
                    .assert_fault("not there");
            }

            #[test]
            fn what_is_no_url_is_one_panic() {
                let response = ask("no-url").assert_status(500);
                assert_eq!(
                    response.fault().unwrap().kind,
                    valor_abi_wire::FaultKind::Panic
                );
            }

            #[test]
            fn what_is_shown_of_it() {
                ask("debug").assert_body("Client {}");
            }
        }
    };
}

/// As the test of each.
mod tests {
    use super::*;
    conversation!(native);
    conversation!(guest);
}

#[test]
fn without_a_context_the_client_is_that_of_the_vlugin_that_runs() {
    struct Free;

    impl Vlugin for Free {
        type Config = Value;

        async fn on_create(_: Value, _: &mut Context) -> http::Result<Self> {
            Ok(Self)
        }

        async fn on_request(&self, _: &Context, _: http::Request) -> http::Result<http::Response> {
            let got = surf::get("http://server.example/new").recv_string().await?;
            let sent = surf::post("http://server.example/new").body("x").await?;
            Ok(format!(
                "{got}, {}",
                surf::client().recv_string(sent_again(sent)).await?
            )
            .into())
        }
    }

    fn sent_again(res: surf::Response) -> surf::Request {
        assert_eq!(res.status(), 200);
        surf::put("http://server.example/new").build()
    }

    TestHost::new()
        .on_fetch(server::server)
        .create(Entry::of::<Free>("free", "0.1.0"))
        .get("/")
        .assert_body("GET this is /new, PUT this is /new");
}
