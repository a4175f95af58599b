//! What every boundary and every host of Valor uses, and nothing else: no `http_types`, no I/O.
//!
//! Authors of vlugins need none of it: [`valor_abi`](https://docs.rs/valor_abi) is for them. The boundaries
//! (`valor_abi_native`, `valor_abi_guest`) carry these types, the glue around a handler converts them to `http_types`
//! (`valor_abi_http`), and the host only works with these.
//!
//! - [`Request`] and [`Response`]: a head, which is one block of bytes ([`RequestHead`], [`ResponseHead`]), and a
//!   [`Body`] as bytes or in chunks.
//! - [`Fault`]: what a request ends with instead of a response.
//! - [`Host`]: what a vlugin may ask for. [`Instance`]: what a host may ask of a vlugin. [`scope`]: whose code runs.
//! - [`unwind`]: panics, caught where they happen. [`lock`]: mutexes, after one.
//! - [`metadata`]: what a file says about itself.

#![forbid(unsafe_code)]

mod body;
mod fault;
mod head;
mod host;
mod instance;
pub mod lock;
pub mod metadata;
mod request;
#[cfg(not(target_family = "wasm"))]
pub mod scope;
mod status;
pub mod unwind;

pub use body::{Body, BoxFuture, Bytes, Chunk, ChunkStream, Stream};
pub use fault::{Fault, FaultKind};
pub use head::{HeadError, ROOM, RequestHead, ResponseHead, decode_headers, encode_headers};
pub use host::{Host, LogRecord};
pub use instance::{Created, Instance};
pub use request::{Request, Response, Signature};
