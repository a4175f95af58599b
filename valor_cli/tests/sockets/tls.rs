//! HTTPS and wss with curl and Python, and a certificate that is renewed.

use crate::{converse, serve};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};

/// A folder with `cert.pem`, `key.pem`, which only its owner may read, and `root.pem`.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.issue();
        files
    }

    fn issue(&self) {
        self.issue_as(|_| {});
    }

    /// A different certificate from this one.
    fn issue_as(&self, change: impl FnOnce(&mut CertificateParams)) {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name that differs from the server's; otherwise OpenSSL takes that one for self-signed.
        root.distinguished_name
            .push(DnType::CommonName, "an authority");
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        change(&mut leaf);
        let leaf = leaf.signed_by(&key, &root).unwrap();
        self.write("root.pem", &root.pem());
        self.write("cert.pem", &leaf.pem());
        self.write("key.pem", &key.serialize_pem());
        self.allow(0o600);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn allow(&self, mode: u32) {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path("key.pem"), permissions).unwrap();
    }

    fn args(&self) -> [String; 4] {
        [
            "--tls-cert".into(),
            self.path("cert.pem"),
            "--tls-key".into(),
            self.path("key.pem"),
        ]
    }

    fn serve(&self) -> crate::support::Server {
        serve(&self.args().each_ref().map(String::as_str))
    }

    /// Sends a request with curl, which only trusts `root.pem`.
    fn curl(&self, args: &[&str]) -> Output {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--max-time", "60", "--noproxy", "*"])
            .args(["--cacert", &self.path("root.pem")]);
        command
            .args(args)
            .output()
            .expect("curl is missing: install Debian's curl")
    }
}

fn out(output: &Output) -> String {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", said(&output.stderr));
    said(&output.stdout)
}

#[test]
fn curl_speaks_https_of_both_versions() {
    let files = Files::new();
    let server = files.serve();
    let url = |path: &str| format!("https://{}{path}", server.addrs[0]);
    assert!(
        server.out().contains("listening on https://"),
        "{}",
        server.out()
    );
    for version in ["1.2", "1.3"] {
        let only = [
            format!("--tlsv{version}"),
            "--tls-max".into(),
            version.into(),
        ];
        let only = only.each_ref().map(String::as_str);
        let about = ["-w", " %{http_version} %{http_code}", "--alpn"];
        let hello = url("/hello_plugin");
        let answer = out(&files.curl(&[&only[..], &about, &[&hello, &hello]].concat()));
        assert_eq!(answer, "OK response from a plugin 1.1 200".repeat(2));
    }
    // Without the root that signed it there is no conversation.
    let mut stranger = Command::new("curl");
    stranger.args(["-sS", "--noproxy", "*", &url("/hello_plugin")]);
    assert_eq!(stranger.output().unwrap().status.code(), Some(60));
}

