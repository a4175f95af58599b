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
