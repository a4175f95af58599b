//! nginx as a proxy: with its defaults (HTTP/1.0, a connection for each request), and with connections that are kept;
//! requests and uploads go through it.

use crate::{
    program::{REQUESTS, Serving, bytes, program, run},
    support::Folder,
    uploads::{curl, upload},
};
use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// nginx, on sockets in a separate folder: `defaults`, `kept`, and `streamed`, which passes uploads on as they arrive.
struct Nginx {
    child: Child,
    folder: Folder,
}

impl Nginx {
    fn start(upstream: &str) -> Self {
        let folder = Folder::new("");
        let path = folder.path().display().to_string();
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};\n"))
            .concat();
        let server = |socket: &str, lines: &str| {
            format!(
                "server {{ listen unix:{path}/{socket}; client_max_body_size 0; location / {{ {lines} }} }}\n"
            )
        };
        let kept =
            "proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection \"\";";
        let config = format!(
            "pid {path}/pid; worker_processes 1; daemon off; error_log {path}/errors;
             events {{ worker_connections 512; }}
             http {{
                 access_log off;
                 {temp}
                 upstream kept {{ server {upstream}; keepalive 8; }}
                 {}{}{}
             }}",
            server("defaults", &format!("proxy_pass http://{upstream};")),
            server("kept", kept),
            server(
                "streamed",
                &format!("{kept} proxy_request_buffering off; proxy_buffering off;")
            ),
        );
        folder.write("nginx.conf", config);
        let mut nginx = program("nginx", "nginx-light");
        nginx.args([
            "-p",
            &path,
            "-e",
            &folder.file("errors"),
            "-c",
            &folder.file("nginx.conf"),
        ]);
        let child = nginx.stdin(Stdio::null()).spawn().unwrap();
        let mut nginx = Self { child, folder };
        let since = Instant::now();
        while !nginx.socket("streamed").exists() {
            let ended = nginx.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", nginx.errors());
            assert!(
                since.elapsed() < Duration::from_secs(60),
                "{}",
                nginx.errors()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        nginx
    }

    fn socket(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Its complaints. A note that it keeps a large body in a file is not one.
    fn errors(&self) -> String {
        let errors = std::fs::read_to_string(self.socket("errors")).unwrap_or_default();
        let lines = errors.lines().filter(|line| {
            !line.contains("is buffered to a temporary file") && !line.contains("[notice]")
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master, which ends its worker with itself.
        let pid = self.child.id().to_string();
        let _ = std::process::Command::new("kill").arg(pid).status();
        let _ = self.child.wait();
    }
}

fn each_way(check: impl Fn(&Path)) {
    let serving = Serving::start();
    let nginx = Nginx::start(serving.addr());
    for name in ["defaults", "kept", "streamed"] {
        check(&nginx.socket(name));
        assert_eq!(nginx.errors(), "", "{name}");
    }
    serving.is_content();
}

#[test]
fn a_thousand_requests_through_it() {
    each_way(|socket| {
        let mut curl = curl();
        curl.arg("--unix-socket").arg(socket);
        curl.args([
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} %{size_download}\n",
        ]);
        let out = run(curl.arg(format!("http://a/hello?n=[1-{REQUESTS}]")));
        assert_eq!(out, "200 25\n".repeat(REQUESTS), "{socket:?}");
    });
}

#[test]
fn uploads_through_it() {
    each_way(|socket| {
        let socket = socket.to_str().unwrap();
        // nginx sends nothing more of a body once it passes the response on, so an echo that begins before the end
        // would wait for ever.
        for length in [0, 100_000, 5_000_000] {
            upload(
                "http://a/whole/echo-whole",
                &["--unix-socket", socket],
                &bytes(length),
            );
        }
    });
}
