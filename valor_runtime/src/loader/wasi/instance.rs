//! One instance of a component, and those who wait for it.
//!
//! `pool` gives it requests. `driver` is what it does with them. If its last waiter leaves while it still works, an
//! instance that serves one request ends at once if there is no response yet: the request was cancelled. Otherwise a
//! task goes on with what it does behind its responses, for as long as a request may take.

use super::{
    component::Pre,
    driven::{Driven, on_its_thread},
    driver,
    inbox::{Answer, Call, Inbox, Reply, Unanswered},
    messages::{self, Outgoing},
    recipe::Recipe,
};
use crate::{Body, Bytes, Chunk, Fault, Request, Response, account::Charge, timer::Timer};
use futures_channel::oneshot;
use futures_core::Stream;
use futures_lite::{StreamExt, future};
use http_body::Body as _;
use smol::lock::SemaphoreGuardArc;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use valor_abi_wire::ResponseHead;
use wasmtime_wasi_http::WasiBody;

/// How long an instance may go on with a request that nobody waits for, if it serves others as well.
const GRACE: Duration = Duration::from_secs(10);

/// How often an instance is polled after its response, before a task of its own does that.
const AT_ONCE: u32 = 4;

/// The most bytes of a body that are gathered before the response, if the component has written all of it by then.
const WHOLE: usize = 64 << 10;

/// An instance.
pub(super) struct Instance {
    recipe: Arc<Recipe>,
    pub inbox: Arc<Inbox>,
    driven: Driven,
    /// Held for as long as the instance counts among those that there may be.
    _slot: Option<SemaphoreGuardArc>,
}

impl Instance {
    /// An instance that begins when it is first polled.
    pub fn new(recipe: &Arc<Recipe>, pre: &Arc<Pre>, slot: Option<SemaphoreGuardArc>) -> Arc<Self> {
        let inbox = Arc::new(Inbox::new(recipe.account.instance()));
        let work = Box::pin(driver::drive(recipe.clone(), pre.clone(), inbox.clone()));
        Arc::new_cyclic(|this: &Weak<Self>| {
            let this = this.clone();
            let alone = move || {
                if let Some(instance) = this.upgrade() {
                    instance.go_on();
                }
            };
            Self {
                driven: Driven::new(work, recipe.files.is_some(), alone),
                recipe: recipe.clone(),
                inbox,
                _slot: slot,
            }
        })
    }

    /// Whether a thread is running it.
    pub fn is_running(&self) -> bool {
        self.driven.is_running()
    }

    /// How many wait for it.
    pub fn load(&self) -> usize {
        self.driven.waiters()
    }

    /// Whether it is to get no more requests.
    pub fn is_over(&self) -> bool {
        self.inbox.has_ended() || self.inbox.is_retired() || self.inbox.is_stuck(GRACE)
    }

    fn drive(&self) {
        if let Err(panicked) = self.driven.drive() {
            // A fault of this host. It costs this instance and nothing else.
            let (name, fault) = (&*self.recipe.name, Fault::from(panicked));
            log::error!(
                target: "valor::wasi", vlugin = name;
                "an instance of the vlugin `{name}` ends, by a fault of this host: {fault}"
            );
            self.inbox.end(&fault, true);
            self.driven.wake_all();
        }
    }

    /// Ends when the instance has begun.
    pub async fn created(self: &Arc<Self>) -> Result<(), Fault> {
        let waiting = Waiting::new(self);
        future::poll_fn(|cx| {
            self.drive();
            if let Some(outcome) = self.inbox.begun() {
                return Poll::Ready(outcome);
            }
            waiting.wait(cx);
            Poll::Pending
        })
        .await
    }

    /// Answers a request.
    pub async fn answer(self: Arc<Self>, request: Request) -> Result<Response, Unanswered> {
        let whole = match &request.body {
            Body::Bytes(bytes) => bytes.len(),
            Body::Stream { .. } => 0,
        };
        let account = &self.recipe.account;
        let held = match account.charge(ENTRY + request.head.as_bytes().len() + whole) {
            Ok(held) if !account.is_high() => held,
            _ => return Err(Unanswered::Full),
        };
        let (reply, answered) = Reply::new();
        let mut waiting = Waiting::new(&self);
        let body = BodyCount::of(&self.recipe.bodies);
        waiting.request = Some((reply.clone(), held, body));
        self.inbox.push(Call { request, reply });
        self.driven.news();
        let answer = waiting.answer(answered).await?;
        let (head, body) = messages::of_component(answer).map_err(Unanswered::Failed)?;
        Ok(waiting.response(head, body))
    }

