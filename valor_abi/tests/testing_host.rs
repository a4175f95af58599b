//! In a test, requests and responses also have what the host adds.

use valor::{testing::TestHost, *};

/// Repeats a request.
#[vlugin]
pub async fn on_request(req: http::Request) -> String {
    let header = |name| req.header(name).map_or("none", |it| it.as_str());
    format!(
        "{} {} {}",
        header("x-forwarded-prefix"),
        header("x-request-id"),
        req.peer_addr().unwrap_or("nobody")
    )
}

#[test]
fn prefix_id_and_peer_are_those_of_a_host() {
    let vlugin = testing::create(VLUGIN, ());
    for number in [1, 2] {
        let id = format!("{number:032x}");
        vlugin
            .get("/")
            .assert_header("x-correlation-id", &id)
            .assert_header("x-valor-plugin", vlugin_name())
            .assert_body(&format!("/{} {id} 127.0.0.1:50000", vlugin_name()));
    }
    let forged = vlugin
        .request("GET", "/")
        .header("x-forwarded-prefix", "/forged");
    let asked = forged
        .header("x-request-id", "mine")
        .peer("[2001:db8::7]:1");
    asked
        .send()
        .assert_header("x-correlation-id", "mine")
        .assert_body(&format!("/{} mine [2001:db8::7]:1", vlugin_name()));
}

/// The crate's name, which is a vlugin's by default.
fn vlugin_name() -> &'static str {
    VLUGIN.name()
}

#[test]
fn where_it_is_mounted_can_be_said() {
    let at = |prefix| TestHost::new().name("it").prefix(prefix).create(VLUGIN);
    let answered = at("/a/b").get("/").assert_header("x-valor-plugin", "it");
    assert!(answered.header("x-valor-plugin").is_some());
    assert!(at("/a/b").get("/").text().starts_with("/a/b "));
    assert!(at("/").get("/").text().starts_with("none "));
}

/// As a host has it: what a host offers learns it, and no other vlugin does.
#[test]
fn nobody_names_the_caller_but_the_host() {
    /// Calls what the query names, in another's name.
    struct Calls;
    impl Vlugin for Calls {
        type Config = ();

        async fn on_create(_: (), _: &mut Context) -> http::Result<Self> {
            Ok(Self)
        }

        async fn on_request(
            &self,
            cx: &Context,
            req: http::Request,
        ) -> http::Result<http::Response> {
            let own = caller(&req);
            let mut asks = http::Request::get("http://x/");
            asks.insert_header("x-valor-caller", "forged");
            let callee = req.url().query().unwrap_or_default();
            let said = cx.call(callee, asks).await?.body_string().await?;
            Ok(format!("{own} {said}").into())
        }
    }
    fn caller(req: &http::Request) -> String {
        let named = req.header("x-valor-caller");
        named.map_or("nobody", |it| it.as_str()).to_owned()
    }
    let answer = |req: http::Request| async move { caller(&req) };
    let host = TestHost::new().name("it").on_call("_whoami", answer);
    let host = host.on_call("other", answer);
    let vlugin = host.create(Entry::of::<Calls>("calls", "1"));
    for (target, said) in [("/?_whoami", "nobody it"), ("/?other", "nobody nobody")] {
        let forged = vlugin.request("GET", target);
        let forged = forged.header("x-valor-caller", "forged");
        forged.send().assert_body(said);
    }
}

#[test]
fn a_failure_has_its_id_too() {
    #[derive(Debug)]
    struct Fails;
    impl Vlugin for Fails {
        type Config = ();

        async fn on_create(_: (), _: &mut Context) -> http::Result<Self> {
            Ok(Self)
        }

        async fn on_request(&self, _: &Context, _: http::Request) -> http::Result<http::Response> {
            Err(http::Error::from_str(500, "no"))
        }
    }
    let entry = Entry::of::<Fails>("fails", "1");
    let answer = testing::create(entry, ()).get("/").assert_status(500);
    assert_eq!(answer.header("x-valor-plugin"), Some("fails"));
    assert!(answer.header("x-correlation-id").is_some());
}
