//! curl: many requests, and bodies of every kind.

use crate::{
    program::{REQUESTS, Serving, bytes, program, run},
    support::Folder,
};

/// curl without a configuration.
pub fn curl() -> std::process::Command {
    let mut curl = program("curl", "curl");
    curl.args([
        "--disable",
        "--silent",
        "--show-error",
        "--fail",
        "--noproxy",
        "*",
    ]);
    curl
}

/// Sends a body in each way that curl has, and gets the same body back.
pub fn upload(url: &str, args: &[&str], body: &[u8]) {
    let folder = Folder::new("");
    folder.write("body", body);
    let (sent, received) = (folder.file("body"), folder.path().join("received"));
    for way in [
        &["-H", "Expect:"][..],
        &["-H", "Expect: 100-continue"],
        &["-H", "Transfer-Encoding: chunked", "-H", "Expect:"],
        &[
            "-H",
            "Transfer-Encoding: chunked",
            "-H",
            "Expect: 100-continue",
        ],
        &["--http1.0", "--silent"],
    ] {
        if body.is_empty() && way[1].contains("chunked") {
            // curl 7.88 never sends the end of an empty file in chunks.
            continue;
        }
        let mut curl = curl();
        curl.args(args).args(way).arg("--output").arg(&received);
        run(curl.args(["-X", "POST", "--upload-file", &sent, url]));
        let same = std::fs::read(&received).unwrap() == body;
        assert!(same, "{way:?}: another body came back");
    }
}

#[test]
fn curl_sends_a_thousand_requests_on_one_connection() {
    let serving = Serving::start();
    for version in ["--http1.1", "--http1.0"] {
        let mut curl = curl();
        curl.args([version, "--output", "/dev/null"]);
        curl.args([
            "--write-out",
            "%{http_code} %{num_connects} %{size_download}\n",
        ]);
        let url = serving.url(&format!("/hello?n=[1-{REQUESTS}]"));
        let out = run(curl.args(["-H", "Connection: keep-alive", &url]));
        let mut expected = "200 0 25\n".repeat(REQUESTS);
        expected.replace_range(4..5, "1");
        assert_eq!(out, expected, "{version}");
    }
    serving.is_content();
}

#[test]
fn curl_sends_many_at_once() {
    let serving = Serving::start();
    let mut curl = curl();
    curl.args(["--parallel", "--parallel-max", "50", "--parallel-immediate"]);
    curl.args(["--output", "/dev/null", "--write-out", "%{http_code}\n"]);
    let out = run(curl.arg(serving.url(&format!("/hello?n=[1-{REQUESTS}]"))));
    assert_eq!(out, "200\n".repeat(REQUESTS));
    serving.is_content();
}

#[test]
fn curl_gets_its_uploads_back() {
    let serving = Serving::start();
    for length in [0, 1, 100_000, 20_000_000] {
        upload(&serving.url("/echo"), &[], &bytes(length));
    }
    serving.is_content();
}

#[test]
fn curl_asks_for_heads() {
    let serving = Serving::start();
    let mut curl = curl();
    curl.args(["--head", "--write-out", "%{http_code} %{num_connects}\n"]);
    let out = run(curl.arg(serving.url("/hello?n=[1-3]")));
    assert_eq!(out.matches("content-length: 25").count(), 3, "{out}");
    assert_eq!(out.matches("\n200 0\n").count(), 2, "{out}");
    serving.is_content();
}