    /// The last waiter has left.
    fn left(self: Arc<Self>) {
        if self.inbox.has_ended() {
            return;
        }
        let is_cancelled = self.inbox.is_abandoned();
        if self.inbox.is_retired() || self.recipe.is_single && is_cancelled {
            return self.end();
        }
        if self.has_nothing_to_do() {
            return self.rest();
        }
        // What it does behind its response is mostly nothing, or done at once.
        let mut polls = 0..AT_ONCE;
        while !is_cancelled && self.driven.is_runnable() && polls.next().is_some() {
            self.drive();
        }
        if self.inbox.has_ended() {
            return;
        }
        if self.has_nothing_to_do() {
            return self.rest();
        }
        let limit = match is_cancelled {
            true => GRACE,
            false => self.recipe.timeout,
        };
        smol::spawn(async move {
            let waiting = Waiting::new(&self);
            let rest = future::poll_fn(|cx| {
                self.drive();
                if self.has_nothing_to_do() || self.inbox.has_ended() || self.load() > 1 {
                    return Poll::Ready(true);
                }
                waiting.wait(cx);
                Poll::Pending
            });
            let late = async {
                Timer::after(limit).await;
                false
            };
            let is_done = future::or(rest, late).await;
            if !is_done {
                self.inbox.retire();
            }
            let is_last = waiting.forget();
            if is_done && is_last {
                // Somebody else may have come and gone meanwhile.
                return self.left();
            }
            // If somebody has come meanwhile, it ends with them.
            if !is_done && is_last {
                let name = &*self.recipe.name;
                log::debug!(
                    target: "valor::wasi", vlugin = name;
                    "an instance of `{name}` ends: it still works for requests that are over"
                );
                self.end();
            }
        })
        .detach();
    }

