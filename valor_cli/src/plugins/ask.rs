//! Sends one request to a server's `/_plugins` and reads the answer: over TCP, a Unix socket, or TLS. `plugins` makes
//! the request and reports the result.
//!
//! This module speaks plain HTTP to an address or a socket. For a URL it uses the runtime's own client, which has TLS
//! and the roots of trust.

use crate::{
    args::RegistryAddr,
    exit::{FAULTS, Failure},
};
use futures_lite::io::{AsyncRead, AsyncWrite};
use hyper::{
    Method, Request, StatusCode,
    body::{Body, Incoming},
    client::conn::http1,
};
use smol_hyper::rt::FuturesIo;
use std::{future::poll_fn, path::Path, pin::pin, time::Duration};
use valor_runtime::{
    host::{
        allow::Allow,
        fetch::{FetchConfig, Fetcher, UNTRUSTED},
    },
    server::{Listen, TlsError, certificates},
};

/// How long the server may take: it loads a library in that time, which may take a minute.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest accepted answer, in bytes.
const LONGEST: usize = 64 * 1024 * 1024;

/// A request to a server's registry.
pub struct RegistryRequest<'a> {
    pub addr: &'a RegistryAddr,
    /// Certificates to trust besides the platform's.
    pub roots: Vec<Vec<u8>>,
    pub token: Option<String>,
    pub method: Method,
    pub path: String,
    pub body: String,
}

/// The certificates of `--ca-file`.
///
/// # Errors
/// If it cannot be read, or contains none.
pub fn roots(file: Option<&Path>) -> Result<Vec<Vec<u8>>, Failure> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    certificates(file).map_err(|error| {
        fault(match error {
            TlsError::NoCertificate(_) => {
                format!(
                    "{}: there is no certificate in it; --ca-file takes PEM, `BEGIN CERTIFICATE`",
                    file.display()
                )
            }
            error => error.to_string(),
        })
    })
}

fn fault(line: String) -> Failure {
    Failure::new(FAULTS, [line])
}

impl RegistryRequest<'_> {
    /// Sends it. Returns the answer's status and its text.
    ///
    /// # Errors
    /// If there is no answer, in one line.
    pub async fn send(self) -> Result<(StatusCode, String), Failure> {
        let addr = self.addr;
        let late = async {
            smol::Timer::after(PATIENCE).await;
            Err(format!("no answer within {} s", PATIENCE.as_secs()))
        };
        let answer = futures_lite::future::or(self.exchange(), late).await;
        answer.map_err(|error| {
            let remedy = match &error {
                error if error.contains(UNTRUSTED) => {
                    "; name the certificate of its authority with --ca-file"
                }
                // The server runs, and its answer says what to do.
                error if error.contains("the server's certificate") || error.contains("TLS") => "",
                _ => "; is it running there? `--addr` gives its address",
            };
            fault(format!(
                "the server at {addr} cannot be asked: {error}{remedy}"
            ))
        })
    }

    async fn exchange(self) -> Result<(StatusCode, String), String> {
        let told = |error: std::io::Error| error.to_string();
        match self.addr {
            RegistryAddr::Url(url) => {
                let url = format!("{url}{}", self.path);
                self.over_url(&url).await
            }
            RegistryAddr::Listen(Listen::Tcp(addr)) => {
                let stream = smol::net::TcpStream::connect(addr).await.map_err(told)?;
                self.over(stream).await
            }
            #[cfg(unix)]
            RegistryAddr::Listen(Listen::Unix(path)) => {
                let stream = smol::net::unix::UnixStream::connect(path).await;
                self.over(stream.map_err(told)?).await
            }
            #[allow(unreachable_patterns)]
            other => Err(format!("{other} is not an address to connect to")),
        }
    }

    async fn over_url(self, url: &str) -> Result<(StatusCode, String), String> {
        let config = FetchConfig {
            head_timeout: PATIENCE,
            response_limit: LONGEST as u64,
            extra_roots: self.roots,
            ..FetchConfig::default()
        };
        let fetcher = Fetcher::new(config).map_err(|error| error.to_string())?;
        let mut request = valor_runtime::Request::new(self.method.as_str(), url)
            .map_err(|error| error.to_string())?;
        let mut header = |name: &str, value: &str| {
            let pushed = request.head.push(name, value.as_bytes());
            pushed.map_err(|error| format!("`{name}` cannot be sent: {error}"))
        };
        header("content-type", "application/json")?;
        if let Some(token) = self.token {
            header("authorization", &format!("Bearer {token}"))?;
        }
        request.body = self.body.into();
        let response = fetcher
            .fetch(request, &Allow::all())
            .await
            .map_err(|fault| fault.message)?;
        let status =
            StatusCode::from_u16(response.head.status()).map_err(|error| error.to_string())?;
        let bytes = response
            .body
            .bytes(LONGEST)
            .await
            .map_err(|error| error.to_string())?;
        Ok((
            status,
            String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?,
        ))
    }

    async fn over<S>(self, stream: S) -> Result<(StatusCode, String), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let told = |error: hyper::Error| error.to_string();
        let (mut sender, connection) = http1::handshake(FuturesIo::new(stream))
            .await
            .map_err(told)?;
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        if let Some(token) = self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(self.body).map_err(|error| error.to_string())?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(told)?;
            let status = response.status();
            Ok((status, text_of(response.into_body()).await?))
        };
        // The connection is driven next to the exchange, and ends with it.
        let driven = async {
            match connection.await {
                Ok(()) => futures_lite::future::pending().await,
                Err(error) => Err(error.to_string()),
            }
        };
        futures_lite::future::or(answer, driven).await
    }
}

async fn text_of(body: Incoming) -> Result<String, String> {
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > LONGEST {
            return Err("its answer is too long".into());
        }
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}
