//! TLS: certificates and their faults, handshakes, and how both sides treat an end.

use crate::harness::{Client, PATIENCE, Running, chunks, data, mirror, text};
use futures_rustls::{
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    rustls::{
        ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
        crypto::ring, version,
    },
};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use valor_runtime::{
    Fault, Request, Vlugin, from_fn, from_http, http,
    server::{ServerConfig, Tls},
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// A folder with `cert.pem`, a chain of two, and `key.pem`.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.issue();
        files
    }

    /// Writes a new pair, and returns the root to trust.
    fn issue(&self) -> String {
        let mut root = CertificateParams::default();
        root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let leaf = leaf.signed_by(&key, &root).unwrap();
        self.write("cert.pem", leaf.pem() + &root.pem());
        self.write("key.pem", key.serialize_pem());
        self.write("root.pem", root.pem());
        root.pem()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn tls(&self) -> Tls {
        Tls::load(self.path("cert.pem"), self.path("key.pem")).unwrap()
    }

    fn fault(&self) -> String {
        let loaded = Tls::load(self.path("cert.pem"), self.path("key.pem"));
        loaded.expect_err("a fault").to_string()
    }
}

fn start(tls: Tls, vlugin: Arc<dyn Vlugin>, config: ServerConfig) -> Running {
    Running::on_tls(&["127.0.0.1:0".parse().unwrap()], Some(tls), vlugin, config)
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

fn client(
    root: &Path,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(root).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

fn secure(server: &Running, config: ClientConfig) -> Secure {
    let stream = Client::to(server.addr()).stream;
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(
        ClientConnection::new(Arc::new(config), name).unwrap(),
        stream,
    )
}

fn connect(server: &Running, files: &Files) -> Secure {
    secure(
        server,
        client(&files.path("root.pem"), &[&version::TLS13], &[]),
    )
}

/// Everything until the server ends the connection as TLS requires.
fn rest(stream: &mut Secure) -> String {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    String::from_utf8(all).unwrap()
}

#[test]
fn both_versions_are_spoken_with_http_1_1_alone() {
    let files = Files::new();
    let server = start(files.tls(), mirror(), ServerConfig::default());
    for version in [&version::TLS12, &version::TLS13] {
        for alpn in [&[][..], &[&b"h2"[..], b"http/1.1"]] {
            let config = client(&files.path("root.pem"), &[version], alpn);
            let mut stream = secure(&server, config);
            // Two requests on one connection. The second ends it.
            stream.write_all(GET).unwrap();
            stream
                .write_all(b"GET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                .unwrap();
            let answers = rest(&mut stream);
            assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
            let agreed = stream.conn.alpn_protocol();
            assert_eq!(agreed, (!alpn.is_empty()).then_some(&b"http/1.1"[..]));
        }
    }
    // The server agrees on no other protocol.
    let config = client(&files.path("root.pem"), &[&version::TLS13], &[b"h2"]);
    let error = secure(&server, config)
        .write_all(GET)
        .unwrap_err()
        .to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn the_vlugin_sees_https_and_the_peer() {
    let files = Files::new();
    let tells = from_http(|req: http::Request| async move {
        format!("{} {}", req.url(), req.peer_addr().unwrap_or("nobody"))
    });
    let server = start(files.tls(), tells, ServerConfig::default());
    let mut stream = connect(&server, &files);
    let here = stream.sock.local_addr().unwrap();
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: a:8\r\nconnection: close\r\n\r\n")
        .unwrap();
    let answer = rest(&mut stream);
    assert!(
        answer.ends_with(&format!("\r\n\r\nhttps://a:8/x {here}")),
        "{answer}"
    );
}

#[cfg(unix)]
#[test]
fn unix_sockets_stay_plain() {
    let files = Files::new();
    let path = files.path("socket");
    let unix = valor_runtime::server::Listen::Unix(path.clone());
    let listen = ["127.0.0.1:0".parse().unwrap(), unix];
    let server = Running::on_tls(
        &listen,
        Some(files.tls()),
        mirror(),
        ServerConfig::default(),
    );
    let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    drop(server);
}

#[test]
fn who_speaks_plain_http_is_told() {
    let files = Files::new();
    let server = start(files.tls(), mirror(), ServerConfig::default());
    let answer = server.connect().send(GET).answer();
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (400, Some("text/plain"))
    );
    assert!(answer.text().contains("https://"), "{}", answer.text());
    // Anything else is no message that could be answered.
    assert!(server.connect().send(b"\0\0\0\0").is_closed());
}

#[test]
fn a_handshake_that_takes_too_long_is_cut_off() {
    let files = Files::new();
    let config = ServerConfig {
        head_timeout: Duration::from_millis(300),
        max_connections: 1,
        ..ServerConfig::default()
    };
    let server = start(files.tls(), mirror(), config);
    for begun in [&b""[..], &[22, 3, 1, 2]] {
        // There is one place, so the next client gets its turn only once this one is gone.
        let mut slow = server.connect();
        slow.send(begun);
        let mut next = connect(&server, &files);
        next.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .unwrap();
        assert!(rest(&mut next).starts_with("HTTP/1.1 200 OK"));
        assert!(slow.is_closed());
    }
}

#[test]
fn a_slow_handshake_does_not_hold_up_the_end() {
    let files = Files::new();
    let server = start(files.tls(), mirror(), ServerConfig::default());
    let mut slow = server.connect();
    slow.send([22, 3]);
    // Once another one has been answered, this one has been accepted.
    let mut other = connect(&server, &files);
    other
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    rest(&mut other);
    let since = Instant::now();
    assert_eq!(server.stop().cut_off, 0);
    assert!(since.elapsed() < Duration::from_secs(9));
}

#[test]
fn a_mebibyte_passes_both_ways() {
    const LEN: usize = 1 << 20;
    let files = Files::new();
    // It reads everything before it answers, so that neither side waits for the other.
    let echo = from_fn(|request: Request| async move {
        let all = request.body.bytes(LEN).await;
        Ok(text(
            all.map_err(|error| Fault::error(500, error.to_string()))?,
        ))
    });
    let server = start(files.tls(), echo, ServerConfig::default());
    let mut stream = connect(&server, &files);
    let body: Vec<u8> = (0..LEN).map(|at| (at / 3) as u8).collect();
    let head =
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LEN}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let mut came = Vec::new();
    stream.read_to_end(&mut came).unwrap();
    assert!(came.ends_with(&body), "{} bytes came", came.len());
}

#[test]
fn an_end_without_a_word_is_a_truncation() {
    let files = Files::new();
    let (send, seen) = std::sync::mpsc::channel();
    let reads = from_fn(move |mut request: Request| {
        let send = send.clone();
        async move {
            while let Some(chunk) = request.body.chunk().await {
                if let Err(error) = chunk {
                    send.send(error.kind()).unwrap();
                }
            }
            Ok(text("all"))
        }
    });
    let server = start(files.tls(), reads, ServerConfig::default());
    let mut stream = connect(&server, &files);
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf")
        .unwrap();
    stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(ErrorKind::UnexpectedEof));

    // The server leaves no doubt either: a body that breaks off has no proper end.
    let breaks = from_fn(|_| async {
        Ok(chunks(
            None,
            vec![data("half"), Err(ErrorKind::Other.into())],
        ))
    });
    let server = start(files.tls(), breaks, ServerConfig::default());
    let mut stream = connect(&server, &files);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut all = Vec::new();
    assert!(
        stream.read_to_end(&mut all).is_err(),
        "{}",
        all.escape_ascii()
    );
}

#[test]
fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let files = Files::new();
    let tls = files.tls();
    let server = start(tls.clone(), mirror(), ServerConfig::default());
    let shown = || {
        let mut stream = connect(&server, &files);
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .unwrap();
        rest(&mut stream);
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown();
    // It has a new issuer. The client sees the new certificate only if it trusts that one.
    files.issue();
    tls.reload().unwrap();
    let second = shown();
    assert_ne!(first, second);
    let good = files.read("key.pem");
    files.write("key.pem", "nothing");
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("no private key"), "{error}");
    assert_eq!(shown(), second);
    files.write("key.pem", good);
    tls.reload().unwrap();
}

