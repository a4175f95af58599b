//! Conversations of raw bytes with a real server over real sockets.
//!
//! - `policy`: the table of what goes in and what must come out, at once, byte by byte and in
//!   random segments.
//! - `answers`: what a vlugin answers, and what comes out of it.
//! - `bodies`: bodies in both directions, their back-pressure, and `100-continue`.
//! - `limits`: time limits, connections, and clients that go away.
//! - `lifecycle`: binding, Unix sockets, workers and shutting down.
//! - `tls`: certificates, handshakes and ends.
//! - `upgrade`: connections that go on in another protocol.

mod answers;
mod bodies;
mod harness;
mod lifecycle;
mod limits;
mod policy;
mod tls;
mod upgrade;
