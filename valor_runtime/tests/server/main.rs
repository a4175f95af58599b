//! Conversations of raw bytes with a real server over real sockets. `tests/policy` has the rows of the policy; these
//! tests cover the rest.
//!
//! - `answers`: the server's answers, and those of a vlugin.
//! - `access`: what the log and the metrics say that a client got.
//! - `bodies`: bodies in both directions, their back-pressure, and `100-continue`.
//! - `forwarded`: what proxies say about clients, and which proxies are believed.
//! - `limits`: time limits, connections, and clients that leave.
//! - `lifecycle`: binding, Unix sockets, workers and shutting down.
//! - `tls`: certificates, handshakes and ends.
//! - `upgrade`: connections that go on in another protocol.

mod access;
mod answers;
mod bodies;
mod forwarded;
mod harness;
mod lifecycle;
mod limits;
mod tls;
mod upgrade;
