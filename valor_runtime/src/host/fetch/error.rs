//! Names for failures: hyper's errors and the client's own, each as one line with the host, the port and the reason.

use super::distrust;
use crate::{Fault, FaultKind, descriptors::Short, host::allow::NotAllowed, status::MAX_HEAD};
use futures_rustls::rustls;
use hyper::Error;
use std::{
    error::Error as StdError,
    fmt::Display,
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Why there is no [`Fetcher`](super::Fetcher).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The environment names root certificates, and none could be read.
    #[error("no root certificate could be read from {variable}={value}: {reason}")]
    Roots {
        /// The variable of the environment.
        variable: &'static str,
        /// The variable's value.
        value: String,
        /// What was wrong.
        reason: String,
    },
    /// One of [`FetchConfig::extra_roots`](super::FetchConfig::extra_roots) is no certificate.
    #[error("an extra root cannot be trusted: it {}", distrust::root(.0))]
    ExtraRoot(#[source] rustls::Error),
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(#[source] rustls::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the name does not resolve: {0}")]
    Resolve(io::Error),
    #[error("the name resolves to no address")]
    NoAddress,
    #[error("{}", shown(.0))]
    Tcp(Vec<(SocketAddr, io::Error)>),
    #[error("{0}")]
    Short(Short),
    #[error("the system reports nothing about the connection: {0}")]
    Watch(io::Error),
    #[error("{}", distrust::why(.0))]
    Tls(io::Error),
    #[error("not within {0:?}")]
    TimedOut(Duration),
    #[error("{address} is {kind}")]
    Inside { address: IpAddr, kind: &'static str },
}

pub(super) fn shown(failures: &[(SocketAddr, io::Error)]) -> String {
    let each: Vec<_> = failures.iter().map(|(a, e)| format!("{a}: {e}")).collect();
    each.join(", ")
}

/// So much is read to find the end of a head: the longest, its first line, and what hyper had in its buffer before.
pub(super) const HEAD_BUFFER: usize = MAX_HEAD + (8 << 10);

pub(super) fn refused(target: &impl Display, refusal: &NotAllowed) -> Fault {
    let why = match refusal {
        NotAllowed::NotListed => String::new(),
        NotAllowed::Inside(address, kind) => format!(
            ", because {address} is {kind}, which must be named even if a wildcard allows everything else"
        ),
    };
    Fault::refused(
        403,
        format!("{target} may not be reached{why}: add \"{target}\" to this vlugin's `allow`"),
    )
}

pub(super) fn bad_request(message: impl Into<String>) -> Fault {
    Fault::error(400, message)
}

pub(super) fn bad_upload(target: &impl Display, error: &io::Error) -> Fault {
    bad_request(format!(
        "the body of the request to {target} failed: {error}"
    ))
}

pub(super) fn bad_gateway(target: &impl Display, reason: &str) -> Fault {
    Fault::error(502, format!("no response from {target}: {reason}"))
}

pub(super) fn too_long(target: &impl Display, len: u64, limit: u64) -> Fault {
    let message = format!(
        "the response from {target} is {len} bytes long; responses are limited to {limit} bytes"
    );
    Fault::refused(502, message)
}

pub(super) fn no_head(target: &impl Display, limit: Duration) -> Fault {
    timeout(format!("no response from {target} within {limit:?}"))
}

fn timeout(message: String) -> Fault {
    Fault::new(FaultKind::Timeout, 504, message)
}

/// Whether the server closed the connection before its response was whole.
pub(super) fn is_closed(error: &Error) -> bool {
    causes(error).any(|cause| {
        let hyper = cause.downcast_ref::<hyper::Error>();
        hyper.is_some_and(|e| e.is_incomplete_message() || e.is_canceled() || e.is_closed())
            || cause.downcast_ref::<io::Error>().is_some_and(|e| {
                matches!(
                    e.kind(),
                    io::ErrorKind::BrokenPipe
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        // TLS that was not closed properly.
                        | io::ErrorKind::UnexpectedEof
                )
            })
    })
}

pub(super) fn of_connect(error: &ConnectError, target: &impl Display) -> Fault {
    let message = format!("no connection to {target}: {error}");
    match error {
        ConnectError::Inside { address, kind } => {
            refused(target, &NotAllowed::Inside(*address, kind))
        }
        ConnectError::TimedOut(_) => timeout(message),
        ConnectError::Short(_) => Fault::refused(503, message),
        _ => Fault::error(502, message),
    }
}

/// That the headers of a response are too long.
pub(super) fn too_long_head(target: &impl Display, len: usize) -> Fault {
    let why = format!("its head has {len} bytes, more than {MAX_HEAD}, which is the limit");
    Fault::refused(502, format!("no response from {target}: {why}"))
}

/// The fault of a request that was begun. Its response may have at most `max_headers` headers.
pub(super) fn of_hyper(error: &Error, target: &impl Display, max_headers: usize) -> Fault {
    // While hyper works, it asks the vlugin only for the body.
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(cause) if error.is_user() => bad_upload(target, cause),
        _ if error.is_parse_too_large() => {
            let most = format!("{max_headers} headers or {MAX_HEAD} bytes");
            let why = format!("its head has more than {most}, which is the limit");
            Fault::refused(502, format!("no response from {target}: {why}"))
        }
        _ => bad_gateway(target, &reason(error)),
    }
}

/// An error and its causes, in one line.
pub(super) fn reason(error: &Error) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

fn causes(error: &Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next = Some(error as &(dyn StdError + 'static));
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}