#[test]
fn the_registry_is_asked_over_https() {
    let files = Files::new();
    files.write("token", "0123456789abcdef");
    let token = files.path("token");
    let mut args = vec!["-w", "--registry-token-file", &token];
    let own = files.args();
    args.extend(own.iter().map(String::as_str));
    let server = serve(&args);
    let url = format!("https://{}", server.addrs[0]);
    let root = files.path("root.pem");
    let ask = |addr: &str, more: &[&str]| {
        let common = ["plugins", "--addr", addr, "--token-file", &token];
        crate::support::run(&[&common[..], more].concat())
    };
    let listed = ask(&url, &["--ca-file", &root, "list"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.out.contains("hello_plugin\tnative\t"), "{listed:?}");
    let gone = ask(
        &format!("{url}/"),
        &["--ca-file", &root, "remove", "hello_plugin"],
    );
    assert_eq!(gone.code, Some(0), "{gone:?}");
    let again = ask(&url, &["--ca-file", &root, "remove", "hello_plugin"]);
    assert!(
        again.err.contains("404 ") && again.err.contains("plugins list"),
        "{again:?}"
    );

    // The authority is not one of the platform's.
    let stranger = ask(&url, &["list"]);
    assert_eq!(stranger.code, Some(1), "{stranger:?}");
    let line = "from an authority that is not trusted here; name the certificate of its authority with --ca-file";
    assert!(stranger.err.contains(line), "{stranger:?}");
    files.write("empty.pem", "nothing");
    let empty = ask(&url, &["--ca-file", &files.path("empty.pem"), "list"]);
    assert!(
        empty
            .err
            .contains("empty.pem: there is no certificate in it; --ca-file takes PEM"),
        "{empty:?}"
    );
    // The answer to plain HTTP says what to write instead.
    let plain = ask(&server.addrs[0], &["list"]);
    assert!(
        plain.err.contains("give --addr as an https:// URL"),
        "{plain:?}"
    );
    for wrong in [
        "https://",
        "https://a/b",
        "https://a?b",
        "https://user@a",
        "ftp://a",
    ] {
        let refused = ask(wrong, &["list"]);
        assert_eq!(refused.code, Some(2), "{wrong}: {refused:?}");
    }
}

#[test]
fn a_certificate_that_is_refused_is_refused_in_plain_words() {
    let files = Files::new();
    let asked = |host: &str| {
        let server = files.serve();
        let port = server.addrs[0].rsplit_once(':').unwrap().1;
        let (url, root) = (format!("https://{host}:{port}"), files.path("root.pem"));
        let args = ["plugins", "--addr", &url, "--ca-file", &root, "list"];
        let ended = crate::support::run(&args);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        // It runs, and the reason contains no name from a library.
        for part in [
            "is it running",
            "Context",
            "UnixTime",
            "DnsName",
            "invalid peer",
        ] {
            assert!(!ended.err.contains(part), "{ended:?}");
        }
        ended.err
    };
    let other = asked("localhost");
    let line = "the server's certificate is for 127.0.0.1, not for localhost: ask it by a name that it contains";
    assert!(other.contains(line), "{other}");
    files.issue_as(|leaf| leaf.not_after = date_time_ymd(2001, 2, 3));
    let expired = asked("127.0.0.1");
    let line = "the server's certificate has expired on Sat, 03 Feb 2001 00:00:00 GMT: renew it";
    assert!(expired.contains(line), "{expired}");
    files.issue_as(|leaf| leaf.not_before = date_time_ymd(4000, 1, 1));
    let early = asked("127.0.0.1");
    let line = "the server's certificate is not valid before Sat, 01 Jan 4000 00:00:00 GMT: set this machine's clock";
    assert!(early.contains(line), "{early}");
    files.issue_as(|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let authority = asked("127.0.0.1");
    let line = "is an authority's own: make one with `basicConstraints=CA:FALSE`";
    assert!(authority.contains(line), "{authority}");
}

#[test]
fn curl_sends_and_gets_a_mebibyte() {
    let files = Files::new();
    let server = files.serve();
    let body: Vec<u8> = (0..1 << 20).map(|at: u32| (at / 5) as u8).collect();
    std::fs::write(files.path("body"), &body).unwrap();
    let url = format!("https://{}/echo", server.addrs[0]);
    for framing in ["x-a: b", "transfer-encoding: chunked"] {
        let data = format!("@{}", files.path("body"));
        let back = files.curl(&["-H", framing, "--data-binary", &data, &url]);
        out(&back);
        assert!(back.stdout == body, "{} bytes came back", back.stdout.len());
    }
}

#[test]
fn python_speaks_websocket_over_tls() {
    let files = Files::new();
    let server = files.serve();
    let url = format!("wss://{}/echo_socket", server.addrs[0]);
    converse(&[&url, &files.path("root.pem")]);
}

#[test]
fn sighup_has_the_certificate_read_again() {
    let files = Files::new();
    let server = files.serve();
    let url = format!("https://{}/hello_plugin", server.addrs[0]);
    out(&files.curl(&[&url]));
    // From here on, curl only trusts the new root.
    files.issue();
    assert!(!files.curl(&[&url]).status.success());
    server.signal("HUP");
    server.wait_for_err("is used from now on");
    out(&files.curl(&[&url]));
    files.write("cert.pem", "nothing of worth");
    server.signal("HUP");
    server.wait_for_err("the old certificate stays in use");
    assert!(
        server.err().contains("there is no certificate in it"),
        "{}",
        server.err()
    );
    out(&files.curl(&[&url]));
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn a_key_that_everybody_may_read_is_warned_of() {
    let files = Files::new();
    let warned = |mode| {
        files.allow(mode);
        let server = files.serve();
        server.signal("TERM");
        server
            .end()
            .err
            .contains("every user of this machine may read the private key")
    };
    assert!(!warned(0o640));
    assert!(warned(0o644));
}

#[test]
fn a_pair_that_does_not_fit_keeps_it_from_starting() {
    let files = Files::new();
    files.write("key.pem", &KeyPair::generate().unwrap().serialize_pem());
    let args = [&["run".to_owned(), "-w".to_owned()][..], &files.args()].concat();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ended = crate::support::run(&args);
    assert_eq!(ended.code, Some(1));
    let faults = ended.faults();
    assert!(
        faults.len() == 1
            && faults[0].contains("the private key does not match the first certificate"),
        "{faults:?}"
    );
}
