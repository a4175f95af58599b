//! Python's `http.client`, and `h11`, which parses more strictly than most.

use crate::program::{REQUESTS, Serving, program, run_with};

fn python(script: &str, serving: &Serving) {
    // Debian's own, which Debian's packages are for.
    let mut python = match std::path::Path::new("/usr/bin/python3").is_file() {
        true => std::process::Command::new("/usr/bin/python3"),
        false => program("python3", "python3"),
    };
    let (host, port) = serving.addr().rsplit_once(':').unwrap();
    let requests = REQUESTS.to_string();
    let out = run_with(python.args(["-", host, port, &requests]), script.as_bytes());
    assert_eq!(out.trim(), requests);
    serving.is_content();
}

#[test]
fn http_client() {
    python(include_str!("http_client.py"), &Serving::start());
}

#[test]
fn h11() {
    python(include_str!("h11_client.py"), &Serving::start());
}
