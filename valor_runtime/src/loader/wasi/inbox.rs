//! What an instance shares with those who wait for it: requests on their way in, and how it is.
//!
//! `instance` puts requests in, `driver` takes them out. One lock guards all of it, held for moments and never while a
//! guest runs.

use crate::{Fault, Request, account::Account};
use futures_channel::oneshot;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Waker},
    time::{Duration, Instant},
};
use valor_abi_wire::lock::locked;
use wasmtime_wasi_http::WasiBody;

/// What becomes of a request: a response, whose body may go on, or none.
pub(super) type Answer = Result<http::Response<WasiBody>, Unanswered>;

/// A request without a response.
pub(super) enum Unanswered {
    /// Another instance may answer it.
    Unheard(Request),
    Failed(Fault),
    /// The host holds as much for the vlugin as it may, or nearly as much. Later there will be room.
    Full,
}

/// A request, and where its response goes.
pub(super) struct Call {
    pub request: Request,
    pub reply: Arc<Reply>,
}

/// Where a response goes.
pub(super) struct Reply(Mutex<To>);

struct To {
    /// `None` once it was given.
    sender: Option<oneshot::Sender<Answer>>,
    is_abandoned: bool,
}

impl Reply {
    pub fn new() -> (Arc<Self>, oneshot::Receiver<Answer>) {
        let (sender, answered) = oneshot::channel();
        let to = To {
            sender: Some(sender),
            is_abandoned: false,
        };
        (Arc::new(Self(Mutex::new(to))), answered)
    }

    /// Gives the answer, if none was given before.
    pub fn give(&self, inbox: &Inbox, answer: Answer) {
        let mut to = locked(&self.0);
        let (sender, is_abandoned) = (to.sender.take(), to.is_abandoned);
        drop(to);
        let Some(sender) = sender else { return };
        if is_abandoned {
            inbox.settle();
        }
        let _ = sender.send(answer);
    }

    /// Nobody waits for it any more.
    pub fn abandon(&self, inbox: &Inbox) {
        let mut to = locked(&self.0);
        if to.sender.is_some() && !std::mem::replace(&mut to.is_abandoned, true) {
            inbox.abandon();
        }
    }
}

pub(super) struct Inbox {
    state: Mutex<State>,
    /// What the host holds for the instance.
    pub account: Account,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Call>,
    /// Wakes the driver from inside.
    waker: Option<Waker>,
    has_begun: bool,
    /// The driver has nothing to do.
    is_idle: bool,
    /// Requests that it works for though nobody waits for them, and since when.
    abandoned: usize,
    since: Option<Instant>,
    /// Why the instance has ended.
    ended: Option<Fault>,
    /// It ended before it was done.
    is_broken: bool,
    /// It is to end, and gets no more requests.
    is_retired: bool,
}

impl Inbox {
    pub fn new(account: Account) -> Self {
        Self {
            state: Mutex::default(),
            account,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Puts a request in. If the instance has ended, whoever waits hears so.
    pub fn push(&self, call: Call) {
        let mut state = self.lock();
        let waker = match state.ended.is_some() || state.is_retired {
            true => {
                drop(state);
                call.reply
                    .give(self, Err(Unanswered::Unheard(call.request)));
                return;
            }
            false => {
                state.is_idle = false;
                state.calls.push_back(call);
                state.waker.take()
            }
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next request, or the driver is woken when one comes.
    pub fn next(&self, cx: &Context<'_>) -> Option<Call> {
        let mut state = self.lock();
        let call = state.calls.pop_front();
        if call.is_none() {
            state.waker = Some(cx.waker().clone());
        }
        call
    }

    pub fn begin(&self) {
        self.lock().has_begun = true;
    }

    /// Whether the instance has begun, or why not.
    pub fn begun(&self) -> Option<Result<(), Fault>> {
        let state = self.lock();
        match (&state.ended, state.has_begun) {
            (_, true) => Some(Ok(())),
            (Some(fault), false) => Some(Err(fault.clone())),
            (None, false) => None,
        }
    }

    pub fn set_idle(&self, is_idle: bool) {
        let mut state = self.lock();
        state.is_idle = is_idle && state.calls.is_empty();
    }

    pub fn is_idle(&self) -> bool {
        self.lock().is_idle
    }

    fn abandon(&self) {
        let mut state = self.lock();
        state.abandoned += 1;
        state.since.get_or_insert_with(Instant::now);
    }

    /// It has done with a request that nobody waited for.
    fn settle(&self) {
        let mut state = self.lock();
        state.abandoned = state.abandoned.saturating_sub(1);
        if state.abandoned == 0 {
            state.since = None;
        }
    }

    pub fn is_abandoned(&self) -> bool {
        self.lock().abandoned > 0
    }

    /// Whether it has worked for longer than this for somebody who has left.
    pub fn is_stuck(&self, grace: Duration) -> bool {
        self.lock()
            .since
            .is_some_and(|since| since.elapsed() > grace)
    }

    /// It gets no more requests. Those that are on their way go to another one.
    pub fn retire(&self) {
        self.lock().is_retired = true;
    }

    pub fn is_retired(&self) -> bool {
        self.lock().is_retired
    }

    pub fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// Why it has ended, if it was not done: what it still writes is not all.
    pub fn breakage(&self) -> Option<Fault> {
        let state = self.lock();
        state.ended.clone().filter(|_| state.is_broken)
    }

    /// Why it has ended.
    pub fn fault(&self) -> Option<Fault> {
        self.lock().ended.clone()
    }

    /// The instance has ended. Requests that it had not heard of may go to another one, if it had begun.
    pub fn end(&self, fault: &Fault, is_broken: bool) {
        let mut state = self.lock();
        if state.ended.is_some() {
            return;
        }
        state.is_broken = is_broken;
        state.ended = Some(fault.clone());
        let has_begun = state.has_begun;
        let calls = std::mem::take(&mut state.calls);
        drop(state);
        for call in calls {
            let answer = match has_begun {
                true => Unanswered::Unheard(call.request),
                false => Unanswered::Failed(fault.clone()),
            };
            call.reply.give(self, Err(answer));
        }
    }
}
