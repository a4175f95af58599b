//! Conversations of raw bytes with a real server over real sockets. What the policy says row by row
//! is in `tests/policy`; here is what stands behind the rows.
//!
//! - `answers`: what a vlugin answers, and what comes out of it.
//! - `bodies`: bodies in both directions, their back-pressure, and `100-continue`.
//! - `forwarded`: what proxies say of clients, and who is believed.
//! - `limits`: time limits, connections, and clients that go away.
//! - `lifecycle`: binding, Unix sockets, workers and shutting down.
//! - `tls`: certificates, handshakes and ends.
//! - `upgrade`: connections that go on in another protocol.

mod answers;
mod bodies;
mod forwarded;
mod harness;
mod lifecycle;
mod limits;
mod tls;
mod upgrade;
