//! The pages of the book for authors: their Rust examples are the doctests of this module, which exists for nothing
//! else.

#[doc = include_str!("../../docs/src/abi.md")]
mod abi {}
#[cfg(feature = "tower")]
#[doc = include_str!("../../docs/src/axum.md")]
mod axum {}
#[doc = include_str!("../../docs/src/crates.md")]
mod crates {}
#[doc = include_str!("../../docs/src/errors.md")]
mod errors {}
#[doc = include_str!("../../docs/src/host.md")]
mod host {}
#[doc = include_str!("../../docs/src/input.md")]
mod input {}
#[doc = include_str!("../../docs/src/modules.md")]
mod modules {}
#[doc = include_str!("../../docs/src/responses.md")]
mod responses {}
#[doc = include_str!("../../docs/src/routing.md")]
mod routing {}
#[doc = include_str!("../../docs/src/testing.md")]
mod testing {}
#[doc = include_str!("../../docs/src/upgrade.md")]
mod upgrade {}
#[doc = include_str!("../../docs/src/write.md")]
mod write {}
