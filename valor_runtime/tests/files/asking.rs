//! Files, folders, methods, conditions.

use super::*;
use std::time::UNIX_EPOCH;

const FILES: &[(&str, &[u8])] = &[
    ("index.html", b"<h1>home</h1>"),
    ("style.css", b"h1 {}"),
    ("empty", b""),
    ("docs/index.html", b"<h1>docs</h1>"),
    ("docs/a b.txt", b"with a space"),
    ("bare/only.txt", b"only"),
    ("100%.txt", b"percent"),
];

#[test]
fn files_and_folders() {
    let site = Site::new(FILES);
    for (target, media, body) in [
        ("/site/", "text/html; charset=utf-8", "<h1>home</h1>"),
        (
            "/site/index.html",
            "text/html; charset=utf-8",
            "<h1>home</h1>",
        ),
        ("/site/style.css?v=1", "text/css; charset=utf-8", "h1 {}"),
        ("/site/empty", "application/octet-stream", ""),
        ("/site/docs/", "text/html; charset=utf-8", "<h1>docs</h1>"),
        (
            "/site/docs/a%20b.txt",
            "text/plain; charset=utf-8",
            "with a space",
        ),
        (
            "/site/bare/../docs/",
            "text/html; charset=utf-8",
            "<h1>docs</h1>",
        ),
        ("/site/100%25.txt", "text/plain; charset=utf-8", "percent"),
    ] {
        let answer = site.get(target);
        assert_eq!((answer.status, answer.text()), (200, body), "{target}");
        assert_eq!(answer.header("content-type"), Some(media), "{target}");
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("x-valor-plugin"), Some("site"));
        assert_eq!(answer.header("cache-control"), None);

        let head = site.head(target);
        assert_eq!(head.status, 200, "{target}");
        for name in ["content-type", "content-length", "etag", "last-modified"] {
            assert!(answer.header(name).is_some(), "{target}: {name}");
            assert_eq!(head.header(name), answer.header(name), "{target}: {name}");
        }
    }
    for target in [
        "/site/bare/",
        "/site/nothing",
        "/site/style.css/",
        "/site/style.css/x",
        "/site//style.css",
    ] {
        let answer = site.get(target);
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(site.head(target).status, 404, "{target}");
    }
}

