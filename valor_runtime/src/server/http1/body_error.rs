//! Why a request's body breaks off: what the vlugin that reads it sees, and what the client gets.

use super::refusal::Refusal;
use std::io;

/// Why a body breaks off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request's body is malformed: {0}")]
    Malformed(&'static str),
    #[error("the trailers of the request's body are too large")]
    TrailersTooLarge,
    #[error("the client did not go on with the request's body in time")]
    TooSlow,
    #[error("the client went away in the middle of the request's body")]
    Ended,
    #[error("the request is over, and with it its body")]
    Abandoned,
}

impl BodyError {
    pub(super) fn to_io(&self) -> io::Error {
        let kind = match self {
            Self::Malformed(_) | Self::TrailersTooLarge => io::ErrorKind::InvalidData,
            Self::TooSlow => io::ErrorKind::TimedOut,
            Self::Ended => io::ErrorKind::UnexpectedEof,
            Self::Abandoned => io::ErrorKind::ConnectionAborted,
        };
        io::Error::new(kind, self.to_string())
    }

    /// The answer to the client, if it is still there.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let status = match self {
            Self::Malformed(_) => 400,
            Self::TrailersTooLarge => 431,
            Self::TooSlow => 408,
            Self::Ended | Self::Abandoned => return None,
        };
        Some(Refusal::new(status, self.to_string()))
    }
}
