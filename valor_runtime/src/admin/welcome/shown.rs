//! [`Welcome`]: the program's end of the welcome page, where it puts the lines of its log and ends the streams.

use super::lines::Lines;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// What a program shows on the welcome page beside its vlugins, the lines of its log. Clones share them.
///
/// ```
/// use valor_runtime::{Runtime, Welcome, http};
///
/// # futures_lite::future::block_on(async {
/// let welcome = Welcome::default();
/// let runtime = Runtime::builder().welcome(welcome.clone()).build()?;
/// welcome.line("it begins");
///
/// let mut req = http::Request::new(http::Method::Get, "http://localhost/");
/// req.insert_header("accept", "text/html");
/// assert_eq!(runtime.handle(req).await.status(), 200);
/// # Ok::<(), valor_runtime::RuntimeError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Welcome(pub(super) Arc<Shared>);

/// What its clones share.
#[derive(Debug, Default)]
pub struct Shared {
    pub lines: Lines,
    /// How many streams of events are open.
    pub streams: AtomicUsize,
    /// Whether they are to end.
    pub ended: AtomicBool,
}

impl Welcome {
    /// Appends a line of the log, of which the last 200 are shown.
    pub fn line(&self, line: &str) {
        self.0.lines.push(line);
    }

    /// Ends the open pages' streams of events within a second, so that a server that drains does not wait for them.
    pub fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
    }
}
