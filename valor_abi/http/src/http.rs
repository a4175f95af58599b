//! `http_types`, with a request and a response whose parts are made when they are asked for. Authors know this as
//! `valor::http`.

pub use crate::message::{Request, Response};
#[doc(no_inline)]
pub use http_types::*;
