//! One instance of a guest, and how it gets a thread.
//!
//! An instance has no thread and no task. Those who wait for it (the future of a request, the reader of a response's
//! body) poll its driver when they are polled themselves. So a request is answered on the thread that it came in on,
//! without a detour. The driver is behind a lock that is tried, never waited for: if it is taken, its holder handles
//! the event. When the driver waits for something (a fetch, a timer, its next turn), it wakes one of those who wait.
//! If a request is dropped and nobody else waits, a task is spawned to finish the rest. An instance that answers one
//! request ends with it; only a call that has begun is finished.

use super::{
    driver::{Recipe, Start, drive},
    shared::{CREATION, Refused, Shared},
};
use crate::{
    Body, BoxFuture, Chunk, Fault, Request, Response, account::Charge, loader::engine::clock,
};
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};
use valor_abi_guest::message::Brought;
use valor_abi_wire::{
    lock::try_locked,
    unwind::{catch, drop_caught},
};

/// An instance.
pub(super) struct Instance {
    pub shared: Arc<Shared>,
    driver: Mutex<Option<BoxFuture<'static, ()>>>,
    /// What the driver is polled with.
    waker: Waker,
    /// Whether it answers one request, and ends.
    is_single: bool,
}

impl Instance {
    /// An instance that begins when it is first polled.
    pub fn new(recipe: &Arc<Recipe>) -> Arc<Self> {
        let shared = Arc::new(Shared::new(recipe.account.instance()));
        let is_single = matches!(recipe.start, Start::Frozen(_));
        if !is_single {
            shared.await_creation();
        }
        Arc::new(Self {
            driver: Mutex::new(Some(Box::pin(drive(recipe.clone(), shared.clone())))),
            waker: Waker::from(shared.clone()),
            shared,
            is_single,
        })
    }

    /// Whether a thread is running it, or it has given way to others in the middle of a call.
    pub fn is_running(&self) -> bool {
        self.shared.is_calling() || try_locked(&self.driver).is_none()
    }

    /// Whether the host holds so much for it that it gets no new requests.
    pub fn is_full(&self) -> bool {
        self.shared.account.is_high()
    }

    /// Polls the driver, unless another thread does. One of the two does what there is to do.
    fn drive(&self) {
        loop {
            let Some(mut driver) = try_locked(&self.driver) else {
                return;
            };
            self.shared.begin_poll();
            clock::begin_poll();
            if let Some(running) = driver.as_mut() {
                let mut cx = Context::from_waker(&self.waker);
                match catch(|| running.as_mut().poll(&mut cx)) {
                    Ok(Poll::Pending) => {}
                    Ok(Poll::Ready(())) => *driver = None,
                    // A fault of this host. It costs this instance and nothing else.
                    Err(panicked) => {
                        self.shared.end(&panicked.into(), false);
                        let _ = drop_caught(driver.take());
                    }
                }
            }
            let ended = driver.is_none();
            drop(driver);
            // Something may have come in while the lock was held.
            if !self.shared.has_new_events() || ended {
                return;
            }
        }
    }

    /// Makes sure that somebody polls the driver.
    fn hand_over(self: Arc<Self>) {
        if self.shared.pass_on() {
            return;
        }
        smol::spawn(std::future::poll_fn(move |cx| {
            self.drive();
            if self.is_single && !self.shared.is_calling() {
                return Poll::Ready(());
            }
            self.shared.poll_background(cx)
        }))
        .detach();
    }

    /// If a call gave way to others after its response was there, nobody may be left to go on with it.
    fn see_to_the_rest(self: &Arc<Self>) {
        if self.shared.is_calling() {
            self.clone().hand_over();
        }
    }

    /// Ends when the vlugin is created.
    pub async fn created(self: &Arc<Self>) -> Result<(), Fault> {
        let waiting = Waiting::new(self, CREATION);
        let outcome = waiting.response().await;
        outcome.map(drop)
    }

    /// Answers a request. If the instance ended before it heard of the request, the request comes back.
    pub async fn answer(self: Arc<Self>, request: Request) -> Result<Response, Unanswered> {
        let id = self
            .shared
            .begin(request)
            .map_err(|refused| match refused {
                Refused::Ended(request) => Unanswered::Unheard(request),
                Refused::Full => Unanswered::Full,
            })?;
        let mut waiting = Waiting::new(&self, id);
        let outcome = waiting.response().await;
        let (head, body) = outcome.map_err(|fault| match self.shared.take_back(id) {
            Some(request) => Unanswered::Unheard(request),
            None => Unanswered::Failed(fault),
        })?;
        let body = match body {
            Brought::Whole(bytes) => {
                waiting.over = true;
                self.see_to_the_rest();
                Body::Bytes(bytes)
            }
            Brought::Pieces(len) => Body::stream(len, waiting),
        };
        Ok(Response::of(head, body))
    }
}

/// A request without a response.
pub(super) enum Unanswered {
    /// Another instance may answer it.
    Unheard(Request),
    Failed(Fault),
    /// The host holds as much for the instance as it may, or nearly as much. Later there will be room.
    Full,
}

/// Somebody who waits for an instance: for a response, and then for its body.
struct Waiting {
    instance: Arc<Instance>,
    id: u32,
    over: bool,
    /// The charge for what was taken last. It lasts until the reader has finished with that.
    held: Option<Charge>,
}

impl Waiting {
    fn new(instance: &Arc<Instance>, id: u32) -> Self {
        Self {
            instance: instance.clone(),
            id,
            over: false,
            held: None,
        }
    }

    async fn response(&self) -> Result<(crate::ResponseHead, Brought), Fault> {
        std::future::poll_fn(|cx| {
            self.instance.drive();
            self.instance.shared.poll_response(self.id, cx)
        })
        .await
    }
}

impl Stream for Waiting {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        this.instance.drive();
        let (mut next, news) = this.instance.shared.poll_chunk(this.id, cx);
        if news {
            this.instance.drive();
            (next, _) = this.instance.shared.poll_chunk(this.id, cx);
        }
        let Poll::Ready((next, charge)) = next else {
            return Poll::Pending;
        };
        this.held = charge.or(this.held.take());
        this.over = !matches!(next, Ok(Some(_)));
        if this.over {
            this.instance.see_to_the_rest();
        }
        Poll::Ready(next.transpose())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // With the last who waits for it, an instance ends that answers nobody else.
        if !self.over && !self.instance.is_single && self.instance.shared.leave(self.id) {
            self.instance.clone().hand_over();
        }
    }
}
