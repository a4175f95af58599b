//! The crate [`http_types`](https://docs.rs/http-types/2), with a [`Request`] and a [`Response`] whose parts are made
//! when they are asked for.

#[doc(no_inline)]
pub use http_types::*;
#[doc(inline)]
pub use valor_abi_http::{Request, Response};
