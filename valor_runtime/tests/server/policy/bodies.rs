//! The rows about bodies: lengths, chunks, expectations, pipelined requests.

use super::*;

pub fn rows() -> Vec<Row> {
    let bad = &[Refused(400)][..];
    let ok = |seen| Says(200, seen);
    let chunked = |body: &str| post(&format!("transfer-encoding: chunked\r\n\r\n{body}"));
    let length = |value: &str| post(&format!("content-length: {value}\r\n\r\nhello"));
    vec![
        row("a length", length("5"), &[ok("POST / host=a body=hello")]),
        row(
            "an empty body",
            post("content-length: 0\r\n\r\n"),
            &[ok("POST / host=a body=")],
        ),
        row(
            "both framings",
            post("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            bad,
        ),
        row(
            "both framings, an unknown coding",
            post("transfer-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"),
            bad,
        ),
        row("lengths that differ", length("5\r\ncontent-length: 6"), bad),
        row("a list of lengths that differ", length("5, 6"), bad),
        row(
            "the same length twice",
            length("5\r\ncontent-length: 5"),
            &[ok("body=hello")],
        ),
        row(
            "a list of the same length",
            length("5, 5"),
            &[ok("body=hello")],
        ),
        row("a length with a sign", length("+5"), bad),
        row("a negative length", length("-1"), bad),
        row("an empty length", length(""), bad),
        row("a length with an empty element", length("5,"), bad),
        row("a hexadecimal length", length("0x5"), bad),
        row("a length over 64 bits", length("18446744073709551621"), bad),
        row("a length over 63 bits", length("9223372036854775808"), bad),
        row(
            "gzip",
            post("transfer-encoding: gzip\r\n\r\n"),
            &[Refused(501)],
        ),
        row(
            "gzip, chunked",
            post("transfer-encoding: gzip, chunked\r\n\r\n"),
            &[Refused(501)],
        ),
        row(
            "chunked twice",
            post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"),
            &[Refused(501)],
        ),
        row(
            "chunked on HTTP/1.0",
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            bad,
        ),
        row(
            "chunked",
            chunked("5\r\nhello\r\n0\r\n\r\n"),
            &[ok("POST / host=a body=hello")],
        ),
        row(
            "chunked, in capitals",
            post("Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
            &[ok("body=x")],
        ),
        row(
            "chunks with extensions",
            chunked("5;a=\"b;c\"\r\nhello\r\n06 ;x\r\n world\r\n0;end\r\n\r\n"),
            &[ok("body=hello world")],
        ),
        row(
            "trailers",
            chunked("1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nx-b: ä\r\n\r\n"),
            &[ok("body=x x-sum=1 x-b=\\xc3\\xa4")],
        ),
        row("a size that is not hexadecimal", chunked("g\r\n"), bad),
        row("an empty size", chunked("\r\nx\r\n"), bad),
        row("a negative size", chunked("-1\r\nx\r\n"), bad),
        row(
            "a size with a prefix",
            chunked("0x1\r\nx\r\n0\r\n\r\n"),
            bad,
        ),
        row("a size over 64 bits", chunked("10000000000000000\r\n"), bad),
        row("an endless size", chunked(&"0".repeat(100)), bad),
        row(
            "a size line that ends in LF",
            chunked("1\nx\r\n0\r\n\r\n"),
            bad,
        ),
        row(
            "a size with a space behind it",
            chunked("1 \r\nx\r\n0\r\n\r\n"),
            bad,
        ),
        row(
            "a chunk that is longer than its size",
            chunked("1\r\nxy\r\n0\r\n\r\n"),
            bad,
        ),
        row("a chunk without CR", chunked("1\r\nx\n0\r\n\r\n"), bad),
        row(
            "a control character in an extension",
            chunked("1;\x01\r\nx\r\n"),
            bad,
        ),
        row(
            "endless extensions",
            chunked(&format!("1;{}", "x".repeat(20_000))),
            bad,
        ),
        row("a malformed trailer", chunked("0\r\nx y\r\n\r\n"), bad),
        row("a trailer that ends in LF", chunked("0\r\nx: y\n\r\n"), bad),
        row(
            "endless trailers",
            chunked(&format!("0\r\nx: {}", "x".repeat(9000))),
            &[Refused(431)],
        ),
        row(
            "too many trailers",
            chunked(&format!("0\r\n{}\r\n", "x: y\r\n".repeat(65))),
            &[Refused(431)],
        ),
        row(
            "three requests in one segment",
            [
                get("\r\n"),
                get("\r\n"),
                "GET /3 HTTP/1.1\r\nhost: a\r\n\r\n".into(),
            ]
            .concat(),
            &[ok("GET /"), ok("GET /"), ok("GET /3")],
        ),
        row(
            "POST, then GET",
            [length("5"), get("\r\n")].concat(),
            &[ok("body=hello"), ok("GET / host=a body=")],
        ),
        row(
            "chunked, then GET",
            [chunked("2\r\nhi\r\n0\r\n\r\n"), get("\r\n")].concat(),
            &[ok("body=hi"), ok("GET / host=a body=")],
        ),
        row(
            "chunked with trailers, then GET",
            [chunked("2\r\nhi\r\n0\r\nt: u\r\n\r\n"), get("\r\n")].concat(),
            &[ok("body=hi t=u"), ok("GET / host=a body=")],
        ),
        row(
            "a good request, then a bad one",
            [get("\r\n"), "BAD\r\n\r\n".into()].concat(),
            &[ok("GET /"), Refused(400)],
        ),
    ]
}
