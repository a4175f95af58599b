//! The rows about request bodies: lengths, chunks, limits, expectations, and requests pipelined behind them.

use crate::play::{Case, at, case, get, post};

fn bad<S: Into<Vec<u8>>>(cases: impl IntoIterator<Item = (&'static str, S)>) -> Vec<Case> {
    let cases = cases.into_iter();
    cases
        .map(|(name, sent)| case(name, sent).refused(400))
        .collect()
}

fn chunked(body: &str) -> String {
    post(&format!("transfer-encoding: chunked\r\n\r\n{body}"))
}

fn length(value: &str) -> String {
    post(&format!("content-length: {value}\r\n\r\nhello"))
}

const SEEN: &str = "POST / host=a body=";
const HELLO: &str = "POST / host=a body=hello";

pub fn over_the_limit() -> Vec<Case> {
    let small = |rest: &str| at("POST", "/small", rest);
    vec![
        case(
            "as large as may be",
            small("content-length: 10\r\n\r\n0123456789"),
        )
        .body(200, "POST / host=a body=0123456789"),
        case(
            "one byte more",
            small("content-length: 11\r\n\r\n0123456789a"),
        )
        .problem(413),
        case(
            "chunks",
            small("transfer-encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n6789a\r\n0\r\n\r\n"),
        )
        .problem(413),
        // If the length already shows it, the server waits for nothing of the body.
        case(
            "over the default of 10 MiB",
            post("content-length: 10485761\r\n\r\n"),
        )
        .problem(413)
        .with("connection", "close")
        .closed(),
        case(
            "one that is expected to go on",
            small("expect: 100-continue\r\ncontent-length: 11\r\n\r\n"),
        )
        .problem(413)
        .with("connection", "close")
        .closed(),
    ]
}

pub fn lengths() -> Vec<Case> {
    let mut cases = bad([
        (
            "both framings",
            post("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "both framings, the other way round",
            post("transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
        ),
        (
            "both framings, an unknown coding",
            post("transfer-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"),
        ),
        ("two that differ", length("5\r\ncontent-length: 6")),
        ("a list that differs", length("5, 6")),
        ("a sign", length("+5")),
        ("+3", length("+3")),
        ("-1", length("-1")),
        ("empty", length("")),
        ("an empty element", length("5,")),
        ("hexadecimal", length("0x5")),
        ("over 64 bits", length("18446744073709551621")),
        ("over 63 bits", length("9223372036854775808")),
    ]);
    cases.extend([
        case("a plain one", length("5")).body(200, HELLO),
        case("nothing", post("content-length: 0\r\n\r\n")).body(200, SEEN),
        case("the same twice", length("5\r\ncontent-length: 5")).body(200, HELLO),
        case("a list of the same", length("5, 5")).body(200, HELLO),
    ]);
    cases
}

pub fn codings() -> Vec<Case> {
    let coded = |name, rest| case(name, post(rest));
    vec![
        coded("gzip", "transfer-encoding: gzip\r\n\r\n").refused(501),
        coded("gzip, chunked", "transfer-encoding: gzip, chunked\r\n\r\n").refused(501),
        coded(
            "chunked twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .refused(501),
        coded("identity", "transfer-encoding: identity\r\n\r\n").refused(501),
        coded("empty", "transfer-encoding:\r\n\r\n").refused(501),
        coded(
            "in capitals",
            "Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        )
        .says(200, "body=x"),
        case(
            "on HTTP/1.0",
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        .refused(400),
    ]
}

pub fn chunks() -> Vec<Case> {
    let mut cases = bad([
        ("a size that is not hexadecimal", chunked("g\r\n")),
        ("an empty size", chunked("\r\nx\r\n")),
        ("a negative size", chunked("-1\r\nx\r\n")),
        ("a size with a prefix", chunked("0x1\r\nx\r\n0\r\n\r\n")),
        ("a size over 64 bits", chunked("10000000000000000\r\n")),
        ("an endless size", chunked(&"0".repeat(100))),
        ("a size line that ends in LF", chunked("1\nx\r\n0\r\n\r\n")),
        ("a space behind the size", chunked("1 \r\nx\r\n0\r\n\r\n")),
        ("more than the size says", chunked("1\r\nxy\r\n0\r\n\r\n")),
        ("a chunk without CR", chunked("1\r\nx\n0\r\n\r\n")),
        (
            "a control character in an extension",
            chunked("1;\x01\r\nx\r\n"),
        ),
        (
            "endless extensions",
            chunked(&format!("1;{}", "x".repeat(20_000))),
        ),
        ("a malformed trailer", chunked("0\r\nx y\r\n\r\n")),
        ("a trailer that ends in LF", chunked("0\r\nx: y\n\r\n")),
    ]);
    let endless_trailer = chunked(&format!("0\r\nx: {}", "x".repeat(9000)));
    let many_trailers = chunked(&format!("0\r\n{}\r\n", "x: y\r\n".repeat(65)));
    cases.extend([
        case("endless trailers", endless_trailer).refused(431),
        case("too many trailers", many_trailers).refused(431),
        case("one chunk", chunked("5\r\nhello\r\n0\r\n\r\n")).body(200, HELLO),
        case("nothing", chunked("0\r\n\r\n")).body(200, SEEN),
        case(
            "extensions",
            chunked("5;a=\"b;c\"\r\nhello\r\n06 ;x\r\n world\r\n0;end\r\n\r\n"),
        )
        .says(200, "body=hello world"),
        case(
            "trailers",
            chunked("1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nx-b: ä\r\n\r\n"),
        )
        .says(200, "body=x x-sum=1 x-b=\\xc3\\xa4"),
    ]);
    cases
}

pub fn broken_off() -> Vec<Case> {
    // The vlugin's answer, that it saw an error, is not sent.
    [
        ("a length", "content-length: 10\r\n\r\nfour"),
        ("a length and nothing of it", "content-length: 10\r\n\r\n"),
        (
            "between chunks",
            "transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n",
        ),
        ("in a chunk", "transfer-encoding: chunked\r\n\r\n4\r\nfo"),
        (
            "before the trailers' end",
            "transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n",
        ),
    ]
    .map(|(name, rest)| case(name, post(rest)).end_sending().closed())
    .into()
}

pub fn pipelined() -> Vec<Case> {
    let three = ["/1", "/2", "/3"].map(|target| at("GET", target, "\r\n"));
    vec![
        case("three requests", three.concat())
            .says(200, "GET /1")
            .says(200, "GET /2")
            .says(200, "GET /3"),
        case("POST, then GET", [length("5"), get("\r\n")].concat())
            .body(200, HELLO)
            .body(200, "GET / host=a body="),
        case(
            "chunked, then GET",
            [chunked("2\r\nhi\r\n0\r\n\r\n"), get("\r\n")].concat(),
        )
        .says(200, "body=hi")
        .body(200, "GET / host=a body="),
        case(
            "trailers, then GET",
            [chunked("2\r\nhi\r\n0\r\nt: u\r\n\r\n"), get("\r\n")].concat(),
        )
        .says(200, "body=hi t=u")
        .body(200, "GET / host=a body="),
    ]
}

pub fn expectations() -> Vec<Case> {
    let length = "content-length: 2\r\n\r\n";
    let waits = |name, expect: &str| {
        case(name, post(&format!("expect: {expect}\r\n{length}")))
            .continues()
            .send("hi")
            .says(200, "body=hi")
    };
    let none = |name, sent: &str| case(name, sent).status(200);
    vec![
        waits("as it is written", "100-continue"),
        waits("in capitals", "100-Continue"),
        case(
            "a client that does not wait",
            post(&format!("expect: 100-continue\r\n{length}hi")),
        )
        .continues()
        .says(200, "body=hi"),
        // Nobody knows if the body will come then, so nothing can follow it.
        case(
            "a body that is not read",
            at(
                "POST",
                "/deaf",
                &format!("expect: 100-continue\r\n{length}"),
            ),
        )
        .body(200, "deaf")
        .with("connection", "close")
        .closed(),
        case(
            "an echo",
            at(
                "POST",
                "/echo",
                &format!("expect: 100-continue\r\n{length}"),
            ),
        )
        .continues()
        .send("hi")
        .body(200, "hi"),
        none(
            "nothing to send",
            &post("expect: 100-continue\r\ncontent-length: 0\r\n\r\n"),
        ),
        none(
            "HTTP/1.0",
            "POST / HTTP/1.0\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi",
        )
        .closed(),
        case("another", post("expect: tea\r\ncontent-length: 1\r\n\r\nx")).refused(417),
        case(
            "another beside it",
            post("expect: 100-continue, tea\r\ncontent-length: 1\r\n\r\nx"),
        )
        .refused(417),
    ]
}

pub fn not_read() -> Vec<Case> {
    let deaf = |rest: &str| at("POST", "/deaf", rest);
    let body = "x".repeat(2000);
    let (length, size) = (body.len(), format!("{:x}", body.len()));
    vec![
        case(
            "a length",
            deaf(&format!("content-length: {length}\r\n\r\n{body}")),
        )
        .body(200, "deaf"),
        case(
            "chunks",
            deaf(&format!(
                "transfer-encoding: chunked\r\n\r\n{size}\r\n{body}\r\n0\r\n\r\n"
            )),
        )
        .body(200, "deaf"),
        // Too large to be drained.
        case("half a gigabyte", deaf("content-length: 500000000\r\n\r\n"))
            .problem(413)
            .with("connection", "close")
            .closed(),
        case("nine megabytes", deaf("content-length: 9000000\r\n\r\n"))
            .body(200, "deaf")
            .with("connection", "close")
            .closed(),
    ]
}
