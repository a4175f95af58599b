//! Which parts of a request's and a response's head get through, and which do not.

use crate::{Server, fetch, fetcher, get, post, text};
use std::sync::mpsc;
use valor_runtime::{Body, Request};

/// Sends a request and returns the head that the server saw.
fn seen(request: impl FnOnce(&str) -> Request) -> crate::server::Head {
    let (heads, seen) = mpsc::channel();
    let server = Server::start(move |_, conn| {
        let head = conn.head().unwrap();
        if head.header("transfer-encoding").is_some() {
            while conn.chunk().is_some() {}
        }
        heads.send(head).unwrap();
        conn.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let response = fetch(&fetcher(), request(&server.url(""))).unwrap();
    assert_eq!(response.head.status(), 204);
    seen.recv().unwrap()
}

#[test]
fn a_request_goes_out_with_its_headers_and_the_host_of_its_url() {
    let head = seen(|base| {
        let mut request = get(&format!("{base}/a%20b/../c?q=1|2#fragment"));
        for (name, value) in [
            ("Accept", &b"text/plain"[..]),
            ("x-two", b"1"),
            ("x-two", b"2"),
            ("x-latin", b"caf\xe9"),
            ("host", b"elsewhere.example"),
            ("content-length", b"7"),
        ] {
            request.head.push(name, value).unwrap();
        }
        request
    });
    assert_eq!(head.line(), "GET /c?q=1|2 HTTP/1.1");
    let host = head.header("host").unwrap();
    assert!(host.starts_with("127.0.0.1:"), "{host}");
    assert_eq!(head.header("accept").unwrap(), "text/plain");
    assert_eq!(head.header("x-two").unwrap(), "1, 2");
    assert_eq!(head.header("x-latin").unwrap(), "caf\u{e9}");
    assert_eq!(head.header("content-length"), None);
    assert_eq!(head.header("transfer-encoding"), None);
}

#[test]
fn headers_of_one_connection_stay_on_it() {
    let head = seen(|base| {
        let mut request = post(base, "x");
        for (name, value) in [
            ("connection", "keep-alive, X-Private , close"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "gzip, chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy-connection", "close"),
            ("x-private", "secret"),
            ("expect", "100-continue"),
            ("x-kept", "yes"),
        ] {
            request.head.push(name, value.as_bytes()).unwrap();
        }
        request
    });
    let names: Vec<_> = head
        .0
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .collect();
    let mut names: Vec<_> = names
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    assert_eq!(names, ["content-length", "host", "x-kept"]);

    let server = Server::always(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-private\r\nkeep-alive: timeout=5\r\n\
         transfer-encoding: chunked\r\ntrailer: x-sum\r\nupgrade: h2c\r\nproxy-authenticate: Basic\r\n\
         x-private: secret\r\nproxy-status: cache\r\nx-kept: yes\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
         \r\n2\r\nok\r\n0\r\n\r\n",
    );
    let response = fetch(&fetcher(), get(&server.url("/"))).unwrap();
    let headers: Vec<_> = response
        .head
        .headers()
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(
        headers,
        ["proxy-status", "x-kept", "set-cookie", "set-cookie"]
    );
    assert_eq!(text(response), "ok");
}

#[test]
fn a_body_is_framed_by_what_is_known_of_it() {
    let head = seen(|base| post(base, Body::empty()));
    assert_eq!(head.header("content-length").unwrap(), "0");

    let empty = || Body::stream(None, futures_lite::stream::empty());
    for method in ["GET", "POST", "DELETE"] {
        let head = seen(|base| {
            let mut request = Request::new(method, base).unwrap();
            request.body = empty();
            request
        });
        assert_eq!(
            head.header("transfer-encoding").unwrap(),
            "chunked",
            "{method}"
        );
        assert_eq!(head.header("content-length"), None, "{method}");
    }
}

#[test]
fn a_redirect_is_a_response_like_any_other() {
    let server = Server::always(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/elsewhere\r\ncontent-length: 5\r\n\r\nmoved",
    );
    let response = fetch(&fetcher(), get(&server.url("/"))).unwrap();
    assert_eq!(response.head.status(), 302);
    let location = response.head.header_str("location");
    assert_eq!(location, Some("http://127.0.0.1:1/elsewhere"));
    assert_eq!(text(response), "moved");
}

#[test]
fn bytes_outside_of_ascii_come_through_in_a_response() {
    let server = Server::start(|_, conn| {
        conn.head();
        conn.send(b"HTTP/1.1 200 \xff\xfe\r\nx-odd: a\xff\t\x80b\r\ncontent-length: 0\r\n\r\n");
    });
    let response = fetch(&fetcher(), get(&server.url("/"))).unwrap();
    assert_eq!(response.head.header("x-odd"), Some(&b"a\xff\t\x80b"[..]));
}

#[test]
fn what_cannot_be_sent_is_a_bad_request() {
    for (url, reason) in [
        ("/relative", "relative URL"),
        ("ftp://example.com/", "neither `http` nor `https`"),
        ("http:///", "empty host"),
        ("http://a:99999/", "port"),
        ("http://user:secret@example.com/", "`authorization`"),
        ("http://secret@example.com/", "`authorization`"),
        ("http://exa%00mple.com/", "domain"),
    ] {
        let fault = fetch(&fetcher(), get(url)).unwrap_err();
        assert_eq!(fault.status, 400, "{url}: {fault}");
        assert!(fault.message.contains(reason), "{url}: {fault}");
        assert!(!fault.message.contains("secret"), "{url}: {fault}");
    }
    let server = Server::always("HTTP/1.1 204 No Content\r\n\r\n");
    let mut request = get(&server.url("/"));
    request.head.push("x-odd", b"\x01").unwrap();
    let fault = fetch(&fetcher(), request).unwrap_err();
    assert_eq!(
        (fault.status, fault.message.contains("`x-odd`")),
        (400, true)
    );
    let request = Request::new("CONNECT", &server.url("/")).unwrap();
    assert_eq!(fetch(&fetcher(), request).unwrap_err().status, 400);
    assert_eq!(server.accepted(), 0);
}

#[test]
fn a_response_that_is_none_is_a_bad_gateway() {
    for response in [
        "",
        "HTTP/1.1 200 OK\r\nx-half: ",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 999999 No\r\n\r\n",
        "HTTP/1.1 700 Beyond\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nxx",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ] {
        let server = Server::start(move |_, conn| {
            conn.head();
            conn.send(response);
        });
        let fault = fetch(&fetcher(), get(&server.url("/"))).unwrap_err();
        assert_eq!(fault.status, 502, "{response:?}: {fault}");
        let place = server.address.to_string();
        assert!(fault.message.contains(&place), "{response:?}: {fault}");
        assert_eq!(server.accepted(), 1, "{response:?}");
    }
}

#[test]
fn a_head_without_an_end_is_not_read_for_ever() {
    let server = Server::start(|_, conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\nx-long: ");
        while conn.try_send([b'a'; 65536]) {}
    });
    let fault = fetch(&fetcher(), get(&server.url("/"))).unwrap_err();
    assert_eq!(fault.status, 502, "{fault}");
    assert!(
        fault.message.contains("128 headers or 409600 bytes"),
        "{fault}"
    );
}

#[test]
fn a_url_that_is_too_long_is_refused_with_the_limit() {
    let server = Server::always("HTTP/1.1 204 No Content\r\n\r\n");
    let of_length = |len: usize| {
        fetch(
            &fetcher(),
            get(&server.url(&format!("/{}", "a".repeat(len - 1)))),
        )
    };
    assert_eq!(of_length(65_534).unwrap().head.status(), 204);
    let fault = of_length(65_535).unwrap_err();
    assert_eq!(fault.status, 400);
    let reason = "its path and query have 65535 bytes, more than the 65534 that are sent";
    assert!(fault.message.ends_with(reason), "{fault}");
    // The log line is shorter than the URL.
    assert!(fault.message.len() < 500, "{fault}");
}

#[test]
fn a_response_may_have_as_many_headers_as_a_request_to_the_server() {
    let answer = |headers: usize| {
        let lines: String = (0..headers).map(|n| format!("x-{n}: {n}\r\n")).collect();
        let response = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let server = Server::start(move |_, conn| {
            conn.head();
            conn.send(&response);
        });
        fetch(&fetcher(), get(&server.url("/")))
    };
    let most = answer(128).unwrap();
    assert_eq!(most.head.headers().count(), 128);
    assert_eq!(most.head.header_str("x-127"), Some("127"));
    let fault = answer(129).unwrap_err();
    assert_eq!(fault.status, 502);
    assert!(
        fault.message.contains("128 headers or 409600 bytes"),
        "{fault}"
    );
}

#[test]
fn a_responses_headers_have_a_limit_in_bytes() {
    let answer = |len: usize| {
        let value = "a".repeat(len - "x-long: \r\n".len());
        let response = format!("HTTP/1.1 204 No Content\r\nx-long: {value}\r\n\r\n");
        let server = Server::start(move |_, conn| {
            conn.head();
            conn.send(&response);
        });
        fetch(&fetcher(), get(&server.url("/")))
    };
    assert_eq!(answer(409_600).unwrap().head.status(), 204);
    for len in [409_601, 500_001] {
        let fault = answer(len).unwrap_err();
        assert_eq!(fault.status, 502);
        let why = format!("its head has {len} bytes, more than 409600, which is the limit");
        let unread = "its head has more than 128 headers or 409600 bytes, which is the limit";
        assert!(
            fault.message.ends_with(&why) || fault.message.ends_with(unread),
            "{fault}"
        );
    }
}

#[test]
fn what_a_recipient_has_to_put_right_is_put_right() {
    for (line, name, value) in [
        ("x-folded: a\r\n b\r\n\t c", "x-folded", "a b c"),
        ("x-folded:\r\n  a", "x-folded", "a"),
        ("x-space : a", "x-space", "a"),
        ("x-tab\t: a", "x-tab", "a"),
    ] {
        let response =
            format!("HTTP/1.1 200 OK\r\n{line}\r\ncontent-length : 2\r\nx-last: z\r\n\r\nok");
        let server = Server::start(move |_, conn| {
            conn.head();
            conn.send(&response);
        });
        let response = fetch(&fetcher(), get(&server.url("/"))).unwrap();
        assert_eq!(response.head.header_str(name), Some(value), "{line:?}");
        assert_eq!(response.head.header_str("x-last"), Some("z"), "{line:?}");
        assert_eq!(text(response), "ok", "{line:?}");
    }
}
