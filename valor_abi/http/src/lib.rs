//! Converts what crosses the boundaries to the types of `valor::http`, and back: those of `http_types`, with a
//! [`Request`] and a [`Response`] that are made on demand.
//!
//! The glue around a handler written in Rust calls these, on whichever side of a boundary the handler lives. So does a
//! host that a program embeds. [`answer()`] is the whole way, upgrades included. Bodies of known, small size are moved
//! whole; others stay streams.

#![forbid(unsafe_code)]

mod answer;
mod assemble;
mod body;
mod error;
mod headers;
mod message;
mod parts;
mod request;
mod response;
mod upgrade;
#[cfg(not(target_family = "wasm"))]
mod url;

pub use answer::{Answer, answer, answer_wire};
#[doc(hidden)]
pub use assemble::http_url;
pub use body::{body_from_wire, body_into_wire, with_trailers};
pub use error::{to_fault, to_http};
pub use message::{
    Request, Response, request_from_wire, response_from_wire, response_from_wire_with_trailers,
    response_into_wire,
};
pub use request::{request_into_wire, request_into_wire_absolute};