    /// Goes on with what nobody waits for at this moment, and was handed over.
    fn go_on(self: Arc<Self>) {
        let this = self.clone();
        on_its_thread(&this.driven, async move {
            let waiting = Waiting::new(&self);
            future::poll_fn(|cx| {
                self.drive();
                match self.driven.is_settled(waiting.key, cx) || self.inbox.has_ended() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
            // Those who handed it over have not been woken.
            self.driven.wake_all();
            if waiting.forget() {
                self.left();
            }
        });
    }

    /// It has nothing to do, and nobody waits for it. One that answers a single request never has anything to do again.
    fn rest(&self) {
        if self.recipe.is_single {
            self.end();
        }
    }

    /// Whether it is idle, and nothing that was given up still has to be taken back.
    fn has_nothing_to_do(&self) -> bool {
        self.inbox.is_idle() && !self.driven.is_runnable()
    }

    fn end(&self) {
        self.inbox
            .end(&Fault::error(502, "its instance has ended"), true);
        self.driven.end();
        self.driven.wake_all();
    }
}

/// About how much a request takes beside its bytes.
const ENTRY: usize = 1024;

/// One of the bodies that the instances of a vlugin may be writing.
struct BodyCount(Arc<AtomicUsize>);

impl BodyCount {
    fn of(bodies: &Arc<AtomicUsize>) -> Self {
        bodies.fetch_add(1, Ordering::Relaxed);
        Self(bodies.clone())
    }
}

impl Drop for BodyCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Somebody who waits for an instance: for a response, and then for its body.
struct Waiting {
    instance: Arc<Instance>,
    key: u64,
    /// The request that it waits for, and what it counts as.
    request: Option<(Arc<Reply>, Charge, BodyCount)>,
    is_over: bool,
}

impl Waiting {
    fn new(instance: &Arc<Instance>) -> Self {
        Self {
            key: instance.driven.wait(),
            instance: instance.clone(),
            request: None,
            is_over: false,
        }
    }

    fn wait(&self, cx: &Context<'_>) {
        self.instance.driven.waits(self.key, cx);
    }

    async fn answer(
        &mut self,
        mut answered: oneshot::Receiver<Answer>,
    ) -> Result<http::Response<WasiBody>, Unanswered> {
        let outcome = future::poll_fn(|cx| {
            self.instance.drive();
            // First the end: what was answered before it is here then, whatever another thread does meanwhile.
            let fault = self.instance.inbox.fault();
            if let Poll::Ready(outcome) = Pin::new(&mut answered).poll(cx) {
                return Poll::Ready(outcome);
            }
            if let Some(fault) = fault {
                return Poll::Ready(Ok(Err(Unanswered::Failed(fault))));
            }
            self.wait(cx);
            Poll::Pending
        });
        match outcome.await {
            Ok(answer) => answer,
            Err(oneshot::Canceled) => Err(Unanswered::Failed(
                self.instance.inbox.fault().unwrap_or_else(driver::silent),
            )),
        }
    }

    /// The response. If the component has written all of a small body, it is all there.
    fn response(self, head: ResponseHead, body: WasiBody) -> Response {
        let len = head
            .header_str("content-length")
            .and_then(|len| len.parse().ok())
            // A body that it only passes on may have a known length.
            .or_else(|| body.size_hint().exact());
        self.instance.driven.waits_elsewhere(self.key);
        let mut reading = Reading {
            waiting: self,
            body: Outgoing(body),
            first: VecDeque::new(),
        };
        let body = match reading.gather() {
            Some(whole) => Body::Bytes(whole),
            None => Body::stream(len, reading),
        };
        Response::of(head, body)
    }

    /// Leaves without a trace. Returns whether nobody waits any more.
    fn forget(mut self) -> bool {
        self.is_over = true;
        self.instance.driven.leave(self.key)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Some((reply, ..)) = &self.request {
            reply.abandon(&self.instance.inbox);
        }
        if self.instance.driven.leave(self.key) {
            self.instance.clone().left();
        } else if self.instance.driven.take_unattended() {
            self.instance.clone().go_on();
        }
    }
}

/// A response's body, which is read while the instance goes on.
struct Reading {
    waiting: Waiting,
    body: Outgoing,
    /// What was gathered before.
    first: VecDeque<io::Result<Chunk>>,
}

impl Reading {
    /// All of the body, if it is small and the component has written it.
    fn gather(&mut self) -> Option<Bytes> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut len = 0;
        loop {
            let next = match self.poll(&mut cx) {
                Poll::Ready(Some(next)) => next,
                Poll::Ready(None) => break,
                Poll::Pending => return None,
            };
            let is_more = matches!(&next, Ok(Chunk::Data(data)) if len + data.len() <= WHOLE);
            if let Ok(Chunk::Data(data)) = &next {
                len += data.len();
            }
            self.first.push_back(next);
            if !is_more {
                return None;
            }
        }
        let mut parts = self.first.drain(..).filter_map(|chunk| match chunk {
            Ok(Chunk::Data(data)) => Some(data),
            _ => None,
        });
        let first = parts.next().unwrap_or_default();
        let Some(second) = parts.next() else {
            return Some(first);
        };
        let mut all = Vec::with_capacity(len);
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        parts.for_each(|part| all.extend_from_slice(&part));
        Some(all.into())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Chunk>>> {
        let mut next = self.body.poll_next(cx);
        if next.is_pending() {
            self.waiting.instance.drive();
            next = self.body.poll_next(cx);
        }
        match next {
            Poll::Ready(Some(_)) => next,
            // If the instance has broken off, this is not the body's end.
            Poll::Ready(None) | Poll::Pending => match self.waiting.instance.inbox.breakage() {
                Some(fault) => Poll::Ready(Some(Err(io::Error::other(fault.to_string())))),
                None => next,
            },
        }
    }
}

impl Stream for Reading {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.pop_front() {
            return Poll::Ready(Some(first));
        }
        let next = self.poll(cx);
        if next.is_pending() {
            self.waiting.wait(cx);
        } else if self.waiting.instance.driven.take_unattended() {
            // Its client may be slow, and others must not wait for that.
            self.waiting.instance.clone().go_on();
        }
        next
    }
}
