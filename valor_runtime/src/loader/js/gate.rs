//! [`Gates`]: bodies of requests whose clients wait for `100 Continue` (RFC 9110, section 10.1.1), each held back until
//! its script reads it. `worker` holds them back; `requests` learns from the script that it reads.
//!
//! Otherwise the link's connection would read ahead, and the client would send a body that the script may never read.

use crate::{Body, Chunk, Request};
use futures_core::Stream;
use futures_util::task::AtomicWaker;
use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};
use valor_abi_wire::{ChunkStream, lock::locked};

/// The bodies of a worker's requests that nobody has read yet.
#[derive(Default)]
pub(super) struct Gates(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    last: u32,
    /// If its request has ended, the body is gone.
    gates: HashMap<u32, Weak<Gate>>,
}

#[derive(Default)]
struct Gate {
    open: AtomicBool,
    waker: AtomicWaker,
}

impl Gates {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        locked(&self.0)
    }

    /// Holds back the body of a request whose client waits, and returns the number that opens it; `None` for any other
    /// request.
    pub(super) fn hold(&self, request: &mut Request) -> Option<u32> {
        let expects = request.head.header_str("expect")?;
        if !expects.trim().eq_ignore_ascii_case("100-continue") {
            return None;
        }
        let Body::Stream { chunks, .. } = &mut request.body else {
            return None;
        };
        let gate = Arc::<Gate>::default();
        let held = Held {
            gate: Some(gate.clone()),
            chunks: std::mem::replace(chunks, Box::pin(futures_lite::stream::empty())),
        };
        *chunks = Box::pin(held);
        let mut waiting = self.waiting();
        waiting.gates.retain(|_, gate| gate.strong_count() > 0);
        waiting.last = waiting.last.wrapping_add(1);
        let id = waiting.last;
        waiting.gates.insert(id, Arc::downgrade(&gate));
        Some(id)
    }

    /// Releases a body. An unknown number is ignored: the script may send any number.
    pub(super) fn open(&self, id: u32) {
        let gate = self.waiting().gates.remove(&id);
        if let Some(gate) = gate.and_then(|gate| gate.upgrade()) {
            gate.open.store(true, Ordering::Release);
            gate.waker.wake();
        }
    }
}

/// A body behind its gate.
struct Held {
    gate: Option<Arc<Gate>>,
    chunks: ChunkStream,
}

impl Held {
    fn poll_open(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(gate) = &self.gate else {
            return Poll::Ready(());
        };
        gate.waker.register(cx.waker());
        if !gate.open.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.gate = None;
        Poll::Ready(())
    }
}

impl Stream for Held {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.poll_open(cx));
        self.chunks.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    fn request(expect: &str) -> Request {
        let mut request = Request::new("POST", "/").unwrap();
        request.head.push("expect", expect.as_bytes()).unwrap();
        let chunk = Ok(Chunk::Data("hi".into()));
        request.body = Body::stream(Some(2), futures_lite::stream::iter([chunk]));
        request
    }

    #[test]
    fn a_body_waits_until_its_own_gate_is_opened() {
        let gates = Gates::default();
        let (mut first, mut second) = (request("100-Continue"), request("100-continue"));
        let (one, two) = (
            gates.hold(&mut first).unwrap(),
            gates.hold(&mut second).unwrap(),
        );
        gates.open(two + 1);
        gates.open(two);
        assert!(block_on(poll_once(first.body.chunk())).is_none());
        assert!(block_on(second.body.chunk()).is_some());
        gates.open(one);
        assert!(block_on(first.body.chunk()).is_some());
    }

    #[test]
    fn what_has_ended_is_forgotten_and_others_do_not_wait() {
        let gates = Gates::default();
        for _ in 0..10 {
            gates.hold(&mut request("100-continue"));
        }
        assert!(gates.waiting().gates.len() <= 1);
        assert_eq!(gates.hold(&mut request("tea")), None);
        let mut whole = request("100-continue");
        whole.body = "hi".into();
        assert_eq!(gates.hold(&mut whole), None);
    }
}
