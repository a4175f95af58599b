//! The allow-list against real names and addresses: a refused request never makes a connection.

use crate::{Server, fetcher, get, text};
use futures_lite::future::block_on;
use valor_runtime::{Fault, FaultKind, Response, host::allow::Allow};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn allow(entries: &[String]) -> Allow {
    Allow::parse(entries).unwrap()
}

fn refused(fetched: Result<Response, Fault>, parts: &[&str]) {
    let fault = fetched.unwrap_err();
    assert_eq!(
        (fault.kind, fault.status),
        (FaultKind::Refused, 403),
        "{fault}"
    );
    for part in parts {
        assert!(fault.message.contains(part), "`{part}` is not in: {fault}");
    }
}

#[test]
fn only_what_is_named_is_reached() {
    let server = Server::always(HELLO);
    let port = server.address.port();
    let by_name = format!("http://localhost:{port}/");
    let by_address = server.url("/");
    let fetcher = fetcher();
    let fetch = |url: &str, allow: &Allow| block_on(fetcher.fetch(get(url), allow));

    let named = allow(&[format!("localhost:{port}")]);
    let entry = format!("\"127.0.0.1:{port}\"");
    refused(
        fetch(&by_address, &named),
        &["127.0.0.1", &entry, "`allow`"],
    );
    refused(
        fetch(&by_name, &allow(&["localhost:1".into()])),
        &["localhost"],
    );
    refused(fetch(&by_name, &Allow::none()), &["localhost"]);
    assert_eq!(server.accepted(), 0);

    assert_eq!(text(fetch(&by_name, &named).unwrap()), "hello");
    let named = allow(&[format!("127.0.0.1:{port}")]);
    assert_eq!(text(fetch(&by_address, &named).unwrap()), "hello");
    // The same address in another spelling.
    let odd = format!("http://0x7f.0.0.1:{port}/");
    assert_eq!(text(fetch(&odd, &named).unwrap()), "hello");
}

#[test]
fn a_wildcard_opens_no_way_inside_even_behind_a_name() {
    let server = Server::always(HELLO);
    let port = server.address.port();
    let by_name = format!("http://localhost:{port}/");
    let fetcher = fetcher();
    let fetch = |url: &str, allow: &Allow| block_on(fetcher.fetch(get(url), allow));
    let wild = allow(&["*".into()]);

    // Known only once the name is resolved.
    let entry = format!("\"localhost:{port}\"");
    refused(fetch(&by_name, &wild), &["localhost", "loopback", &entry]);
    // Known at once, in all spellings.
    for host in [
        "127.0.0.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "169.254.169.254",
    ] {
        let url = format!("http://{host}:{port}/");
        refused(fetch(&url, &wild), &["must be named"]);
    }
    assert_eq!(server.accepted(), 0);

    // A connection that another vlugin left behind is no way in.
    assert_eq!(text(fetch(&by_name, &Allow::all()).unwrap()), "hello");
    refused(fetch(&by_name, &wild), &["loopback"]);
    assert_eq!(
        text(fetch(&by_name, &wild.clone().with_inside()).unwrap()),
        "hello"
    );
    let both = allow(&["*".into(), format!("LocalHost:{port}")]);
    assert_eq!(text(fetch(&by_name, &both).unwrap()), "hello");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn ipv6_is_reached_by_its_address() {
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else {
        // This machine has no IPv6. The table in `host::allow` checks the rules anyway.
        return;
    };
    drop(probe);
    let server = Server::on("[::1]:0", |_, conn| {
        while conn.head().is_some() {
            conn.send(HELLO);
        }
    });
    let port = server.address.port();
    let url = format!("http://[::1]:{port}/");
    let fetcher = fetcher();
    let named = allow(&[format!("[0:0::1]:{port}")]);
    assert_eq!(
        text(block_on(fetcher.fetch(get(&url), &named)).unwrap()),
        "hello"
    );
    let other = allow(&["[::2]".into()]);
    refused(block_on(fetcher.fetch(get(&url), &other)), &["[::1]"]);
}
