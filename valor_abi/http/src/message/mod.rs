//! [`Request`] and [`Response`], the types of `valor::http`: those of `http_types`, made on demand.
//!
//! Most handlers look at a path or at one header, and `http_types` would first parse, copy and allocate all of a
//! message. So a message stays the block that crossed the boundary, and what is asked for most is answered from it.
//! Everything else is a method of `http_types`' own type, to which both dereference: the first such call makes it.
//! Whether it can be made is checked before a handler has the message.

mod asked;
mod request;
mod response;
mod shared;
#[cfg(all(feature = "surf", not(target_family = "wasm")))]
mod surf;

pub use request::{Request, request_from_wire};
pub use response::{
    Response, response_from_wire, response_from_wire_with_trailers, response_into_wire,
};
pub(crate) use response::{response_to, switch};
