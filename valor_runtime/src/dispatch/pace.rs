//! The bodies of calls from one vlugin to another, with the limits of clients' bodies: a side that makes no progress
//! does not hold up the other. [`Dispatch::call`](super::Dispatch::call) puts them around both bodies.
//!
//! A request's body waits only while the callee asks for more of it. A response's body waits from when there is
//! something to take until the caller asks again. Nobody polls it during that time, so a timer drops the callee's
//! stream.

use super::body::Cut;
use crate::{Body, Chunk, ChunkStream, deadline::Deadline, stall::Stall};
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use valor_abi_wire::lock::locked;

/// How long the bodies of calls may go without 1 KiB of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTimeouts {
    /// While the callee waits for the request's body. After that, it gets 408. Default 30 s.
    pub send: Duration,
    /// While the response's body waits for the caller. After that, it breaks off. Default 60 s.
    pub take: Duration,
}

impl Default for CallTimeouts {
    fn default() -> Self {
        Self {
            send: Duration::from_secs(30),
            take: Duration::from_secs(60),
        }
    }
}

fn timed_out(what: &str, limit: Duration) -> io::Error {
    let message = format!("{what} for {limit:?}");
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// A request's body whose sender must make progress; `cut` notes if it does not.
pub fn sent(body: Body, limit: Duration, cut: Option<&Arc<Cut>>) -> Body {
    match body {
        Body::Bytes(bytes) => Body::Bytes(bytes),
        Body::Stream { len, chunks } => Body::stream(
            len,
            Sent {
                chunks,
                clock: Clock::new(limit),
                limit,
                cut: cut.cloned().unwrap_or_default(),
            },
        ),
    }
}

struct Sent {
    chunks: ChunkStream,
    clock: Clock,
    limit: Duration,
    cut: Arc<Cut>,
}

impl Stream for Sent {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.chunks.as_mut().poll_next(cx) {
            Poll::Ready(next) => {
                this.clock.progress(next.as_ref());
                this.clock.stall.pause();
                Poll::Ready(next)
            }
            Poll::Pending => {
                this.clock.stall.start();
                if !this.clock.is_over(cx.waker()) {
                    return Poll::Pending;
                }
                this.cut.is_slow();
                let error = timed_out("no 1 KiB of the request's body came", this.limit);
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

/// A [`Stall`], and what rings for it.
struct Clock {
    stall: Stall,
    deadline: Deadline,
}

impl Clock {
    fn new(limit: Duration) -> Self {
        Self {
            stall: Stall::new(limit),
            deadline: Deadline::new(),
        }
    }

    fn progress(&mut self, next: Option<&io::Result<Chunk>>) {
        if let Some(Ok(Chunk::Data(data))) = next {
            self.stall.progress(data.len());
        }
    }

    /// Whether the time is up. If not, and the other side is waited for, the waker is woken when it may be up.
    fn is_over(&mut self, waker: &Waker) -> bool {
        let at = self.stall.deadline();
        self.deadline.poll(&mut Context::from_waker(waker), at)
    }
}

/// A response's body whose taker must make progress. `callee` makes the body.
pub fn taken(body: Body, limit: Duration, callee: &str) -> Body {
    match body {
        Body::Bytes(bytes) => Body::Bytes(bytes),
        Body::Stream { len, chunks } => {
            let shared = Arc::new_cyclic(|weak| Shared {
                chunks: Mutex::new(Some(chunks)),
                wait: Mutex::new(Wait {
                    clock: Clock::new(limit),
                    taker: None,
                    end: None,
                }),
                alarm: Waker::from(Arc::new(Alarm(weak.clone()))),
                limit,
                callee: callee.to_owned(),
            });
            // From now on there may be something to take.
            shared.begin_wait(&mut locked(&shared.wait));
            let waker = Waker::from(Arc::new(Woken(Arc::downgrade(&shared))));
            Body::stream(len, Taken { shared, waker })
        }
    }
}

struct Taken {
    shared: Arc<Shared>,
    /// Wakes the taker, and notes when the wait for it began.
    waker: Waker,
}

struct Shared {
    /// `None` once the stream has ended or was dropped.
    chunks: Mutex<Option<ChunkStream>>,
    wait: Mutex<Wait>,
    alarm: Waker,
    limit: Duration,
    callee: String,
}

struct Wait {
    clock: Clock,
    taker: Option<Waker>,
    end: Option<End>,
}

/// Why nobody waits any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The stream has ended.
    Whole,
    /// The taker came too late.
    Cut,
}

impl Shared {
    /// There is something to take.
    fn begin_wait(&self, wait: &mut Wait) {
        if wait.end.is_some() {
            return;
        }
        wait.clock.stall.start();
        // A taker that has just received something is not late yet.
        let _ = wait.clock.is_over(&self.alarm);
    }
}

impl Stream for Taken {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let shared = &self.shared;
        {
            let mut wait = locked(&shared.wait);
            wait.clock.stall.pause();
            if wait.end == Some(End::Cut) {
                let error = timed_out("nobody took 1 KiB of the response's body", shared.limit);
                return Poll::Ready(Some(Err(error)));
            }
            match &mut wait.taker {
                Some(taker) => taker.clone_from(cx.waker()),
                None => wait.taker = Some(cx.waker().clone()),
            }
        }
        let mut chunks = locked(&shared.chunks);
        let Some(stream) = &mut *chunks else {
            return Poll::Ready(None);
        };
        let next = stream
            .as_mut()
            .poll_next(&mut Context::from_waker(&self.waker));
        if let Poll::Ready(next) = &next {
            let mut wait = locked(&shared.wait);
            wait.clock.progress(next.as_ref());
            if matches!(next, Some(Ok(_))) {
                shared.begin_wait(&mut wait);
            } else {
                wait.clock.stall.stop();
                wait.end = Some(End::Whole);
                drop(wait);
                *chunks = None;
            }
        }
        next
    }
}

/// The callee's stream wakes this when it has something new. The stream may keep it, so it must not keep the stream.
struct Woken(Weak<Shared>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(shared) = self.0.upgrade() else {
            return;
        };
        let taker = {
            let mut wait = locked(&shared.wait);
            shared.begin_wait(&mut wait);
            wait.taker.take()
        };
        if let Some(taker) = taker {
            taker.wake();
        }
    }
}

/// The timer wakes this.
struct Alarm(Weak<Shared>);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.0.upgrade() else {
            return;
        };
        {
            let mut wait = locked(&shared.wait);
            if wait.end.is_some() || !wait.clock.is_over(&shared.alarm) {
                return;
            }
            wait.end = Some(End::Cut);
        }
        let (callee, limit) = (&shared.callee, shared.limit);
        log::warn!(
            target: "valor::dispatch", vlugin = callee.as_str();
            "whoever called the vlugin `{callee}` has taken no 1 KiB of its response's body for {limit:?}; it breaks \
             off"
        );
        // This is the callee's code, and may block.
        smol::unblock(move || drop(locked(&shared.chunks).take())).detach();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::{StreamExt, future::block_on, stream};

    const SHORT: Duration = Duration::from_millis(50);

    fn data(len: usize) -> io::Result<Chunk> {
        Ok(Chunk::Data(vec![0; len].into()))
    }

    fn kind(next: Option<io::Result<Chunk>>) -> Option<io::ErrorKind> {
        next.and_then(Result::err).map(|error| error.kind())
    }

    fn read(body: Body) -> Option<io::ErrorKind> {
        let Body::Stream { mut chunks, .. } = body else {
            return None;
        };
        block_on(async {
            loop {
                match chunks.next().await {
                    Some(Ok(_)) => {}
                    end => return kind(end),
                }
            }
        })
    }

    #[test]
    fn a_sender_that_makes_no_progress_is_cut_off() {
        let cut = Arc::new(Cut::default());
        let never = Body::stream(None, stream::pending());
        assert_eq!(
            read(sent(never, SHORT, Some(&cut))),
            Some(io::ErrorKind::TimedOut)
        );
        assert!(cut.status() == Some(408));
        // A byte now and then is not progress.
        let drip = stream::unfold((), |()| async {
            smol::Timer::after(SHORT / 20).await;
            Some((data(1), ()))
        });
        let cut = Arc::new(Cut::default());
        let drip = Body::stream(None, Box::pin(drip));
        assert_eq!(
            read(sent(drip, SHORT, Some(&cut))),
            Some(io::ErrorKind::TimedOut)
        );
        let cut = Arc::new(Cut::default());
        let whole = Body::stream(None, stream::iter([data(1), data(2)]));
        assert_eq!(read(sent(whole, SHORT, Some(&cut))), None);
        assert!(cut.status().is_none());
    }

    #[test]
    fn a_sender_has_time_while_nobody_asks() {
        let cut = Arc::new(Cut::default());
        let body = Body::stream(None, stream::iter([data(1), data(1)]));
        let Body::Stream { mut chunks, .. } = sent(body, SHORT, Some(&cut)) else {
            panic!("it was a stream");
        };
        block_on(async {
            assert_eq!(kind(chunks.next().await), None);
            smol::Timer::after(2 * SHORT).await;
            assert_eq!(kind(chunks.next().await), None);
        });
        assert!(cut.status().is_none());
    }

    /// A stream that reports when it is dropped.
    struct Told<S>(S, Option<std::sync::mpsc::Sender<()>>);

    impl<S: Stream + Unpin> Stream for Told<S> {
        type Item = S::Item;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
            Pin::new(&mut self.0).poll_next(cx)
        }
    }

    impl<S> Drop for Told<S> {
        fn drop(&mut self) {
            if let Some(told) = self.1.take() {
                let _ = told.send(());
            }
        }
    }

    /// The taker's side of a stream, and the report of its end.
    fn left<S>(chunks: S) -> (ChunkStream, std::sync::mpsc::Receiver<()>)
    where
        S: Stream<Item = io::Result<Chunk>> + Send + Unpin + 'static,
    {
        let (told, dropped) = std::sync::mpsc::channel();
        let body = Body::stream(None, Told(chunks, Some(told)));
        let Body::Stream { chunks, .. } = taken(body, SHORT, "callee") else {
            panic!("it was a stream");
        };
        (chunks, dropped)
    }

    #[test]
    fn a_response_that_nobody_takes_is_let_go_of() {
        let long = Duration::from_secs(20);
        let (mut chunks, dropped) = left(stream::repeat_with(|| data(1)));
        assert_eq!(kind(block_on(chunks.next())), None);
        dropped.recv_timeout(long).expect("its end");
        assert_eq!(kind(block_on(chunks.next())), Some(io::ErrorKind::TimedOut));

        // A taker that is woken and does not look.
        let late = stream::once_future(Box::pin(async {
            smol::Timer::after(SHORT / 5).await;
            data(1)
        }));
        let (mut chunks, dropped) = left(late.chain(stream::pending()));
        let first = std::future::poll_fn(|cx| Poll::Ready(chunks.as_mut().poll_next(cx)));
        assert!(block_on(first).is_pending());
        dropped.recv_timeout(long).expect("its end");
    }

    #[test]
    fn a_response_that_is_dropped_lets_go_of_a_stream_that_keeps_its_waker() {
        let mut kept = Vec::new();
        let keeps = stream::poll_fn(move |cx: &mut Context<'_>| {
            kept.push(cx.waker().clone());
            Poll::Pending
        });
        let (mut chunks, dropped) = left(keeps);
        let first = std::future::poll_fn(|cx| Poll::Ready(chunks.as_mut().poll_next(cx)));
        assert!(block_on(first).is_pending());
        drop(chunks);
        dropped
            .recv_timeout(Duration::from_secs(20))
            .expect("its end");
    }

    #[test]
    fn a_response_that_has_nothing_to_take_is_waited_for() {
        let slow = stream::unfold(0, |n| async move {
            smol::Timer::after(3 * SHORT).await;
            (n < 2).then(|| (data(1), n + 1))
        });
        let (chunks, _dropped) = left(Box::pin(slow));
        let body = Body::stream(None, chunks);
        assert_eq!(read(body), None);
    }
}
