//! Whose headers are believed, and how much of them.

use super::*;
use proptest::prelude::*;

const TRUSTED: [&str; 3] = ["10.0.0.0/8", "2001:db8::1", "unix"];
const PROXY: &str = "10.0.0.1:5000";
/// The peer of a client that no proxy names.
const NOBODY: &str = "0.0.0.0:0";

/// A head with these headers, as a vlugin gets it.
fn settled(peer: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new("GET", "/").unwrap();
    head.set_peer(peer);
    head.push("host", b"inner.example").unwrap();
    for (name, value) in headers {
        assert!(is_one(name) || *name == "x-other", "{name}");
        head.push(name, value.as_bytes()).unwrap();
    }
    let trusted = TRUSTED.map(|it| it.parse().unwrap());
    settle_forwarded(&mut head, peer, &trusted);
    head
}

/// All values of a header.
fn all(head: &RequestHead, name: &str) -> Vec<String> {
    let values = head.headers().filter(|(it, _)| *it == name);
    values
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[test]
fn networks() {
    for (text, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
        ("10.9.9.9/8", "10.0.0.1", "11.0.0.1"),
        ("192.168.1.7", "192.168.1.7", "192.168.1.8"),
        ("0.0.0.0/0", "1.2.3.4", "::1"),
        ("::1", "::1", "::2"),
        ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.0.0.1", "11.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
    ] {
        let network: TrustedProxy = text.parse().unwrap();
        assert!(network.has(inside.parse().ok()), "{text}");
        assert!(!network.has(outside.parse().ok()), "{text}");
        assert!(!network.has(None), "{text}");
        let again: TrustedProxy = network.to_string().parse().unwrap();
        assert_eq!(again, network);
    }
    let sockets: TrustedProxy = "unix".parse().unwrap();
    assert!(sockets.has(None) && !sockets.has("127.0.0.1".parse().ok()));
    for bad in [
        "",
        "10.0.0.0/33",
        "10.0.0/8",
        "localhost",
        "10.0.0.1:80",
        "*",
        "[::1]",
        "UNIX",
    ] {
        let error = bad.parse::<TrustedProxy>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{bad}` is not a network; write")),
            "{error}"
        );
    }
}

#[test]
fn nobody_else_is_believed() {
    let said: Vec<_> = HEADERS.iter().map(|name| (*name, "1.2.3.4")).collect();
    for stranger in ["11.0.0.1:1", "[2001:db8::2]:1", "127.0.0.1:1", "nonsense"] {
        let mut headers = said.clone();
        headers.extend([(FOR, "5.6.7.8"), (PROTO, "https"), ("x-other", "stays")]);
        let head = settled(stranger, &headers);
        let names: Vec<_> = head.headers().map(|(name, _)| name).collect();
        assert_eq!(names, ["host", "x-other"], "{stranger}");
        assert_eq!(head.peer(), Some(stranger));
        assert!(!head.is_https());
        assert_eq!(head.header_str("host"), Some("inner.example"));
    }
}

#[test]
fn the_client_is_the_rightmost_that_is_not_trusted() {
    for (said, client, kept) in [
        (&["1.2.3.4"][..], "1.2.3.4:0", "1.2.3.4"),
        (&["6.6.6.6, 1.2.3.4"], "1.2.3.4:0", "1.2.3.4"),
        (&["6.6.6.6", "1.2.3.4"], "1.2.3.4:0", "1.2.3.4"),
        (
            &["6.6.6.6,1.2.3.4 , 10.0.0.9"],
            "1.2.3.4:0",
            "1.2.3.4, 10.0.0.9",
        ),
        (
            &["1.2.3.4", "10.0.0.9, 10.0.0.8"],
            "1.2.3.4:0",
            "1.2.3.4, 10.0.0.9, 10.0.0.8",
        ),
        (&["10.0.0.7, 10.0.0.9"], "10.0.0.7:0", "10.0.0.7, 10.0.0.9"),
        (&["1.2.3.4:99"], "1.2.3.4:99", "1.2.3.4:99"),
        (&["2001:db9::1"], "[2001:db9::1]:0", "2001:db9::1"),
        (&["[2001:db9::1]"], "[2001:db9::1]:0", "[2001:db9::1]"),
        (&["[2001:db9::1]:7"], "[2001:db9::1]:7", "[2001:db9::1]:7"),
        (
            &["6.6.6.6, 2001:db8::1"],
            "6.6.6.6:0",
            "6.6.6.6, 2001:db8::1",
        ),
        (&["6.6.6.6, ::ffff:1.2.3.4"], "1.2.3.4:0", "::ffff:1.2.3.4"),
        // A trusted proxy does not name its client.
        (&["6.6.6.6, unknown, 10.0.0.9"], NOBODY, "10.0.0.9"),
        (&["6.6.6.6, , 10.0.0.9"], NOBODY, "10.0.0.9"),
    ] {
        let headers: Vec<_> = said.iter().map(|list| (FOR, *list)).collect();
        for proxy in [PROXY, "[::ffff:10.0.0.1]:1", "[2001:db8::1]:1", ""] {
            let head = settled(proxy, &headers);
            assert_eq!(head.peer(), Some(client), "{said:?} of {proxy}");
            assert_eq!(all(&head, FOR), [kept], "{said:?}");
        }
    }
    for nothing in [
        "",
        "unknown",
        "1.2.3.4, unknown",
        "1.2.3.4, 999.1.1.1",
        "1.2.3.4 5.6.7.8",
        "1.2.3.4,",
    ] {
        for proxy in [PROXY, ""] {
            let head = settled(proxy, &[(FOR, nothing)]);
            assert_eq!(
                (head.peer(), all(&head, FOR).len()),
                (Some(NOBODY), 0),
                "{nothing}"
            );
        }
    }
}

#[test]
fn scheme_and_host() {
    let tells = |headers: &[(&str, &str)]| {
        let head = settled(PROXY, headers);
        let host = head.header_str("host").unwrap().to_owned();
        assert_eq!(all(&head, "host").len(), 1);
        let said = all(&head, HOST);
        assert!(said.is_empty() && host == "inner.example" || said == [host.as_str()]);
        let said = all(&head, PROTO);
        assert!(said.is_empty() || said == [if head.is_https() { "https" } else { "http" }]);
        (head.is_https(), host)
    };
    let is = |is_https, host: &str| (is_https, host.to_owned());
    for (headers, expected) in [
        (&[(PROTO, "https")][..], is(true, "inner.example")),
        (&[(PROTO, "HTTPS")], is(true, "inner.example")),
        (&[(PROTO, "wss")], is(true, "inner.example")),
        (&[(PROTO, "http")], is(false, "inner.example")),
        (&[(PROTO, "ftp")], is(false, "inner.example")),
        (&[(PROTO, "")], is(false, "inner.example")),
        (&[(HOST, "a.example:8443")], is(false, "a.example:8443")),
        (&[(HOST, "[::1]:80")], is(false, "[::1]:80")),
        (&[(HOST, "a/b")], is(false, "inner.example")),
        (&[(HOST, "")], is(false, "inner.example")),
        (&[(HOST, "a\u{e9}")], is(false, "inner.example")),
        // The client's own part comes first and is not believed.
        (
            &[
                (FOR, "6.6.6.6, 1.2.3.4"),
                (PROTO, "https, http"),
                (HOST, "evil, a"),
            ],
            is(false, "a"),
        ),
        (
            &[
                (FOR, "1.2.3.4, 10.0.0.9"),
                (PROTO, "https, http"),
                (HOST, "a, b"),
            ],
            is(true, "a"),
        ),
        (
            &[(FOR, "1.2.3.4, 10.0.0.9"), (PROTO, "https"), (HOST, "a")],
            is(true, "a"),
        ),
    ] {
        assert_eq!(tells(headers), expected, "{headers:?}");
    }
}

#[test]
fn forwarded_as_the_rfc_has_it() {
    for (said, client, is_https, host, kept) in [
        (
            "for=1.2.3.4",
            "1.2.3.4:0",
            false,
            "inner.example",
            "for=1.2.3.4",
        ),
        (
            "For=\"[2001:db9::1]:47\";Proto=https ; host=\"a.example\"",
            "[2001:db9::1]:47",
            true,
            "a.example",
            "For=\"[2001:db9::1]:47\";Proto=https ; host=\"a.example\"",
        ),
        (
            "for=6.6.6.6;host=evil, for=1.2.3.4;proto=http;host=a, for=10.0.0.9;proto=https",
            "1.2.3.4:0",
            false,
            "a",
            "for=1.2.3.4;proto=http;host=a, for=10.0.0.9;proto=https",
        ),
        (
            "for=\"_a,b\", for=\"1.2.3\\.4\"",
            "1.2.3.4:0",
            false,
            "inner.example",
            "for=\"1.2.3\\.4\"",
        ),
        (
            "for=unknown, for=10.0.0.9",
            NOBODY,
            false,
            "inner.example",
            "for=10.0.0.9",
        ),
    ] {
        let head = settled(PROXY, &[(FORWARDED, said)]);
        assert_eq!(head.peer(), Some(client), "{said}");
        assert_eq!(head.is_https(), is_https, "{said}");
        assert_eq!(head.header_str("host"), Some(host), "{said}");
        assert_eq!(all(&head, FORWARDED), [kept], "{said}");
    }
    for nothing in [
        "",
        "for",
        "for=",
        "for=\"1.2.3.4",
        "for=_hidden",
        "proto=https;host=a",
        "for=1.2.3.4, x",
        "for=\"a\", for=\"1.2.3.4",
        "for=1.2.3.4 5",
        "for=\"1.2.3.4\"x",
        "for=1.2.3.4, for=unknown",
    ] {
        let head = settled(PROXY, &[(FORWARDED, nothing)]);
        assert_eq!(head.peer(), Some(NOBODY), "{nothing}");
        assert_eq!(all(&head, FORWARDED).len(), 0, "{nothing}");
        assert_eq!(
            (head.is_https(), head.header_str("host")),
            (false, Some("inner.example"))
        );
    }
}

#[test]
fn one_of_them_is_the_word() {
    // A proxy that writes one of the headers passes a client's other one on.
    let head = settled(PROXY, &[(FORWARDED, "for=6.6.6.6"), (FOR, "1.2.3.4")]);
    assert_eq!(
        (head.peer(), all(&head, FORWARDED).len()),
        (Some("1.2.3.4:0"), 0)
    );
    let head = settled(
        PROXY,
        &[(FORWARDED, "for=6.6.6.6;proto=https"), (PROTO, "http")],
    );
    assert_eq!((head.peer(), head.is_https()), (Some(NOBODY), false));

    let head = settled(PROXY, &[(REAL_IP, "6.6.6.6"), (FOR, "1.2.3.4")]);
    assert_eq!(all(&head, REAL_IP), ["1.2.3.4"]);
    let head = settled(PROXY, &[(REAL_IP, "1.2.3.4")]);
    assert_eq!(
        (head.peer(), all(&head, REAL_IP)),
        (Some("1.2.3.4:0"), vec!["1.2.3.4".into()])
    );
    let head = settled(PROXY, &[(FORWARDED, "for=6.6.6.6"), (REAL_IP, "1.2.3.4")]);
    assert_eq!(
        (head.peer(), all(&head, FORWARDED).len()),
        (Some("1.2.3.4:0"), 0)
    );
    let head = settled(PROXY, &[(REAL_IP, "nobody")]);
    assert_eq!((head.peer(), all(&head, REAL_IP).len()), (Some(NOBODY), 0));
    let head = settled(PROXY, &[("x-forwarded-port", "443")]);
    assert_eq!(all(&head, "x-forwarded-port"), ["443"]);
    assert_eq!(head.peer(), Some(NOBODY));
}

#[test]
fn what_is_no_text_spoils_its_own_part_alone() {
    let mut head = RequestHead::new("GET", "/").unwrap();
    for value in [&b"\xff\xfe, 5.5.5.5"[..], b"\xe9,1.2.3.4"] {
        head.push(FOR, value).unwrap();
    }
    settle_forwarded(&mut head, PROXY, &TRUSTED.map(|it| it.parse().unwrap()));
    assert_eq!(head.peer(), Some("1.2.3.4:0"));
}

proptest! {
    // Whatever a client writes before it, the proxy's entry counts.
    #[test]
    fn what_the_client_adds_makes_no_difference(own in "\\PC{0,60}") {
        for between in [",", ", "] {
            let list = format!("{own}{between}1.2.3.4");
            let head = settled(PROXY, &[(FOR, &list)]);
            prop_assert_eq!(head.peer(), Some("1.2.3.4:0"));
            prop_assert_eq!(all(&head, FOR), ["1.2.3.4"]);

            let list = format!("{own}{between}for=1.2.3.4;host=a");
            let head = settled(PROXY, &[(FORWARDED, &list)]);
            prop_assert_eq!(head.peer(), Some("1.2.3.4:0"));
            prop_assert_eq!(head.header_str("host"), Some("a"));
            prop_assert_eq!(all(&head, FORWARDED), ["for=1.2.3.4;host=a"]);
        }
    }
}
