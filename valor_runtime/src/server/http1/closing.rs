//! How a connection ends. The code that serves it, as requests or in another protocol, decides; `connection` closes
//! it.

use std::io;

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// The client knows that it ends.
    Plain,
    /// The client may still be sending, and has to get what was written all the same.
    Lingering,
    /// The client must not take it for the end of the body.
    Reset,
    /// Nothing can be written any more.
    Dead,
}

/// A write or read that failed: the client has gone.
pub(super) fn dead(error: &io::Error) -> Closing {
    log::debug!(target: "valor::server", "a connection broke: {error}");
    Closing::Dead
}
