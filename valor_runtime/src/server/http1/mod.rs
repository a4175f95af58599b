//! HTTP/1.1 and HTTP/1.0: bytes of a socket to requests, and responses back to bytes. The server hands each client to
//! a [`Connection`]. A request that is not sound is answered here, with a status and a problem, in a bounded amount
//! of memory.
//!
//! # Layout
//!
//! - `connection`: the loop of one connection; `exchange`: one request and its response on it; `outcome`: how that
//!   ends; `upload`: that
//!   request's body; `upgrade`: what follows a switch to another protocol; `closing`: how a connection ends;
//!   `substitute`: responses in place of a vlugin's.
//! - `guard`: judges heads; `target`: what they ask for; `fields`: where their bodies end; `admitted` and `refusal`:
//!   the two results; `forwarded`: what proxies say about clients.
//! - `framing` and `chunked`: cut bodies out of the input; `body`: hands them to the vlugin; `body_error`: why one
//!   breaks off.
//! - `codec`: turns responses into bytes.
//! - `buffer`: a connection's bytes, and its time limit.
//! - `testing`: what the guard and the bodies promise, only for tests and the fuzz target.

mod admitted;
mod body;
mod body_error;
mod buffer;
mod chunked;
mod closing;
mod codec;
mod connection;
mod exchange;
mod fields;
mod forwarded;
mod framing;
mod guard;
mod outcome;
mod refusal;
mod substitute;
mod target;
#[cfg(any(test, feature = "fuzzing"))]
mod testing;
mod upgrade;
mod upload;

pub(crate) use self::connection::Connection;
#[cfg(feature = "fuzzing")]
pub use self::testing::check;
