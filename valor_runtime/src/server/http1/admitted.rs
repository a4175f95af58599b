//! What the guard knows about a request whose head passed: all that `connection` and `exchange` need to serve it.

use super::framing::Framing;
use valor_abi_wire::RequestHead;

/// A head that passed.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) head: RequestHead,
    pub(super) framing: Framing,
    /// Whether the client wants to send another request.
    pub(super) keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    /// Whether it is `OPTIONS *`, a question to the server rather than to a vlugin.
    pub(super) about_server: bool,
    /// Whether the client offers to switch to another protocol.
    pub(super) offers_upgrade: bool,
    /// Whether it has headers that only a proxy may set.
    pub(super) is_forwarded: bool,
}
