//! What a request ends with instead of a response.
//!
//! The glue around a vlugin turns an `Err` or a panic into a [`Fault`]; the host logs it with the vlugin's name and
//! answers instead.

use crate::unwind::Panicked;
use std::fmt;

/// A request that a vlugin failed to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// The status to answer with, 400 to 599.
    pub status: u16,
    /// One line for the log. Below status 500, the client sees it as well.
    pub message: String,
    /// `file:line:column` of a panic.
    pub place: Option<String>,
}

/// The kinds of [`Fault`]. The numbers cross the boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum FaultKind {
    /// The handler returned an error.
    Error = 0,
    /// The handler panicked.
    Panic = 1,
    /// The host refused: no such vlugin, a limit, a host that is not allowed.
    Refused = 2,
    /// A request of the vlugin, or the vlugin itself, took too long.
    Timeout = 3,
}

impl FaultKind {
    /// The kind of this number; [`FaultKind::Error`] for an unknown one.
    pub fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Panic,
            2 => Self::Refused,
            3 => Self::Timeout,
            _ => Self::Error,
        }
    }
}

impl Fault {
    /// A fault with a status; one outside 400 to 599 becomes 500.
    pub fn new(kind: FaultKind, status: u16, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: if (400..600).contains(&status) {
                status
            } else {
                500
            },
            message: message.into(),
            place: None,
        }
    }

    /// An error of the handler or of its input.
    pub fn error(status: u16, message: impl Into<String>) -> Self {
        Self::new(FaultKind::Error, status, message)
    }

    /// A refusal by the host.
    pub fn refused(status: u16, message: impl Into<String>) -> Self {
        Self::new(FaultKind::Refused, status, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.place {
            Some(place) => write!(f, " at {place}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Panicked> for Fault {
    fn from(panicked: Panicked) -> Self {
        Self {
            kind: FaultKind::Panic,
            status: 500,
            message: panicked.message,
            place: panicked.place,
        }
    }
}
