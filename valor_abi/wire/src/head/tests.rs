use super::*;
use proptest::prelude::*;

#[test]
fn the_path_of_every_form_of_target() {
    for (target, path) in [
        ("/", "/"),
        ("/a/b?c=/d", "/a/b"),
        ("http://example.com", "/"),
        ("http://example.com?x=1", "/"),
        ("http://example.com/a?x", "/a"),
        ("/redirect?to=http://b/", "/redirect"),
        ("//a//b", "//a//b"),
        ("*", "*"),
    ] {
        assert_eq!(RequestHead::new("GET", target).unwrap().path(), path);
    }
}

#[test]
fn refuses_what_would_split_a_response() {
    let mut head = ResponseHead::new(200).unwrap();
    let before = head.clone();
    for (name, value) in [
        ("a b", &b"x"[..]),
        ("", b"x"),
        ("a:", b"x"),
        ("ok", b"x\r\nset-cookie: y"),
        ("ok", b"\0"),
    ] {
        assert!(head.push(name, value).is_err(), "{name:?} {value:?}");
    }
    assert_eq!(head, before);
    assert!(ResponseHead::new(99).is_err());
    assert!(RequestHead::new("GE T", "/").is_err());
    assert!(RequestHead::new("GET", "/a b").is_err());
}

#[test]
fn target_and_peer_change_without_touching_the_headers() {
    let mut head = RequestHead::new("PUT", "/one/two?q").unwrap();
    head.push("X-One", b"1").unwrap();
    head.set_peer("127.0.0.1:99");
    head.set_target("/two?q").unwrap();
    head.set("x-one", b"2").unwrap();
    assert_eq!(head.target(), "/two?q");
    assert_eq!(head.peer(), Some("127.0.0.1:99"));
    assert_eq!(head.headers().collect::<Vec<_>>(), [("x-one", &b"2"[..])]);
    assert_eq!(RequestHead::parse(head.as_bytes().to_vec()).unwrap(), head);
}

proptest! {
    #[test]
    fn what_was_built_parses_back(
        method in "[A-Z]{1,12}",
        target in "/[!-~]{0,80}",
        headers in proptest::collection::vec(("[a-z-]{1,20}", "[ -~]{0,60}"), 0..20),
    ) {
        let mut head = RequestHead::new(&method, &target).unwrap();
        for (name, value) in &headers {
            head.push(name, value.as_bytes()).unwrap();
        }
        let parsed = RequestHead::parse(head.into_bytes()).unwrap();
        prop_assert_eq!(parsed.method(), method);
        prop_assert_eq!(parsed.target(), target);
        let seen: Vec<_> = parsed.headers()
            .map(|(n, v)| (n.to_owned(), String::from_utf8(v.to_vec()).unwrap()))
            .collect();
        prop_assert_eq!(seen, headers);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for kind in [KIND_REQUEST, KIND_RESPONSE] {
            if let Some(first) = bytes.first_mut() { *first = kind; }
            if let Ok(head) = RequestHead::parse(bytes.clone()) {
                let _ = (head.path(), head.headers().count());
            }
            if let Ok(head) = ResponseHead::parse(bytes.clone()) {
                let _ = (head.status(), head.headers().count());
            }
        }
    }
}
