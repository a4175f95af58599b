//! [`Failure`]: why a request that was begun has no response, and whether it may be sent again.

use super::{error, head::Target, upload::Upload};
use crate::Fault;

/// Why there is no response.
pub(super) enum Failure {
    /// The connection was closed before a byte of the request was sent.
    Unsent(Box<hyper::Request<Upload>>),
    /// The connection was closed before the response's head arrived.
    Closed(hyper::Error),
    Fault(Fault),
}

impl Failure {
    pub(super) fn of(
        mut error: hyper::client::conn::TrySendError<hyper::Request<Upload>>,
        target: &Target,
        max_headers: usize,
    ) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(Box::new(request)),
            None if error::is_closed(error.error()) => Self::Closed(error.into_error()),
            None => Self::Fault(error::of_hyper(error.error(), target, max_headers)),
        }
    }
}
