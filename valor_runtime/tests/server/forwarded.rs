//! What proxies say about clients. The server believes trusted proxies, and removes the headers of all others.

use crate::harness::{Client, Running, text};
use std::sync::Arc;
use valor_runtime::{
    Request, Runtime, Vlugin, from_fn,
    server::{ServerConfig, TrustedProxy},
};

/// Reports the peer, the scheme, and every header that the client sent.
fn witness() -> Arc<dyn Vlugin> {
    from_fn(|request: Request| async move {
        let head = &request.head;
        let scheme = if head.is_https() { "https" } else { "http" };
        let peer = head.peer().unwrap_or("nobody");
        let mut seen = format!("{peer} {scheme}");
        for (name, value) in head.headers() {
            seen += &format!(" {name}={}", value.escape_ascii());
        }
        Ok(text(seen))
    })
}

fn config(trusted: &[&str]) -> ServerConfig {
    let trusted = trusted.iter().map(|it| it.parse::<TrustedProxy>().unwrap());
    ServerConfig {
        trusted_proxies: trusted.collect(),
        ..ServerConfig::default()
    }
}

const SAID: &str = "GET / HTTP/1.1\r\nHost: inner\r\nX-FORWARDED-For: 6.6.6.6\r\nx-forwarded-for: 1.2.3.4:5\r\n\
    X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nForwarded: for=7.7.7.7\r\n\
    X-Real-IP: 8.8.8.8\r\nX-Forwarded-Port: 443\r\nX-Forwarded-User: kept\r\n\r\n";
const PLAIN: &str = "GET / HTTP/1.1\r\nHost: inner\r\n\r\n";
const BELIEVED: &str = "1.2.3.4:5 https x-forwarded-port=443 x-forwarded-user=kept x-real-ip=1.2.3.4 \
    x-forwarded-for=1.2.3.4:5 x-forwarded-proto=https host=shop.example x-forwarded-host=shop.example";

fn ask(client: &mut Client, request: &str) -> String {
    client.send(request).answer().text()
}

#[test]
fn strangers_are_not_believed() {
    for trusted in [&[][..], &["10.0.0.0/8", "unix"]] {
        let server = Running::with(witness(), config(trusted));
        let mut client = server.connect();
        let local = client.stream.local_addr().unwrap();
        let expected = format!("{local} http host=inner x-forwarded-user=kept");
        assert_eq!(ask(&mut client, SAID), expected);
        // Nothing of it is left for the next request.
        assert_eq!(ask(&mut client, PLAIN), format!("{local} http host=inner"));
    }
}

#[test]
fn each_of_them_is_taken_out() {
    let server = Running::with(witness(), config(&[]));
    let mut client = server.connect();
    let local = client.stream.local_addr().unwrap();
    for name in [
        "Forwarded",
        "X-Real-IP",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-FORWARDED-PROTO",
        "X-Forwarded-Port",
        "X-Forwarded-Scheme",
        "X-Forwarded-Server",
        "X-Forwarded-Ssl",
    ] {
        let request = PLAIN.replace("inner\r\n", &format!("inner\r\n{name}: 1.2.3.4\r\n"));
        let seen = ask(&mut client, &request);
        assert_eq!(seen, format!("{local} http host=inner"), "{name}");
    }
}

#[test]
fn trusted_proxies_are_believed() {
    let server = Running::with(witness(), config(&["127.0.0.1"]));
    let mut proxy = server.connect();
    let local = proxy.stream.local_addr().unwrap();
    for _ in 0..2 {
        assert_eq!(ask(&mut proxy, SAID), BELIEVED);
        // Another client may come over the same connection.
        assert_eq!(ask(&mut proxy, PLAIN), format!("{local} http host=inner"));
    }
    let old = "GET / HTTP/1.0\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-For: ::1\r\n\r\n";
    assert_eq!(
        ask(&mut proxy, old),
        "[::1]:0 http x-forwarded-for=::1 host=shop.example x-forwarded-host=shop.example"
    );
}

#[cfg(unix)]
#[test]
fn a_proxy_on_a_unix_socket() {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listen = [format!("unix:{}", path.display()).parse().unwrap()];
    for (trusted, expected) in [
        (
            &["127.0.0.1"][..],
            "nobody http host=inner x-forwarded-user=kept",
        ),
        (&["unix"], BELIEVED),
    ] {
        let _server = Running::on(&listen, witness(), config(trusted));
        let mut stream = UnixStream::connect(&path).unwrap();
        let request = SAID.replace("HTTP/1.1\r\n", "HTTP/1.1\r\nConnection: close\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let seen = answer.split("\r\n\r\n").nth(1).unwrap();
        assert_eq!(seen.replace(" connection=close", ""), expected);
    }
}

/// A runtime whose registry is only for this machine.
fn registry() -> Arc<dyn Vlugin> {
    let access = valor_runtime::RegistryAccess::Loopback;
    Runtime::builder().registry(access).build().unwrap()
}

/// What a trusted proxy may say without naming its client, each with a `Host` of this machine.
const UNNAMED: &[&str] = &[
    "Forwarded: for=unknown",
    "Forwarded: for=_hidden",
    "Forwarded:",
    "Forwarded: for=",
    "Forwarded: proto=https",
    "Forwarded: for=\"garbled",
    "Forwarded: for=_hidden, for=127.0.0.1",
    "X-Forwarded-For: garbage",
    "X-Forwarded-For: unknown",
    "X-Forwarded-For:",
    "X-Forwarded-For: 8.8.8.8, garbage",
    "X-Forwarded-For: garbage, 127.0.0.1",
    "X-Real-IP:",
    "X-Real-IP: nobody",
    "X-Forwarded-Host: localhost",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 443",
];

/// The status of `/_plugins` with these headers of a proxy.
fn asked(said: &str, mut exchange: impl FnMut(&str) -> u16) -> u16 {
    exchange(&format!(
        "GET /_plugins HTTP/1.1\r\nHost: localhost\r\n{said}\r\nConnection: close\r\n\r\n"
    ))
}

#[test]
fn a_client_that_nobody_names_is_not_local() {
    let server = Running::with(registry(), config(&["127.0.0.1"]));
    let over_tcp = |request: &str| server.connect().send(request).answer().status;
    for said in UNNAMED {
        assert_eq!(asked(said, over_tcp), 403, "{said}");
    }
    for said in [
        "X-Other: 1",
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=\"[::1]:5\"",
    ] {
        assert_eq!(asked(said, over_tcp), 200, "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_client_that_nobody_names_is_not_local_behind_a_unix_socket_either() {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listen = [format!("unix:{}", path.display()).parse().unwrap()];
    let _server = Running::on(&listen, registry(), config(&["unix", "127.0.0.1"]));
    let over_unix = |request: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer[9..12].parse().unwrap()
    };
    for said in UNNAMED {
        assert_eq!(asked(said, over_unix), 403, "{said}");
    }
    for said in ["X-Other: 1", "X-Forwarded-For: 127.0.0.1"] {
        assert_eq!(asked(said, over_unix), 200, "{said}");
    }
}
