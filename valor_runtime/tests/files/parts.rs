//! Parts of files, large files, and files that change while they are sent.

use super::*;
use std::io::ErrorKind;

const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

fn range(value: &str) -> [(&str, &str); 1] {
    [("range", value)]
}

#[test]
fn a_part() {
    let site = Site::new(&[("a.txt", ALPHABET), ("empty.txt", b"")]);
    for (value, place, body) in [
        ("bytes=0-2", "bytes 0-2/26", "abc"),
        ("bytes=23-", "bytes 23-25/26", "xyz"),
        ("bytes=-1", "bytes 25-25/26", "z"),
        ("bytes=24-1000", "bytes 24-25/26", "yz"),
        ("bytes=1-1,100-200", "bytes 1-1/26", "b"),
    ] {
        let answer = site.ask("/site/a.txt", &range(value));
        assert_eq!((answer.status, answer.text()), (206, body), "{value}");
        assert_eq!(answer.header("content-range"), Some(place));
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(answer.header("etag").is_some());
    }
    for whole in ["bytes=3-1", "bytes=a", "lines=1-2", "bytes=0-5,4-9"] {
        let answer = site.ask("/site/a.txt", &range(whole));
        assert_eq!((answer.status, &*answer.body), (200, ALPHABET), "{whole}");
        assert_eq!(answer.header("content-range"), None);
    }
    let answer = site.ask("/site/a.txt", &range("bytes=26-"));
    assert_eq!(answer.status, 416);
    assert_eq!(answer.header("content-range"), Some("bytes */26"));
    assert_eq!(answer.json()["status"], 416);
    assert_eq!(site.ask("/site/empty.txt", &range("bytes=0-")).status, 416);

    let mut connection = site.serving.connect();
    let head = "HEAD /site/a.txt HTTP/1.1\r\nhost: a\r\nrange: bytes=0-1\r\n\r\n";
    connection.write(head.as_bytes()).unwrap();
    let answer = connection.read_head().unwrap();
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("26"))
    );
}

#[test]
fn several_parts() {
    let site = Site::new(&[("a.txt", ALPHABET)]);
    let answer = site.ask("/site/a.txt", &range("bytes=20-21, 0-0,-2"));
    assert_eq!(answer.status, 206);
    assert_eq!(answer.header("content-range"), None);
    let media = answer.header("content-type").unwrap();
    let boundary = media
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |place: &str, body: &str| {
        format!(
            "--{boundary}\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-range: bytes {place}/26\r\n\r\n{body}\r\n"
        )
    };
    let expected = [
        part("20-21", "uv"),
        part("0-0", "a"),
        part("24-25", "yz"),
        format!("--{boundary}--\r\n"),
    ];
    assert_eq!(answer.text(), expected.concat());
    let other = site.ask("/site/a.txt", &range("bytes=0-0,2-2"));
    assert_ne!(
        other.header("content-type"),
        Some(media),
        "another boundary"
    );

    let many: Vec<_> = (0..17).map(|at| format!("{at}-{at}")).collect();
    let answer = site.ask("/site/a.txt", &range(&format!("bytes={}", many.join(","))));
    assert_eq!((answer.status, &*answer.body), (200, ALPHABET));
}

#[test]
fn a_part_of_the_same_file_alone() {
    let site = Site::new(&[("a.txt", ALPHABET)]);
    let first = site.get("/site/a.txt");
    let etag = first.header("etag").unwrap();
    let date = first.header("last-modified").unwrap();
    let weak = format!("W/{etag}");
    // Another file may have the same date.
    for (value, status) in [
        (etag, 206),
        (date, 200),
        ("\"x\"", 200),
        ("W/\"x\"", 200),
        (&*weak, 200),
    ] {
        let headers = [("range", "bytes=0-2"), ("if-range", value)];
        assert_eq!(site.ask("/site/a.txt", &headers).status, status, "{value}");
    }
    let headers = [("range", "bytes=0-2"), ("if-none-match", etag)];
    assert_eq!(site.ask("/site/a.txt", &headers).status, 304);
    let headers = [("range", "bytes=99-"), ("if-match", "\"x\"")];
    assert_eq!(site.ask("/site/a.txt", &headers).status, 412);
    // The whole file would be sent, so no part can be wrong.
    let headers = [("range", "bytes=99-"), ("if-range", "\"x\"")];
    assert_eq!(site.ask("/site/a.txt", &headers).status, 200);
}

#[test]
fn a_large_file_has_a_weak_tag() {
    let site = Site::new(&[("large.bin", &noise(2_000_000))]);
    let etag = site
        .head("/site/large.bin")
        .header("etag")
        .unwrap()
        .to_owned();
    assert!(etag.starts_with("W/\""), "{etag}");
    let asked = |headers: &[(&str, &str)]| site.ask("/site/large.bin", headers).status;
    assert_eq!(asked(&[("if-none-match", &etag)]), 304);
    assert_eq!(asked(&[("if-match", &etag)]), 412);
    assert_eq!(asked(&range("bytes=0-9")), 206);
    assert_eq!(asked(&[("range", "bytes=0-9"), ("if-range", &etag)]), 200);
}

#[test]
fn large_files_arrive_whole_and_in_parts() {
    const PIECE: usize = 128 * 1024;
    let sizes = [
        PIECE - 1,
        PIECE,
        PIECE + 1,
        2 * PIECE,
        2 * PIECE + 1,
        3_000_001,
    ];
    let bytes = noise(3_000_001);
    let site = Site::new(&[]);
    let mut connection = site.serving.connect();
    for size in sizes {
        write(&site.folder().join("large.bin"), &bytes[..size]);
        let answer = connection.get("/site/large.bin").unwrap();
        assert_eq!(answer.header("content-length"), Some(&*size.to_string()));
        assert!(answer.body == bytes[..size], "{size}");
    }
    let parts = [(1_000_000, 1_500_000), (0, 200_000), (2_999_999, 3_000_001)];
    for (start, end) in parts {
        let value = format!("bytes={start}-{}", end - 1);
        let answer = connection
            .send("GET", "/site/large.bin", &range(&value), b"")
            .unwrap();
        assert_eq!(answer.status, 206);
        assert!(answer.body == bytes[start..end], "{value}");
    }
    let value = "bytes=1000000-1499999,0-199999,2999999-";
    let answer = connection
        .send("GET", "/site/large.bin", &range(value), b"")
        .unwrap();
    assert_eq!(answer.status, 206);
    let mut rest = &answer.body[..];
    for (start, end) in parts {
        let at = rest.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        rest = &rest[at..];
        assert!(rest[..end - start] == bytes[start..end]);
        rest = &rest[end - start..];
    }
    assert!(rest.starts_with(b"\r\n--") && rest.ends_with(b"--\r\n"));
}

#[test]
fn a_file_that_becomes_shorter_breaks_off() {
    let site = Site::new(&[("large.bin", &noise(64 * 1024 * 1024))]);
    let mut connection = site.serving.connect();
    connection
        .write(b"GET /site/large.bin HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let head = connection.read_head().unwrap();
    assert_eq!(head.header("content-length"), Some("67108864"));
    // The unread rest of the file is more than the sockets hold.
    let file = fs::File::options()
        .write(true)
        .open(site.folder().join("large.bin"));
    file.unwrap().set_len(1000).unwrap();
    let error = connection.read_body(67_108_864).unwrap_err();
    let is_cut = matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
    );
    assert!(is_cut, "{error}");
    // The server still works.
    assert_eq!(site.get("/site/large.bin").body.len(), 1000);
}