#[test]
fn what_is_wrong_is_told_with_file_and_remedy() {
    let files = Files::new();
    let (cert, key) = (files.read("cert.pem"), files.read("key.pem"));
    let wrong = |name: &str, text: &str, says: &[&str]| {
        files.write("cert.pem", &cert);
        files.write("key.pem", &key);
        files.write(name, text);
        let fault = files.fault();
        assert!(
            fault.starts_with(&files.path(name).display().to_string()),
            "{fault}"
        );
        for part in says {
            assert!(fault.contains(part), "{part} is not in: {fault}");
        }
    };
    let other = KeyPair::generate().unwrap().serialize_pem();
    wrong(
        "key.pem",
        &other,
        &[
            "the private key does not match the first certificate",
            "cert.pem; give a matching pair",
        ],
    );
    wrong("key.pem", &cert, &["no private key in it", "PKCS#8"]);
    wrong(
        "key.pem",
        &key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
        &["openssl pkey"],
    );
    wrong(
        "key.pem",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        &["cannot be used", "ECDSA"],
    );
    wrong(
        "key.pem",
        "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n",
        &["is damaged", "copy it again"],
    );
    wrong("cert.pem", "", &["no certificate in it", "PEM"]);
    wrong("cert.pem", &key, &["no certificate in it"]);
    wrong(
        "cert.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &["first certificate cannot be used"],
    );
    files.write("cert.pem", &cert);
    std::fs::remove_file(files.path("key.pem")).unwrap();
    let fault = files.fault();
    assert!(
        fault.contains("the private key cannot be read") && fault.contains("give a file"),
        "{fault}"
    );
}

#[test]
fn an_idle_server_ends_with_a_word() {
    let files = Files::new();
    let mut server = start(files.tls(), mirror(), ServerConfig::default());
    let mut stream = connect(&server, &files);
    stream.write_all(GET).unwrap();
    let mut one = [0; 1];
    stream.read_exact(&mut one).unwrap();
    server.leave();
    // Without the closing message, this would be an error.
    rest(&mut stream);
    assert_eq!(server.stop().cut_off, 0);
}
