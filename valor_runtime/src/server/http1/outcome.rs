//! [`Outcome`], what an exchange leaves to its connection. `exchange` ends with one, and `connection` acts on it.

use super::{closing::Closing, refusal::Refusal, upgrade::Tunnel};

/// How an exchange ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The response is in the output; the next request may come.
    Next,
    /// The output has to be written and the connection closed.
    Close(Closing),
    /// This has to be answered and the connection closed.
    Refuse(Refusal),
    /// The head of the response is in the output; the connection goes on in another protocol.
    Switch(Box<Tunnel>),
}
