//! Tests for a vlugin: it runs inside the test, without a server, a library file or a runtime, with a host that the
//! test makes up.
//!
//! ```
//! use valor::*;
//!
//! #[vlugin]
//! pub async fn on_create(cx: &mut Context) {
//!     let name = cx.config::<String>().unwrap();
//!     cx.set(name);
//! }
//!
//! pub async fn on_request(cx: &Context, req: http::Request) -> String {
//!     format!("{} says hello to {}", cx.get::<String>(), req.url().path())
//! }
//!
//! # fn main() {
//! let alice = testing::create(VLUGIN, "Alice");
//! alice
//!     .get("/bob")
//!     .assert_status(200)
//!     .assert_header("content-type", "text/plain;charset=utf-8")
//!     .assert_body("Alice says hello to /bob");
//! # }
//! ```
//!
//! Everything blocks until it is answered, so a test is a plain `#[test]` function. [`TestHost`] sets what the vlugin
//! gets from its host: other servers, other vlugins, the time.
//!
//! Time does not pass by itself here. When everything waits, the host's clock jumps to the end of the shortest
//! [`sleep`](crate::sleep), so that waiting costs no time and gives the same result every time.

mod clock;
mod host;
mod response;
mod vlugin;
mod world;

pub use host::TestHost;
pub use response::TestResponse;
pub use vlugin::{TestRequest, TestVlugin};
pub use world::LogLine;

use crate::Entry;

/// Creates a vlugin with this config (`()` for none) and a host that offers nothing: it refuses every `fetch` and knows
/// no other vlugin.
///
/// # Panics
/// If the vlugin cannot be created; [`TestHost::try_create`] returns the reason.
#[track_caller]
pub fn create(vlugin: Entry, config: impl serde::Serialize) -> TestVlugin {
    TestHost::new().config(config).create(vlugin)
}
