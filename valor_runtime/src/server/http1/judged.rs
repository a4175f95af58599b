//! What the guard knows of a request whose head passed: all that `connection` and `exchange` need to serve it.

use super::framing::Framing;
use valor::wire::RequestHead;

/// A head that passed.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) head: RequestHead,
    pub(super) framing: Framing,
    /// Whether the client means to send another request.
    pub(super) keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    /// Whether it is `OPTIONS *`, which asks about the server and not about a vlugin.
    pub(super) about_server: bool,
    /// Whether the client offers to go on in another protocol.
    pub(super) offers_upgrade: bool,
    /// Whether it has headers that only a proxy has a say in.
    pub(super) is_forwarded: bool,
}
