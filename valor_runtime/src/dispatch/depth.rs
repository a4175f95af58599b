//! How deep calls of vlugins are in each other. A call is polled by its caller, on the caller's stack, so a vlugin that
//! calls itself, or two that call each other, would end the process when that stack is full. [`Dispatch::call`] counts
//! each level here and refuses the ones beyond [`MOST`], whatever `limits.calls` allows: those count for each vlugin.
//!
//! [`Dispatch::call`]: super::Dispatch::call

use std::{cell::Cell, pin::pin};

/// The most calls within each other. A level takes a hundred kilobytes of stack without optimisations, and a worker has
/// two megabytes.
pub const MOST: usize = 10;

thread_local! {
    /// The calls that are being polled on this thread, each by the one before.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// The calls that are being polled on this thread.
pub fn now() -> usize {
    DEPTH.try_with(Cell::get).unwrap_or_default()
}

/// Counts a call whenever it is polled.
pub async fn counted<F: Future>(call: F) -> F::Output {
    struct Level;
    impl Drop for Level {
        fn drop(&mut self) {
            let _ = DEPTH.try_with(|depth| depth.set(depth.get().saturating_sub(1)));
        }
    }
    let mut call = pin!(call);
    std::future::poll_fn(|cx| {
        let _ = DEPTH.try_with(|depth| depth.set(depth.get() + 1));
        let _level = Level;
        call.as_mut().poll(cx)
    })
    .await
}