#[test]
fn a_folder_ends_with_a_slash() {
    let site = Site::new(FILES);
    for (target, location) in [
        ("/site", "/site/"),
        ("/site?a=b/c", "/site/?a=b/c"),
        ("/site/docs", "/site/docs/"),
        ("/site/docs?x", "/site/docs/?x"),
        ("/site/./bare", "/site/bare/"),
    ] {
        for answer in [site.get(target), site.head(target)] {
            assert_eq!(answer.status, 301, "{target}");
            assert_eq!(answer.header("location"), Some(location), "{target}");
            assert_eq!(answer.header("x-valor-plugin"), Some("site"));
            assert!(answer.header("x-correlation-id").is_some());
        }
    }
    assert_eq!(site.get("/site/").status, 200);

    let at_root = Site::with(r#", "prefix": "/""#, FILES);
    assert_eq!(at_root.get("/").text(), "<h1>home</h1>");
    assert_eq!(at_root.get("/docs").header("location"), Some("/docs/"));
    assert_eq!(
        at_root.get("//docs").status,
        404,
        "which would be another host's"
    );

    let deep = Site::with(r#", "prefix": "/a/b""#, FILES);
    assert_eq!(deep.get("/a/b").header("location"), Some("/a/b/"));
    assert_eq!(deep.get("/a/b/docs").header("location"), Some("/a/b/docs/"));
    let mut connection = deep.serving.connect();
    let forged = [("x-forwarded-prefix", "//evil.example")];
    let answer = connection.send("GET", "/a/b/docs", &forged, b"").unwrap();
    assert_eq!(answer.header("location"), Some("/a/b/docs/"));
}

#[test]
fn files_are_there_to_be_read_alone() {
    let site = Site::new(FILES);
    let mut connection = site.serving.connect();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for target in ["/site/style.css", "/site/nothing", "/site"] {
            let answer = connection.send(method, target, &[], b"x").unwrap();
            assert_eq!(answer.status, 405, "{method} {target}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
    let answer = connection
        .send("OPTIONS", "/site/style.css", &[], b"")
        .unwrap();
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(connection.get("/site/style.css").unwrap().text(), "h1 {}");
}

#[test]
fn a_client_that_has_it_does_not_get_it_again() {
    let site = Site::with(r#", "config": { "cache_control": "max-age=60" }"#, FILES);
    let first = site.get("/site/style.css");
    let etag = first.header("etag").unwrap();
    let date = first.header("last-modified").unwrap();
    assert!(etag.starts_with('"'), "{etag}");
    assert_eq!(first.header("cache-control"), Some("max-age=60"));

    for (headers, status) in [
        (&[("if-none-match", etag)][..], 304),
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-modified-since", date)], 304),
        (
            &[("if-none-match", "\"x\""), ("if-modified-since", date)],
            200,
        ),
        (&[("if-match", etag)], 200),
        (&[("if-match", "\"x\"")], 412),
        (
            &[("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")],
            412,
        ),
        (&[("if-none-match", "*")], 304),
    ] {
        let answer = site.ask("/site/style.css", headers);
        assert_eq!(answer.status, status, "{headers:?}");
        let expected = (status != 412).then_some(etag);
        assert_eq!(answer.header("etag"), expected, "{headers:?}");
        if status == 304 {
            assert_eq!(answer.header("content-type"), None);
            assert_eq!(answer.header("cache-control"), Some("max-age=60"));
        }
    }
    // There is nothing for a condition to apply to.
    assert_eq!(
        site.ask("/site/nothing", &[("if-match", "\"x\"")]).status,
        404
    );
    assert_eq!(
        site.ask("/site/docs", &[("if-none-match", "*")]).status,
        301
    );
}

#[test]
fn a_change_is_seen() {
    let site = Site::new(FILES);
    let tag = |answer: Answer| answer.header("etag").unwrap().to_owned();
    let before = tag(site.get("/site/style.css"));
    assert_eq!(tag(site.get("/site/style.css")), before);

    // Of the same length.
    fs::write(site.folder().join("style.css"), "h2 {}").unwrap();
    let to_come = SystemTime::now() + Duration::from_secs(1_000_000);
    changed(&site.folder().join("style.css"), to_come);
    let fresh = site.ask("/site/style.css", &[("if-none-match", &before)]);
    assert_eq!((fresh.status, fresh.text()), (200, "h2 {}"));
    let fresh = tag(fresh);
    // It depends on the bytes, and on nothing else.
    assert!(fresh.starts_with('"') && fresh != before, "{fresh}");
    changed(
        &site.folder().join("style.css"),
        UNIX_EPOCH + Duration::from_secs(1_000_000_000),
    );
    let settled = site.ask("/site/style.css", &[("if-none-match", &fresh)]);
    assert_eq!(settled.status, 304);
    assert_eq!(
        settled.header("last-modified"),
        Some("Sun, 09 Sep 2001 01:46:40 GMT")
    );
    fs::write(site.folder().join("style.css"), "h1 {}").unwrap();
    assert_eq!(tag(site.get("/site/style.css")), before);

    // A time that HTTP cannot express, and one in the future.
    let style = site.folder().join("style.css");
    changed(&style, UNIX_EPOCH - Duration::from_secs(1));
    let answer = site.get("/site/style.css");
    assert_eq!((answer.status, answer.header("last-modified")), (200, None));
    changed(&style, to_come);
    let answer = site.get("/site/style.css");
    let modified = httpdate::parse_http_date(answer.header("last-modified").unwrap());
    assert!(modified.unwrap() <= SystemTime::now());
}

#[test]
fn a_folder_that_is_replaced_as_a_whole_is_seen() {
    let site = Site::new(FILES);
    assert_eq!(site.get("/site/style.css").text(), "h1 {}");
    fs::rename(site.folder(), site.dir.path().join("old")).unwrap();
    let gone = site.get("/site/style.css");
    assert_eq!(gone.status, 404, "{}", gone.text());
    write(&site.folder().join("style.css"), b"new");
    assert_eq!(site.get("/site/style.css").text(), "new");
}

#[test]
fn a_folder_that_is_replaced_by_one_of_the_same_times_is_seen() {
    // As after a reproducible build: different bytes, and everything else equal.
    let large = noise(2 * 1024 * 1024);
    let mut other = large.clone();
    *other.last_mut().unwrap() ^= 1;
    let site = Site::new(&[("small.js", b"one"), ("large.bin", &large)]);
    let time = SystemTime::now() - Duration::from_secs(86_400);
    let targets = ["small.js", "large.bin"];
    for file in targets {
        changed(&site.folder().join(file), time);
    }
    let tag = |file: &str| {
        let answer = site.head(&format!("/site/{file}"));
        answer.header("etag").unwrap().to_owned()
    };
    let before = targets.map(tag);
    let date = site
        .head("/site/small.js")
        .header("last-modified")
        .unwrap()
        .to_owned();

    fs::rename(site.folder(), site.dir.path().join("old")).unwrap();
    for (file, bytes) in [("small.js", &b"two"[..]), ("large.bin", &other)] {
        write(&site.folder().join(file), bytes);
        changed(&site.folder().join(file), time);
    }
    assert_eq!(
        site.head("/site/small.js").header("last-modified"),
        Some(&*date)
    );
    for (file, before) in targets.iter().zip(&before) {
        let target = format!("/site/{file}");
        let answer = site.ask(&target, &[("if-none-match", before)]);
        assert_eq!(answer.status, 200, "{file} {before}");
        // No part of one version is joined to a part of the other.
        for condition in [&**before, &date] {
            let headers = [("range", "bytes=1-2"), ("if-range", condition)];
            assert_eq!(
                site.ask(&target, &headers).status,
                200,
                "{file} {condition}"
            );
        }
    }
}

#[test]
fn a_page_for_all_that_is_not_there() {
    let keys = r#", "config": { "index": "home.html", "fallback": "app/app.html" }"#;
    let files: &[(&str, &[u8])] = &[
        ("home.html", b"home"),
        ("app/app.html", b"app"),
        ("assets/x.js", b"x"),
        ("index.html", b"index"),
    ];
    let site = Site::with(keys, files);
    for (target, body) in [
        ("/site/", "home"),
        ("/site/index.html", "index"),
        ("/site/users/7", "app"),
        ("/site/users/john.doe/", "app"),
        ("/site/assets/", "app"),
        ("/site/assets/x.js", "x"),
    ] {
        let answer = site.get(target);
        assert_eq!((answer.status, answer.text()), (200, body), "{target}");
    }
    assert_eq!(
        site.get("/site/users/7").header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let etag = site.get("/site/users/7").header("etag").unwrap().to_owned();
    assert_eq!(
        site.ask("/site/users/8", &[("if-none-match", &etag)])
            .status,
        304
    );
    for never in ["/site/.env", "/site/a%2fb", "/site/a//b"] {
        assert_eq!(site.get(never).status, 404, "{never}");
    }
}

#[test]
fn another_vlugin_may_ask() {
    let site = Site::new(FILES);
    let runtime = load(site.dir.path(), "").unwrap();
    let req = valor_runtime::http::Request::new(
        valor_runtime::http::Method::Get,
        "http://localhost/site/docs/",
    );
    let mut res = smol::block_on(runtime.handle(req));
    assert_eq!(smol::block_on(res.body_string()).unwrap(), "<h1>docs</h1>");
}
