//! TLS, with an authority made for the test.

use crate::{Fetcher, Server, fetch, get, server::Conn, text};
use futures_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    io::{BufRead, BufReader, Write},
    sync::Arc,
};
use valor_runtime::host::fetch::{FetchConfig, FetchError, UNTRUSTED};

/// The authority's certificate, and a server with a certificate from it for `name`.
fn server(name: &str) -> (Certificate, Server) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(authority, authority_key))
        .unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let server = Server::start(move |_, conn| {
        let _ = serve(conn, config.clone());
    });
    (root, server)
}

/// Answers each request with the protocol that was agreed on.
fn serve(conn: &mut Conn, config: Arc<ServerConfig>) -> std::io::Result<()> {
    let tls = ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(tls, conn.stream().try_clone()?));
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 {
        if line == "\r\n" {
            let protocol = stream.get_ref().conn.alpn_protocol().unwrap_or_default();
            let body = String::from_utf8_lossy(protocol).into_owned();
            let length = body.len();
            let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.get_mut().write_all(response.as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}

fn trusting(root: Certificate) -> Fetcher {
    let config = FetchConfig {
        extra_roots: vec![root.der().to_vec()],
        ..FetchConfig::default()
    };
    Fetcher::new(config).unwrap()
}

#[test]
fn a_server_with_a_certificate_from_a_trusted_root_is_talked_to() {
    let (root, server) = server("localhost");
    let fetcher = trusting(root);
    let url = format!("https://localhost:{}/", server.address.port());
    for _ in 0..3 {
        assert_eq!(text(fetch(&fetcher, get(&url)).unwrap()), "http/1.1");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn an_address_can_have_a_certificate_too() {
    let (root, server) = server("127.0.0.1");
    let url = format!("https://{}/", server.address);
    assert_eq!(text(fetch(&trusting(root), get(&url)).unwrap()), "http/1.1");
}

#[test]
fn a_certificate_for_another_name_is_refused_with_the_reason() {
    let (root, server) = server("example.com");
    let url = format!("https://localhost:{}/", server.address.port());
    let fault = fetch(&trusting(root), get(&url)).unwrap_err();
    assert_eq!(fault.status, 502);
    let place = format!("localhost:{}", server.address.port());
    for part in [
        place.as_str(),
        "the server's certificate is for example.com, not for localhost",
    ] {
        assert!(fault.message.contains(part), "{fault}");
    }
}

#[test]
fn a_certificate_from_an_unknown_root_is_refused_with_the_reason() {
    let (_, server) = server("localhost");
    let (another_root, _) = self::server("localhost");
    let url = format!("https://localhost:{}/", server.address.port());
    let fault = fetch(&trusting(another_root), get(&url)).unwrap_err();
    assert_eq!(fault.status, 502);
    assert!(fault.message.contains(UNTRUSTED), "{fault}");
}

#[test]
fn a_server_without_tls_is_refused_with_the_reason() {
    let server = Server::start(|_, conn| {
        conn.some();
        conn.send("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\nplain HTTP here");
    });
    let url = format!("https://localhost:{}/", server.address.port());
    let fault = fetch(&crate::fetcher(), get(&url)).unwrap_err();
    assert_eq!(fault.status, 502);
    let reason = "the server does not speak TLS there; ask it with http://";
    assert!(fault.message.ends_with(reason), "{fault}");
}

#[test]
fn an_extra_root_that_is_none_is_an_error() {
    let config = FetchConfig {
        extra_roots: vec![b"nonsense".to_vec()],
        ..FetchConfig::default()
    };
    assert!(matches!(
        Fetcher::new(config),
        Err(FetchError::ExtraRoot(_))
    ));
}

/// The environment belongs to the whole process. So this test runs itself again in another process, and plays the
/// other part there.
#[test]
fn the_environment_names_the_roots() {
    if let Ok(url) = std::env::var("FETCH_TEST_URL") {
        match Fetcher::new(FetchConfig::default()) {
            Ok(fetcher) => println!("saw: {}", text(fetch(&fetcher, get(&url)).unwrap())),
            Err(error) => println!("saw: {error}"),
        }
        return;
    }
    let (root, server) = server("localhost");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), root.pem()).unwrap();
    let url = format!("https://localhost:{}/", server.address.port());
    let seen = |roots: &std::path::Path| {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "tls::the_environment_names_the_roots",
                "--nocapture",
            ])
            .env("FETCH_TEST_URL", &url)
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        String::from_utf8_lossy(&child.stdout).into_owned()
    };
    let out = seen(file.path());
    assert!(out.contains("saw: http/1.1"), "{out}");
    let missing = file.path().with_extension("missing");
    let out = seen(&missing);
    assert!(out.contains("could be read from SSL_CERT_FILE="), "{out}");
    assert!(out.contains(missing.to_str().unwrap()), "{out}");
}
